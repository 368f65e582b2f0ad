// The search for the fastest within a limit, over networks that are only numbers: what a share of the latency loses is a curve.
#include "tailor/pipeline/fastest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace tailor::pipeline {
namespace {

// A network says what it loses in its first input's name.
graph::Model losing(double points) {
  graph::Model model;
  model.graph.inputs.push_back({std::to_string(points), {}});
  return model;
}
double lost(const graph::Model& model) {
  return model.graph.inputs.empty() ? 0 : std::stod(model.graph.inputs[0].name);
}

// Loss by ratio without and with the long repair; what was asked for.
struct Curve {
  std::function<double(double)> shortly, at_length;
  std::vector<double> ratios;
  int refined = 0;
  std::vector<std::string> said;

  FastestSteps steps(bool refines = true) {
    FastestSteps s;
    s.search = [this](const Searched& from, double share) {
      Searched next = from;
      next.ratio = from.ratio * share;
      next.model = losing(shortly(next.ratio));
      next.rounds.push_back({});
      ratios.push_back(next.ratio);
      return next;
    };
    if (refines)
      s.refine = [this](const Searched& found) {
        ++refined;
        Searched again = found;
        again.model = losing(at_length(found.ratio)), again.ratio = 99, again.rounds.clear();
        return again;
      };
    s.drop = lost;
    s.say = [this](const std::string& line) { said.push_back(line); };
    return s;
  }
};

TEST(Fastest, EndsJustAboveWhereTooMuchIsLost) {
  for (double edge : {0.9, 0.63, 0.4, 0.21}) {
    Curve curve;
    curve.shortly = [edge](double ratio) { return ratio < edge ? 5.0 : 0.0; };
    const Searched found = search_fastest(losing(0), 0.5, curve.steps(false));
    EXPECT_GE(found.ratio, edge);
    EXPECT_LT(found.ratio * 0.97, edge) << "one of the smallest steps further was allowed";
    EXPECT_EQ(found.rounds.size(),
              static_cast<std::size_t>(std::count_if(curve.ratios.begin(), curve.ratios.end(),
                                                     [&](double r) { return r >= edge; })));
  }
}

TEST(Fastest, TheLongRepairDecidesWhereTheShortOneFails) {
  Curve curve;
  curve.shortly = [](double ratio) { return ratio < 0.8 ? 3.0 : 0.0; };
  curve.at_length = [](double ratio) { return ratio < 0.5 ? 3.0 : 0.0; };
  const Searched found = search_fastest(losing(0), 1, curve.steps());
  EXPECT_LT(found.ratio, 0.52);
  EXPECT_GE(found.ratio, 0.5);
  EXPECT_EQ(lost(found.model), 0);
  EXPECT_FALSE(found.rounds.empty()) << "what was searched is kept, with the repair";
}

TEST(Fastest, TheLongRepairIsForTheResultWhereItIsNotNeededBefore) {
  Curve curve;
  curve.shortly = [](double ratio) { return ratio < 0.7 ? 50.0 : 0.4; };  // hopeless below
  curve.at_length = [](double) { return 0.1; };
  const Searched found = search_fastest(losing(0), 1, curve.steps());
  EXPECT_EQ(curve.refined, 1);
  EXPECT_EQ(lost(found.model), 0.1);
  EXPECT_GE(found.ratio, 0.7);
  EXPECT_LT(found.ratio, 0.72);
}

TEST(Fastest, AWorseLongRepairIsNotTaken) {
  Curve curve;
  curve.shortly = [](double ratio) { return ratio < 0.7 ? 50.0 : 0.4; };
  curve.at_length = [](double) { return 2.0; };
  const Searched found = search_fastest(losing(0), 1, curve.steps());
  EXPECT_EQ(lost(found.model), 0.4);
}

// A dip of the accuracy that a step further would be over.
TEST(Fastest, ANarrowMissIsFollowed) {
  Curve curve;
  curve.shortly = [](double ratio) { return ratio < 0.3 ? 9.0 : ratio < 0.75 && ratio > 0.7 ? 0.6 : 0.2; };
  const Searched found = search_fastest(losing(0), 0.5, curve.steps(false));
  EXPECT_LT(found.ratio, 0.32);
  curve.shortly = [](double ratio) { return ratio < 0.75 ? 0.6 : 0.2; };  // the dip does not end
  const Searched stays = search_fastest(losing(0), 0.5, curve.steps(false));
  EXPECT_GE(stays.ratio, 0.75);
  EXPECT_EQ(lost(stays.model), 0.2);
}

TEST(Fastest, NothingIsDecidedWhereEverythingLosesTooMuch) {
  Curve curve;
  curve.shortly = curve.at_length = [](double) { return 9.0; };
  const Searched found = search_fastest(losing(0), 0, curve.steps());
  EXPECT_EQ(found.ratio, 1);
  EXPECT_TRUE(found.rounds.empty());
  EXPECT_EQ(lost(found.model), 0);
}

}  // namespace
}  // namespace tailor::pipeline

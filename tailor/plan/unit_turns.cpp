// conversions() says what a choice needs; as_problem() says the same as factors, with a variable of two candidates for each
// value and format that some step can read.
#include "tailor/plan/unit_turns.h"

#include "tailor/base/error.h"

#include <limits>
#include <map>
#include <set>
#include <utility>

namespace tailor::plan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const Way& way_of(const TurnProblem& problem, const std::vector<int>& choice, std::size_t step) {
  return problem.steps[step].ways[static_cast<std::size_t>(choice[step])];
}

int format_read(const Way& way, const Reading& reading) { return reading.residual ? way.writes : way.reads; }

// Per value, the step that makes it, or -1.
std::vector<int> makers(const TurnProblem& problem) {
  std::vector<int> maker(problem.values.size(), -1);
  for (std::size_t s = 0; s < problem.steps.size(); ++s) {
    const int value = problem.steps[s].writes;
    TAILOR_CHECK(value >= 0 && static_cast<std::size_t>(value) < maker.size());
    TAILOR_CHECK(maker[static_cast<std::size_t>(value)] < 0);
    maker[static_cast<std::size_t>(value)] = static_cast<int>(s);
  }
  return maker;
}

double price(const TurnValue& value, int from, int to) {
  return from == to ? 0 : value.conversion[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
}

// The variables "value is read in this format", made when first asked for.
class Builder {
 public:
  explicit Builder(const TurnProblem& turns) : turns_(turns), maker_(makers(turns)) {}

  Problem build() {
    for (std::size_t s = 0; s < turns_.steps.size(); ++s) add_step(static_cast<int>(s));
    for (std::size_t s = 0; s < turns_.steps.size(); ++s)
      for (const Reading& reading : turns_.steps[s].reads) add_reading(static_cast<int>(s), reading);
    for (std::size_t v = 0; v < turns_.values.size(); ++v)
      if (const TurnValue& value = turns_.values[v]; value.asked >= 0) {
        const int read = variable(static_cast<int>(v), value.asked);
        problem_.factors.push_back({{read}, {{kInfinity, 0}, {0, 0}}});
      }
    return std::move(problem_);
  }

 private:
  void add_step(int s) {
    const TurnStep& step = turns_.steps[static_cast<std::size_t>(s)];
    TAILOR_CHECK(!step.ways.empty());
    problem_.variables.push_back({step.name, static_cast<int>(step.ways.size())});
    Factor own{{s}, {}};
    for (const Way& way : step.ways) own.table.push_back({way.cost, way.loss});
    problem_.factors.push_back(std::move(own));
  }

  void add_reading(int s, const Reading& reading) {
    const TurnStep& step = turns_.steps[static_cast<std::size_t>(s)];
    if (turns_.values[static_cast<std::size_t>(reading.value)].free) return;
    std::set<int> formats;
    for (const Way& way : step.ways) formats.insert(format_read(way, reading));
    for (int format : formats) {
      Factor must{{s, variable(reading.value, format)}, {}};
      for (const Way& way : step.ways) {
        must.table.push_back({format_read(way, reading) == format ? kInfinity : 0, 0});
        must.table.push_back({0, 0});
      }
      problem_.factors.push_back(std::move(must));
    }
  }

  int variable(int v, int format) {
    const auto [known, added] =
        variables_.try_emplace({v, format}, static_cast<int>(problem_.variables.size()));
    if (!added) return known->second;
    problem_.variables.push_back({"value " + std::to_string(v), 2});
    const TurnValue& value = turns_.values[static_cast<std::size_t>(v)];
    const int maker = maker_[static_cast<std::size_t>(v)];
    if (maker < 0) {
      problem_.factors.push_back({{known->second}, {{0, 0}, {price(value, value.given, format), 0}}});
      return known->second;
    }
    Factor converted{{maker, known->second}, {}};
    for (const Way& way : turns_.steps[static_cast<std::size_t>(maker)].ways) {
      converted.table.push_back({0, 0});
      converted.table.push_back({price(value, way.writes, format), 0});
    }
    problem_.factors.push_back(std::move(converted));
    return known->second;
  }

  const TurnProblem& turns_;
  std::vector<int> maker_;
  Problem problem_;
  std::map<std::pair<int, int>, int> variables_;
};

}  // namespace

std::vector<Conversion> conversions(const TurnProblem& problem, const std::vector<int>& choice) {
  TAILOR_CHECK(choice.size() == problem.steps.size());
  const std::vector<int> maker = makers(problem);
  std::set<Conversion> needed;
  auto need = [&](int v, int format) {
    const TurnValue& value = problem.values[static_cast<std::size_t>(v)];
    if (value.free) return;
    const int step = maker[static_cast<std::size_t>(v)];
    const int from = step < 0 ? value.given : way_of(problem, choice, static_cast<std::size_t>(step)).writes;
    if (from != format) needed.insert({v, from, format});
  };
  for (std::size_t s = 0; s < problem.steps.size(); ++s)
    for (const Reading& reading : problem.steps[s].reads)
      need(reading.value, format_read(way_of(problem, choice, s), reading));
  for (std::size_t v = 0; v < problem.values.size(); ++v)
    if (problem.values[v].asked >= 0) need(static_cast<int>(v), problem.values[v].asked);
  return {needed.begin(), needed.end()};
}

Cost evaluate(const TurnProblem& problem, const std::vector<int>& choice) {
  Cost sum;
  for (std::size_t s = 0; s < problem.steps.size(); ++s) {
    const Way& way = way_of(problem, choice, s);
    sum.latency_us += way.cost, sum.loss += way.loss;
  }
  for (const Conversion& c : conversions(problem, choice))
    sum.latency_us += price(problem.values[static_cast<std::size_t>(c.value)], c.from, c.to);
  return sum;
}

Problem as_problem(const TurnProblem& problem) { return Builder(problem).build(); }

Front plan_turns(const TurnProblem& problem, const PlannerOptions& options) {
  Front front = plan_widths(as_problem(problem), options);
  for (Point& point : front.points) {
    point.choice.resize(problem.steps.size());
    point.cost = evaluate(problem, point.choice);
  }
  return front;
}

}  // namespace tailor::plan

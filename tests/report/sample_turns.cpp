// A mapping over precisions that take turns: the planner's own, over times and losses that are drawn instead of measured.
#include "tailor/pipeline/map_turns.h"
#include "tailor/rewrite/quantise_network.h"
#include "tests/app/models.h"
#include "tests/report/samples.h"

#include <nlohmann/json.hpp>

namespace tailor::testing {
namespace {

using pipeline::TurnMapping;
using pipeline::TurnNetwork;

// Less precise ways are quicker and lose something; conversions cost a little.
void draw_costs(TurnNetwork& network) {
  Random random(3);
  for (plan::TurnStep& step : network.problem.steps) {
    const double most = random.uniform(5, 40);
    for (std::size_t w = 0; w < step.ways.size(); ++w) {
      step.ways[w].cost = most / (1 + 0.4 * static_cast<double>(w)) + random.uniform(0, 3);
      step.ways[w].loss = w == 0 ? 0 : 1e-4 * static_cast<double>(w) * random.uniform(0.5, 2);
    }
  }
  for (plan::TurnValue& value : network.problem.values)
    for (std::size_t a = 0; a < value.conversion.size(); ++a)
      for (std::size_t b = 0; b < value.conversion[a].size(); ++b) value.conversion[a][b] = a == b ? 0 : 1.5;
}

TurnMapping mapping(const TurnNetwork& network, std::string name, std::vector<int> choice) {
  const plan::Cost cost = plan::evaluate(network.problem, choice);
  TurnMapping made{std::move(name), std::move(choice), cost.latency_us, cost.loss, 1.01 * cost.latency_us};
  return made;
}

// Runs that take 3 % more than the parts.
void measure(TurnMapping& made, const TurnMapping& first, std::uint64_t seed) {
  Random random(seed);
  for (int round = 0; round < 20; ++round)
    made.round_us.push_back(1.03 * made.predicted_us * random.uniform(0.99, 1.01));
  made.us = made.round_us;
  made.to_first = runtime::compare(first.round_us.empty() ? made.round_us : first.round_us, made.round_us);
}

pipeline::MappingAccuracy accuracy_of(double top1) {
  pipeline::MappingAccuracy accuracy;
  accuracy.source = "test.bin", accuracy.samples = 500, accuracy.agreement = 98.2;
  accuracy.top1_before = 94.2, accuracy.top1 = top1;
  return accuracy;
}

pipeline::MapTurns on_paper() {
  pipeline::MapTurns result;
  const pipeline::Subject subject = pipeline::make_subject(small_model(40), {});
  result.network = pipeline::turn_network(subject, device::find_platform("cpu"),
                                          rewrite::quantisable_layers(subject.model, subject.shapes));
  draw_costs(result.network);
  result.model = "small.onnx", result.runtime = "oneDNN", result.version = "2.6.0", result.isa = "AVX2";
  result.processor = "a processor", result.weight_bits = 7, result.shortcuts = 1;
  result.refusals = {{1, 2, 3, "no such instructions"}};
  result.costs.networks = {{"all on f32", 101.5, 100.25}, {"all on int8", 40.5, 41}};
  result.costs.parts = 21, result.costs.alone = 2;
  return result;
}

}  // namespace

Json turns_document(bool met) {
  pipeline::MapTurns result = on_paper();
  const TurnNetwork& network = result.network;
  for (int unit = 0; unit < network.given(); ++unit) {
    const std::string name = "all on " + network.platform.units[static_cast<std::size_t>(unit)].name;
    result.baselines.push_back(mapping(network, name, pipeline::all_on(network, unit)));
    measure(result.baselines.back(), result.baselines.front(), 10 + static_cast<std::uint64_t>(unit));
    result.baselines.back().accuracy = accuracy_of(94.2 - unit);
  }
  const plan::Front front = plan::plan_turns(network.problem);
  for (const plan::Point& point : front.points) result.front.push_back(mapping(network, "", point.choice));
  result.max_drop = 1;
  if (!met) {
    result.why = "every choice loses more than 1 point";
    return to_json(result);
  }
  const plan::Point& point = front.points[front.points.size() / 2];
  result.chosen = mapping(network, "chosen", point.choice);
  measure(*result.chosen, result.baselines.front(), 20);
  result.chosen->accuracy = accuracy_of(93.9), result.chosen->certificate = point.certificate;
  return to_json(result);
}

}  // namespace tailor::testing

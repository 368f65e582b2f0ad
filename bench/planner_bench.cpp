// How long the planner takes on the shapes of real networks. Times are printed, never asserted.
#include "tailor/plan/width_planner.h"
#include "tests/plan/instances.h"

#include <benchmark/benchmark.h>

namespace {

using tailor::plan::Problem;

// share: of the latency at full width, in per cent; 0: the whole front.
void plan(benchmark::State& state, const Problem& problem) {
  std::vector<int> widest;
  for (const auto& variable : problem.variables) widest.push_back(variable.candidates - 1);
  tailor::plan::PlannerOptions options;
  if (state.range(0) > 0)
    options.budget_us = static_cast<double>(state.range(0)) / 100 * evaluate(problem, widest).latency_us;
  tailor::plan::Front front;
  for (auto _ : state) benchmark::DoNotOptimize(front = plan_widths(problem, options));
  state.counters["points"] = static_cast<double>(front.points.size());
  if (!front.points.empty()) state.counters["quantum_us"] = front.points.back().certificate.quantum_us;
}

void resnet50(benchmark::State& state) { plan(state, tailor::plan::testing::resnet50_problem(30, 1)); }
void chain200(benchmark::State& state) { plan(state, tailor::plan::testing::chain_problem(200, 30, 1)); }
void resnet56_inner(benchmark::State& state) {
  plan(state, tailor::plan::testing::independent_problem(54, 6, 1));
}

}  // namespace

BENCHMARK(resnet50)->Arg(0)->Arg(50)->Arg(70)->Arg(90)->Unit(benchmark::kMillisecond);
BENCHMARK(chain200)->Arg(0)->Arg(70)->Unit(benchmark::kMillisecond);
BENCHMARK(resnet56_inner)->Arg(0)->Arg(90)->Unit(benchmark::kMillisecond);

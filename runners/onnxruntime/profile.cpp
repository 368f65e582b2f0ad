// In-place profile. Both sessions take turns; each turn is one run to refill the caches and then timed single
// runs. With one thread a run is kept only if it was not preempted: its wall time is then its CPU time.
#include "runners/onnxruntime/profile.h"

#include "runners/onnxruntime/trace.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace tailor::ort {
namespace {

constexpr int kRunsPerTurn = 3;
constexpr int kMostRounds = 250;  // 1000 runs; the runtime keeps a million events

// One untimed run, then timed ones.
void take_turn(Prepared& model, std::vector<Turn>& turns) {
  model.run();
  for (int i = 0; i < kRunsPerTurn; ++i) turns.push_back(timed_run(model));
}

Json nodes_of(const std::vector<TracedRun>& runs) {
  std::map<std::pair<std::string, std::string>, std::size_t> index;
  Json nodes = Json::array();
  for (std::size_t r = 0; r < runs.size(); ++r)
    for (const NodeEvent& event : runs[r].nodes) {
      auto [it, fresh] = index.try_emplace({event.name, event.op}, nodes.size());
      if (fresh)
        nodes.push_back({{"name", event.name},
                         {"op", event.op},
                         {"us", std::vector<double>(runs.size(), 0.0)},
                         {"input_shapes", event.shapes}});
      Json& us = nodes[it->second]["us"][r];
      us = us.get<double>() + event.us;
    }
  return nodes;
}

// The turns worth keeping: the undisturbed ones, but at least a quarter of all, the least disturbed first.
std::vector<bool> kept(const std::vector<Turn>& turns, int threads) {
  std::vector<std::size_t> order(turns.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  auto disturbance = [&](std::size_t i) { return turns[i].wall / std::max(1.0, turns[i].cpu); };
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return disturbance(a) < disturbance(b); });
  std::vector<bool> keep(turns.size());
  for (std::size_t rank = 0; rank < order.size(); ++rank)
    keep[order[rank]] = turns[order[rank]].clean(threads) || rank < (turns.size() + 3) / 4;
  return keep;
}

// The traced runs of the turns worth keeping. `skipped` runs come first; each round begins with an untimed
// one.
std::vector<TracedRun> kept_runs(std::vector<TracedRun> traced, const std::vector<Turn>& turns, int threads,
                                 std::size_t skipped) {
  std::vector<TracedRun> runs;
  std::vector<bool> keep = kept(turns, threads);
  for (std::size_t i = 0; i < turns.size(); ++i) {
    std::size_t at = skipped + i + i / kRunsPerTurn + 1;
    if (keep[i] && at < traced.size()) runs.push_back(std::move(traced[at]));
  }
  return runs;
}

std::vector<double> kept_walls(const std::vector<Turn>& turns, int threads) {
  std::vector<double> walls;
  std::vector<bool> keep = kept(turns, threads);
  for (std::size_t i = 0; i < turns.size(); ++i)
    if (keep[i]) walls.push_back(turns[i].wall);
  return walls;
}

}  // namespace

Json profile_in_place(ModelCache& cache, double overhead, const std::filesystem::path& path,
                      const Json& shapes, const Measurement& how, const Progress& progress) {
  auto plain_model = cache.get(path, Loading{how.threads});
  TracedModel traced(plain_model->api(), path, how.threads, overhead);
  auto resolved = resolve_shapes(*plain_model, shapes);
  Prepared plain(plain_model, random_inputs(*plain_model, resolved, how.seed));
  Prepared profiled(traced.model(), random_inputs(*plain_model, resolved, how.seed));
  constexpr std::size_t kWarmUps = 5;
  for (std::size_t i = 0; i < kWarmUps; ++i) plain.run(), profiled.run();
  std::vector<Turn> plain_turns, profiled_turns;
  const StopWatch wall(CLOCK_MONOTONIC);
  const double start = wall.now_us();
  const int rounds = std::min(how.rounds, kMostRounds);
  for (int round = 0; round < rounds; ++round) {
    take_turn(plain, plain_turns);
    take_turn(profiled, profiled_turns);
    progress(static_cast<double>(round) / rounds);
    if (how.time_limit_s > 0 && wall.now_us() - start > how.time_limit_s * 1e6) break;
  }
  auto runs = kept_runs(traced.read_trace(), profiled_turns, how.threads, kWarmUps);
  Json answer = {{"nodes", nodes_of(runs)}, {"run_us", Json::array()}};
  for (const TracedRun& run : runs) answer["run_us"].push_back(run.us);
  answer["unprofiled_us"] = kept_walls(plain_turns, how.threads);
  answer["node_overhead_us"] = overhead;
  answer["clock"] = "wall";
  return answer;
}

}  // namespace tailor::ort

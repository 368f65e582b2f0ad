// In-place profile. Both sessions take turns; each turn is one run to refill the caches and then timed single
// runs. With one thread a pair of runs, one of each session, is kept only if neither was preempted: its wall time is then
// its CPU time.
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
constexpr int kMostRounds = 250;     // 1000 runs; the runtime keeps a million events
constexpr std::size_t kEnough = 80;  // undisturbed pairs of runs
constexpr double kPatience = 3;      // times the limit, as long as there are fewer

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

// The n-th timed run of either session.
struct Pairs {
  std::vector<Turn> plain, profiled;

  double disturbance(std::size_t i) const {
    auto of = [](const Turn& turn) { return turn.wall / std::max(1.0, turn.cpu); };
    return std::max(of(plain[i]), of(profiled[i]));
  }
  std::size_t undisturbed(int threads) const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < plain.size(); ++i) count += clean(i, threads);
    return count;
  }
  // The pairs worth keeping, in their order: the undisturbed ones, but at least a quarter of all, the least
  // disturbed first.
  std::vector<std::size_t> kept(int threads) const {
    std::vector<std::size_t> order(plain.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return disturbance(a) < disturbance(b); });
    const auto rest = order.begin() + static_cast<std::ptrdiff_t>((order.size() + 3) / 4);
    order.erase(std::remove_if(rest, order.end(), [&](std::size_t i) { return !clean(i, threads); }),
                order.end());
    std::sort(order.begin(), order.end());
    return order;
  }

 private:
  bool clean(std::size_t i, int threads) const {
    return plain[i].clean(threads) && profiled[i].clean(threads);
  }
};

std::vector<double> walls(const std::vector<Turn>& turns, const std::vector<std::size_t>& which) {
  std::vector<double> us;
  for (std::size_t i : which) us.push_back(turns[i].wall);
  return us;
}

// Where the n-th timed run stands in the trace: `skipped` runs come first, and each round begins with an untimed one.
std::size_t place_in_trace(std::size_t turn, std::size_t skipped) {
  return skipped + turn + turn / kRunsPerTurn + 1;
}

// Of the traced runs those of these turns.
std::vector<TracedRun> runs_of(std::vector<TracedRun> traced, const std::vector<std::size_t>& turns,
                               std::size_t skipped) {
  std::vector<TracedRun> runs;
  for (std::size_t i : turns) runs.push_back(std::move(traced[place_in_trace(i, skipped)]));
  return runs;
}

// Where other programs keep disturbing, it takes longer.
bool over(double seconds, const Measurement& how, const Pairs& pairs) {
  const bool enough = pairs.undisturbed(how.threads) >= kEnough;
  return seconds > how.time_limit_s * (enough ? 1 : kPatience);
}

}  // namespace

Json profile_in_place(ModelCache& cache, double inside_share, const std::filesystem::path& path,
                      const Json& shapes, const Measurement& how, const Progress& progress) {
  auto plain_model = cache.get(path, Loading{how.threads});
  TracedModel traced(plain_model->api(), path, how.threads, 0);
  auto resolved = resolve_shapes(*plain_model, shapes);
  Prepared plain(plain_model, random_inputs(*plain_model, resolved, how.seed));
  Prepared profiled(traced.model(), random_inputs(*plain_model, resolved, how.seed));
  constexpr std::size_t kWarmUps = 5;
  for (std::size_t i = 0; i < kWarmUps; ++i) plain.run(), profiled.run();
  Pairs pairs;
  const StopWatch wall(CLOCK_MONOTONIC);
  const double start = wall.now_us();
  const int rounds = std::min(how.rounds, kMostRounds);
  for (int round = 0; round < rounds; ++round) {
    take_turn(plain, pairs.plain);
    take_turn(profiled, pairs.profiled);
    progress(static_cast<double>(round) / rounds);
    if (how.time_limit_s > 0 && over((wall.now_us() - start) / 1e6, how, pairs)) break;
  }
  std::vector<TracedRun> trace = traced.read_trace();
  std::vector<std::size_t> kept = pairs.kept(how.threads);
  // The runtime stops writing after a million events: later runs of a large network are not there.
  std::erase_if(kept, [&](std::size_t turn) { return place_in_trace(turn, kWarmUps) >= trace.size(); });
  Json answer = {{"nodes", nodes_of(runs_of(std::move(trace), kept, kWarmUps))},
                 {"run_us", walls(pairs.profiled, kept)},
                 {"unprofiled_us", walls(pairs.plain, kept)},
                 {"inside_share", inside_share}};
  answer["clock"] = "wall";
  return answer;
}

}  // namespace tailor::ort

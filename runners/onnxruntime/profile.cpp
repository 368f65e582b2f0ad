// In-place profile. Both sessions take turns; each turn is one run to refill the caches and then timed single
// runs. With one thread a run is kept only if it was not preempted: its wall time is then its CPU time.
// Afterwards the runtime's trace is read: node events up to a "model_run" event belong to that run.
#include "runners/onnxruntime/profile.h"

#include "tailor/base/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <utility>

namespace tailor::ort {
namespace {

constexpr int kRunsPerTurn = 3;
constexpr int kMostRounds = 250;  // 1000 runs; the runtime keeps a million events

struct Turn {
  double wall = 0, cpu = 0;
  bool clean(int threads) const { return threads > 1 || wall <= cpu * 1.03 + 5; }
};

Turn timed_run(Prepared& model) {
  const StopWatch wall(CLOCK_MONOTONIC), cpu(CLOCK_THREAD_CPUTIME_ID);
  double wall_start = wall.now_us(), cpu_start = cpu.now_us();
  model.run();
  double cpu_end = cpu.now_us();
  return {wall.now_us() - wall_start, cpu_end - cpu_start};
}

// One untimed run, then timed ones.
void take_turn(Prepared& model, std::vector<Turn>& turns) {
  model.run();
  for (int i = 0; i < kRunsPerTurn; ++i) turns.push_back(timed_run(model));
}

struct NodeEvent {
  std::string name, op, shapes;
  double start = 0, us = 0;
};
struct TracedRun {
  std::vector<NodeEvent> nodes;
  double us = 0;
};

bool contains_others(const std::string& op) { return op == "If" || op == "Loop" || op == "Scan"; }

// A control-flow node ends after the nodes of its body, whose time it includes: those are dropped.
void add_node(std::vector<NodeEvent>& nodes, NodeEvent event) {
  if (contains_others(event.op))
    std::erase_if(nodes, [&](const NodeEvent& earlier) { return earlier.start >= event.start; });
  nodes.push_back(std::move(event));
}

NodeEvent read_node(const Json& event, const std::string& name) {
  const Json& details = member(event, "args", "profile");
  NodeEvent node;
  node.name = name.substr(0, name.size() - std::string_view("_kernel_time").size());
  node.op = text(details, "op_name", "profile");
  if (details.contains("input_type_shape")) node.shapes = to_line(details["input_type_shape"]);
  node.start = number(event, "ts", "profile");
  node.us = number(event, "dur", "profile");
  return node;
}

std::vector<TracedRun> read_trace(const std::filesystem::path& path) {
  std::vector<TracedRun> runs;
  TracedRun current;
  Json trace = parse_json(map_file(path).view(), path.string());
  for (const Json& event : trace) {
    std::string category = event.value("cat", ""), name = event.value("name", "");
    if (category == "Node" && name.ends_with("_kernel_time")) add_node(current.nodes, read_node(event, name));
    if (category == "Session" && name == "model_run") {
      current.us = number(event, "dur", "profile");
      runs.push_back(std::exchange(current, {}));
    }
  }
  return runs;
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

// The traced runs that belong to clean turns; all if there is none. Run 0 and the first of each turn are not
// timed.
std::vector<TracedRun> clean_runs(std::vector<TracedRun> traced, const std::vector<Turn>& turns, int threads,
                                  std::size_t skipped) {
  std::vector<TracedRun> clean, all;
  for (std::size_t i = 0; i < turns.size(); ++i) {
    std::size_t at = skipped + i + i / kRunsPerTurn + 1;
    if (at >= traced.size()) break;
    (turns[i].clean(threads) ? clean : all).push_back(std::move(traced[at]));
  }
  return clean.empty() ? all : clean;
}

std::vector<double> clean_walls(const std::vector<Turn>& turns, int threads) {
  std::vector<double> clean, all;
  for (const Turn& turn : turns) (turn.clean(threads) ? clean : all).push_back(turn.wall);
  return clean.empty() ? all : clean;
}

}  // namespace

Json profile_in_place(ModelCache& cache, const std::filesystem::path& path, const Json& shapes,
                      const Measurement& how, const Progress& progress) {
  auto plain_model = cache.get(path, how.threads);
  TemporaryFolder folder;
  auto profiled_model = std::make_shared<const LoadedModel>(plain_model->api(), path, how.threads,
                                                            (folder.path() / "profile").string());
  auto resolved = resolve_shapes(*plain_model, shapes);
  Prepared plain(plain_model, random_inputs(*plain_model, resolved, how.seed));
  Prepared profiled(profiled_model, random_inputs(*profiled_model, resolved, how.seed));
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
  auto runs = clean_runs(read_trace(profiled_model->end_profile()), profiled_turns, how.threads, kWarmUps);
  Json answer = {{"nodes", nodes_of(runs)}, {"run_us", Json::array()}};
  for (const TracedRun& run : runs) answer["run_us"].push_back(run.us);
  answer["unprofiled_us"] = clean_walls(plain_turns, how.threads);
  answer["clock"] = "wall";
  return answer;
}

}  // namespace tailor::ort

// The trace is a JSON array of events; node events up to a "model_run" event belong to that run.
#include "runners/onnxruntime/trace.h"

#include "tailor/onnx/onnx.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace tailor::ort {
namespace {

bool contains_others(const std::string& op) { return op == "If" || op == "Loop" || op == "Scan"; }

// A control-flow node ends after the nodes of its body, whose time it includes: those are dropped.
void add_node(std::vector<NodeEvent>& nodes, NodeEvent event) {
  if (contains_others(event.op))
    std::erase_if(nodes, [&](const NodeEvent& earlier) { return earlier.start >= event.start; });
  nodes.push_back(std::move(event));
}

NodeEvent read_node(const Json& event, const std::string& name, double overhead) {
  const Json& details = member(event, "args", "profile");
  NodeEvent node;
  node.name = name.substr(0, name.size() - std::string_view("_kernel_time").size());
  node.op = text(details, "op_name", "profile");
  if (details.contains("input_type_shape")) node.shapes = to_line(details["input_type_shape"]);
  node.start = number(event, "ts", "profile");
  node.us = std::max(0.0, number(event, "dur", "profile") - overhead);
  return node;
}

// A chain of `length` nodes on four numbers that no optimisation removes.
graph::Model chain(int length) {
  graph::Model model;
  model.graph.name = "chain";
  model.graph.inputs = {{"v0", graph::DataType::f32, graph::Shape{4}}};
  for (int i = 0; i < length; ++i)
    model.graph.nodes.push_back({i % 2 ? "Neg" : "Abs",
                                 "",
                                 fmt::format("n{}", i),
                                 {fmt::format("v{}", i)},
                                 {fmt::format("v{}", i + 1)}});
  model.graph.outputs = {{fmt::format("v{}", length), graph::DataType::f32, graph::Shape{4}}};
  return model;
}

// A chain with profiler and without.
class Chain {
 public:
  Chain(const Api& api, const TemporaryFolder& folder, int length)
      : traced_(api, written(folder, length), 1, 0),
        plain_(std::make_shared<const LoadedModel>(api, written(folder, length), Loading{})),
        with_(traced_.model(), random_inputs(*plain_, {{4}}, 0)),
        without_(plain_, random_inputs(*plain_, {{4}}, 0)) {}

  // Each once to refill the caches, and once for the clock.
  void take_turn() {
    without_.run();
    wholes_.push_back(timed_run(without_).cpu);
    with_.run();
    traced_wholes_.push_back(timed_run(with_).cpu);
  }
  // us of the turns so far: [0] whole without profiler, [1] whole under it, [2] the sum of its nodes
  std::array<std::vector<double>, 3> times() const {
    std::vector<double> sums;
    std::vector<TracedRun> runs = traced_.read_trace();
    for (std::size_t i = 1; i < runs.size(); i += 2) {
      sums.push_back(0);
      for (const NodeEvent& node : runs[i].nodes) sums.back() += node.us;
    }
    return {wholes_, traced_wholes_, sums};
  }

 private:
  static std::filesystem::path written(const TemporaryFolder& folder, int length) {
    auto path = folder.path() / fmt::format("chain{}.onnx", length);
    onnx::write(chain(length), path);
    return path;
  }
  TracedModel traced_;
  std::shared_ptr<const LoadedModel> plain_;
  Prepared with_, without_;
  std::vector<double> wholes_, traced_wholes_;
};

// Means over those turns in which both chains together were fastest, a half of all.
std::array<double, 3> longer_by(const std::array<std::vector<double>, 3>& longer,
                                const std::array<std::vector<double>, 3>& shorter) {
  std::vector<std::size_t> order(longer[0].size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  auto all = [&](std::size_t turn) {
    return longer[0][turn] + longer[1][turn] + shorter[0][turn] + shorter[1][turn];
  };
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return all(a) < all(b); });
  order.resize((order.size() + 1) / 2);
  std::array<double, 3> means{};
  for (std::size_t k = 0; k < means.size(); ++k)
    for (std::size_t turn : order)
      means[k] += (longer[k][turn] - shorter[k][turn]) / static_cast<double>(order.size());
  return means;
}

}  // namespace

Turn timed_run(Prepared& model) {
  const StopWatch wall(CLOCK_MONOTONIC), cpu(CLOCK_THREAD_CPUTIME_ID);
  double wall_start = wall.now_us(), cpu_start = cpu.now_us();
  model.run();
  double cpu_end = cpu.now_us();
  return {wall.now_us() - wall_start, cpu_end - cpu_start};
}

TracedModel::TracedModel(const Api& api, const std::filesystem::path& path, int threads,
                         double node_overhead_us)
    : folder_(std::make_unique<TemporaryFolder>()),
      model_(std::make_shared<const LoadedModel>(
          api, path, Loading{threads, false, (folder_->path() / "trace").string()})),
      overhead_(node_overhead_us) {}

std::vector<TracedRun> TracedModel::read_trace() const {
  std::vector<TracedRun> runs;
  TracedRun current;
  auto file = model_->end_profile();
  Json trace = parse_json(map_file(file).view(), file.string());
  for (const Json& event : trace) {
    std::string category = event.value("cat", ""), name = event.value("name", "");
    if (category == "Node" && name.ends_with("_kernel_time"))
      add_node(current.nodes, read_node(event, name, overhead_));
    if (category == "Session" && name == "model_run") {
      current.us = number(event, "dur", "profile");
      runs.push_back(std::exchange(current, {}));
    }
  }
  return runs;
}

ProfilerCost profiler_cost(const Api& api) {
  constexpr int kShort = 16, kLong = 144, kTurns = 200;
  TemporaryFolder folder;
  Chain shorter(api, folder, kShort), longer(api, folder, kLong);
  for (int i = 0; i < kTurns; ++i) shorter.take_turn(), longer.take_turn();
  const auto [whole, traced_whole, nodes] = longer_by(longer.times(), shorter.times());
  return {std::clamp((nodes - whole) / (kLong - kShort), 0.0, 20.0),
          std::clamp((nodes - whole) / std::max(1.0, traced_whole - whole), 0.0, 1.0)};
}

}  // namespace tailor::ort

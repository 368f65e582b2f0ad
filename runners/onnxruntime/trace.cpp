// The trace is a JSON array of events; node events up to a "model_run" event belong to that run.
#include "runners/onnxruntime/trace.h"

#include "tailor/onnx/onnx.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
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

double median_of(std::vector<double> values) {
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct ChainTime {
  double whole = 0, nodes = 0;  // us, median of runs: without profiler, and the sum that the profiler reports
};

ChainTime time_chain(const Api& api, const TemporaryFolder& folder, int length) {
  constexpr int kRuns = 200;
  auto path = folder.path() / fmt::format("chain{}.onnx", length);
  onnx::write(chain(length), path);
  TracedModel traced(api, path, 1, 0);
  auto plain = std::make_shared<const LoadedModel>(api, path, Loading{});
  Prepared with(traced.model(), random_inputs(*plain, {{4}}, 0)),
      without(plain, random_inputs(*plain, {{4}}, 0));
  std::vector<double> wholes, sums;
  for (int i = 0; i < kRuns; ++i) {
    with.run();  // to refill the caches, as below
    with.run();
    without.run();
    wholes.push_back(timed_run(without).cpu);
  }
  std::vector<TracedRun> runs = traced.read_trace();
  for (std::size_t i = 1; i < runs.size(); i += 2) {
    sums.push_back(0);
    for (const NodeEvent& node : runs[i].nodes) sums.back() += node.us;
  }
  return {median_of(std::move(wholes)), median_of(std::move(sums))};
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

double profiler_overhead(const Api& api) {
  constexpr int kShort = 16, kLong = 144;
  TemporaryFolder folder;
  ChainTime shorter = time_chain(api, folder, kShort), longer = time_chain(api, folder, kLong);
  double per_node = (longer.nodes - shorter.nodes) - (longer.whole - shorter.whole);
  return std::clamp(per_node / (kLong - kShort), 0.0, 20.0);
}

}  // namespace tailor::ort

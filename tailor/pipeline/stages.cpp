// node_times      executed nodes -> nodes of the model, what is left over spread
// operator_graph  nodes that depend on the inputs as operators, with what a runtime fuses in one colour
// plan_stages     the placement's devices, in the order in which samples pass them
// stage_network   profile -> plan -> models -> times, and again with the times of slow stages' nodes raised
#include "tailor/pipeline/stages.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/bench.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

namespace tailor::pipeline {
namespace {

using graph::Model;
using graph::Node;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

// Nodes that something from the network's inputs reaches and that an output needs: the others follow from constants, or are dead.
std::vector<bool> live_nodes(const Subject& subject) {
  const std::vector<Node>& nodes = subject.model.graph.nodes;
  std::set<std::string> moving, needed;
  for (const graph::ValueInfo& input : subject.model.graph.inputs) moving.insert(input.name);
  for (const graph::ValueInfo& output : subject.model.graph.outputs) needed.insert(output.name);
  std::vector<bool> live(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::vector<std::string> reads = graph::reads(nodes[i]);
    live[i] = std::any_of(reads.begin(), reads.end(), [&](const auto& name) {
      return moving.contains(name) && !subject.shapes.constant(name);
    });
    if (live[i]) moving.insert(nodes[i].outputs.begin(), nodes[i].outputs.end());
  }
  for (std::size_t i = nodes.size(); i-- > 0;) {
    live[i] = live[i] && std::any_of(nodes[i].outputs.begin(), nodes[i].outputs.end(),
                                     [&](const auto& name) { return needed.contains(name); });
    if (live[i])
      for (const std::string& name : graph::reads(nodes[i])) needed.insert(name);
  }
  return live;
}

bool fused_into_what_it_reads(const Node& node) {
  static const std::set<std::string> ops = {
      "BatchNormalization", "Relu",          "LeakyRelu", "PRelu", "Clip", "Sigmoid", "HardSigmoid",
      "HardSwish",          "Tanh",          "Elu",       "Add",   "Sum",  "Mul",     "Dropout",
      "Identity",           "QuantizeLinear"};
  return ops.contains(node.op);
}

// Colours: a node with the one whose output only it reads, where runtimes fuse it; of several the latest (the sum of a branch is
// computed by the branch's last layer).
std::vector<int> colours(const Subject& subject, const graph::Uses& uses, const std::vector<bool>& live) {
  const std::vector<Node>& nodes = subject.model.graph.nodes;
  std::vector<int> colour(nodes.size());
  std::iota(colour.begin(), colour.end(), 0);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (!live[i] || !fused_into_what_it_reads(nodes[i])) continue;
    int with = -1;
    for (const std::string& name : nodes[i].inputs)
      if (const int maker = uses.producer(name);
          maker >= 0 && live[at(maker)] && uses.only_reader(name) == static_cast<int>(i))
        with = std::max(with, maker);
    if (with >= 0) colour[i] = colour[at(with)];
  }
  return colour;
}

struct Operators {
  plan::OperatorGraph graph;
  std::vector<int> node;  // of each operator
};

Operators operators_of(const Subject& subject, const std::vector<double>& us, int stages) {
  const graph::Uses uses(subject.model.graph);
  const std::vector<bool> live = live_nodes(subject);
  const std::vector<int> colour = colours(subject, uses, live);
  Operators o;
  o.graph.accelerators = 0, o.graph.cpus = stages;
  std::map<int, int> of_node;
  for (int i = 0; i < static_cast<int>(live.size()); ++i) {
    if (!live[at(i)]) continue;
    of_node[i] = static_cast<int>(o.node.size());
    o.node.push_back(i);
    plan::Operator op;
    op.name = subject.model.graph.nodes[at(i)].label(), op.cpu = us[at(i)], op.supported = false,
    op.colour = colour[at(i)];
    o.graph.operators.push_back(std::move(op));
  }
  std::set<std::pair<int, int>> edges;
  for (const auto& [node, index] : of_node)
    for (const std::string& name : graph::reads(subject.model.graph.nodes[at(node)]))
      if (auto from = of_node.find(uses.producer(name)); from != of_node.end())
        edges.emplace(from->second, index);
  o.graph.edges.assign(edges.begin(), edges.end());
  return o;
}

// Devices in an order in which none reads from a later one. @pre the split is contiguous
std::vector<int> in_order(const plan::OperatorGraph& graph, const std::vector<int>& device, int devices) {
  std::set<std::pair<int, int>> before;
  for (auto [from, to] : graph.edges)
    if (device[at(from)] != device[at(to)]) before.emplace(device[at(from)], device[at(to)]);
  std::vector<int> order;
  std::set<int> open;
  for (int d = 0; d < devices; ++d) open.insert(d);
  while (!open.empty()) {
    auto next = std::find_if(open.begin(), open.end(), [&](int d) {
      return std::none_of(before.begin(), before.end(),
                          [&](const auto& edge) { return edge.second == d && open.contains(edge.first); });
    });
    TAILOR_CHECK(next != open.end());
    order.push_back(*next);
    open.erase(next);
  }
  return order;
}

std::int64_t bytes_of(const graph::Shapes& shapes, const std::string& value) {
  const graph::TensorType* type = shapes.find(value);
  if (!type || std::any_of(type->shape.begin(), type->shape.end(), [](std::int64_t d) { return d < 0; }))
    return 0;
  return graph::element_count(type->shape) * static_cast<std::int64_t>(graph::element_size(type->type));
}

// What crosses the borders of each stage.
void find_borders(const Subject& subject, std::vector<Stage>& stages) {
  const graph::Graph& g = subject.model.graph;
  std::map<std::string, std::size_t> maker;  // stage
  for (std::size_t s = 0; s < stages.size(); ++s)
    for (int node : stages[s].nodes)
      for (const std::string& name : g.nodes[at(node)].outputs) maker[name] = s;
  std::set<std::string> given, wanted;
  for (const graph::ValueInfo& input : g.inputs) given.insert(input.name);
  for (const graph::ValueInfo& output : g.outputs) wanted.insert(output.name);
  std::vector<std::set<std::string>> sent(stages.size());
  for (std::size_t s = 0; s < stages.size(); ++s) {
    std::set<std::string> read;
    for (int node : stages[s].nodes)
      for (const std::string& name : graph::reads(g.nodes[at(node)])) {
        auto made = maker.find(name);
        const bool outside = made != maker.end() && made->second != s;
        if (outside) sent[made->second].insert(name);
        if ((outside || given.contains(name)) && read.insert(name).second) stages[s].inputs.push_back(name);
      }
    std::stable_partition(stages[s].inputs.begin(), stages[s].inputs.end(),
                          [&](const auto& name) { return given.contains(name); });
  }
  for (std::size_t s = 0; s < stages.size(); ++s)
    for (int node : stages[s].nodes)
      for (const std::string& name : g.nodes[at(node)].outputs) {
        if (!sent[s].contains(name) && !wanted.contains(name)) continue;
        stages[s].outputs.push_back(name);
        if (sent[s].contains(name)) stages[s].bytes_out += bytes_of(subject.shapes, name);
      }
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

PipelineTimes timed(runtime::Runner& runner, const Subject& subject, const std::vector<Model>& models,
                    const StagingOptions& o) {
  TemporaryFolder folder(true);
  std::filesystem::path whole = subject.path;
  if (whole.empty()) onnx::write(subject.model, whole = folder.fresh(".onnx"));
  Json stages = Json::array(), inputs = Json::object();
  for (const Model& model : models) {
    const std::filesystem::path file = folder.fresh(".onnx");
    onnx::write(model, file);
    stages.push_back(file.string());
  }
  for (const graph::ValueInfo& input : subject.model.graph.inputs)
    if (const graph::Shape* shape = subject.shapes.shape(input.name)) inputs[input.name] = *shape;
  const Json answer = runner.ask({{"op", "pipeline"},
                                  {"stages", std::move(stages)},
                                  {"whole", std::filesystem::absolute(whole).string()},
                                  {"inputs", std::move(inputs)},
                                  {"samples", o.samples},
                                  {"rounds", o.rounds},
                                  {"seed", o.seed}});
  PipelineTimes times;
  times.us = median(answer.at("us").get<std::vector<double>>());
  times.whole_us = median(answer.at("whole_us").get<std::vector<double>>());
  for (const Json& stage : answer.at("busy_us"))
    times.busy_us.push_back(median(stage.get<std::vector<double>>()));
  times.difference = answer.at("difference").get<double>(), times.pinned = answer.at("pinned").get<bool>();
  return times;
}

// Nodes of a stage together take what the stage took.
void correct(std::vector<double>& us, const StagePlan& plan, const PipelineTimes& times) {
  for (std::size_t s = 0; s < plan.stages.size(); ++s)
    for (int node : plan.stages[s].nodes)
      if (plan.stages[s].expected_us > 0) us[at(node)] *= times.busy_us[s] / plan.stages[s].expected_us;
}

bool as_expected(const StagePlan& plan, const PipelineTimes& times, double enough) {
  const double slowest = *std::max_element(times.busy_us.begin(), times.busy_us.end());
  return std::abs(slowest / plan.expected_us() - 1) <= enough;
}

void check_same_outputs(double difference) {
  constexpr double kMost = 1e-3;
  if (!(difference <= kMost))
    throw Error(
        Code::runner_failed,
        fmt::format(
            "the stages compute something else than the network: outputs differ by {:.2g} of their magnitude",
            difference),
        "pipeline", "this is a fault of Tailor or of the runtime: please report the model");
}

}  // namespace

double StagePlan::expected_us() const {
  double most = 0;
  for (const Stage& stage : stages) most = std::max(most, stage.expected_us);
  return most;
}

std::vector<double> node_times(const Subject& subject, const InPlace& in_place) {
  const std::vector<Node>& nodes = subject.model.graph.nodes;
  std::map<std::string, std::size_t> by_name;
  for (std::size_t i = 0; i < nodes.size(); ++i) by_name.emplace(nodes[i].name, i);
  std::vector<double> us(nodes.size(), 0.0);
  double assigned = 0;
  for (const ExecutedNode& executed : in_place.nodes) {
    auto named = by_name.find(executed.name);
    std::size_t node = named == by_name.end() ? nodes.size() : named->second;
    if (executed.layer >= 0) node = at(subject.layers[at(executed.layer)].node);
    if (node == nodes.size()) continue;
    us[node] += executed.us, assigned += executed.us;
  }
  if (assigned > 0)
    for (double& time : us) time *= in_place.network_us / assigned;
  return us;
}

StagePlan plan_stages(const Subject& subject, const std::vector<double>& us, int stages) {
  const Operators operators = operators_of(subject, us, stages);
  plan::PlacementOptions options;
  options.search_steps = 0;  // only contiguous parts are models of their own
  const plan::PlacementResult found = plan::place_for_throughput(operators.graph, options);
  std::vector<int> device = found.contiguous.device;
  std::set<int> used(device.begin(), device.end());
  if (static_cast<int>(used.size()) < stages)
    throw Error(Code::bad_value, fmt::format("the network has no {} parts that take time", stages),
                "--stages", "ask for fewer stages");
  StagePlan plan;
  plan.optimal = found.optimal, plan.bound_us = found.contiguous_bound;
  for (int d : in_order(operators.graph, device, stages)) {
    Stage stage;
    for (std::size_t i = 0; i < device.size(); ++i)
      if (device[i] == d)
        stage.nodes.push_back(operators.node[i]), stage.expected_us += us[at(operators.node[i])];
    plan.stages.push_back(std::move(stage));
  }
  find_borders(subject, plan.stages);
  return plan;
}

graph::ValueInfo declared(const Subject& subject, const graph::Shapes& shapes, const std::string& name) {
  for (const auto* list : {&subject.model.graph.inputs, &subject.model.graph.outputs})
    for (const graph::ValueInfo& info : *list)
      if (info.name == name) return info;
  const graph::TensorType* type = shapes.find(name);
  if (!type) return {name, graph::DataType::f32, std::nullopt, {}, {}};
  std::vector<std::string> symbols(type->shape.size());
  if (!symbols.empty() && type->shape[0] < 0) symbols[0] = "samples";
  return {name, type->type, type->shape, symbols, {}};
}

std::vector<Model> stage_models(const Subject& subject, const StagePlan& plan) {
  const graph::Shapes shapes = graph::infer_shapes(subject.model, subject.overrides, graph::kUnknown);
  std::vector<Model> models;
  for (const Stage& stage : plan.stages) {
    std::vector<graph::ValueInfo> inputs, outputs;
    for (const std::string& name : stage.inputs) inputs.push_back(declared(subject, shapes, name));
    for (const std::string& name : stage.outputs) outputs.push_back(declared(subject, shapes, name));
    models.push_back(graph::slice(subject.model, inputs, outputs));
  }
  return models;
}

Staging stage_network(runtime::Runner& runner, const Subject& subject, const StagingOptions& o) {
  if (o.say) o.say("profiling the network in place");
  const runtime::TimingOptions timing{.threads = 1, .rounds = 15, .seed = o.seed};
  InPlace in_place = account(runner.profile(timing_job(subject.path, subject.overrides), timing));
  match_layers(subject, in_place);
  std::vector<double> us = node_times(subject, in_place);
  Staging best;
  double profiled_us = 0;
  for (int correction = 0; correction <= o.corrections; ++correction) {
    Staging now;
    now.plan = plan_stages(subject, us, o.stages);
    now.models = stage_models(subject, now.plan);
    now.times = timed(runner, subject, now.models, o);
    now.corrections = correction;
    check_same_outputs(now.times.difference);
    if (correction == 0) profiled_us = now.plan.expected_us();
    if (o.say)
      o.say(fmt::format("slowest stage expected {:.1f} us, pipeline {:.1f} us a sample, one core {:.1f} us",
                        now.plan.expected_us(), now.times.us, now.times.whole_us));
    correct(us, now.plan, now.times);
    const bool settled = as_expected(now.plan, now.times, o.enough);
    if (correction == 0 || now.times.gain() > best.times.gain()) best = std::move(now);
    if (settled) break;
  }
  best.profiled_us = profiled_us;
  return best;
}

Json stages_json(const Subject& subject, const Staging& staging, const std::vector<std::string>& files) {
  Json stages = Json::array();
  for (std::size_t s = 0; s < staging.plan.stages.size(); ++s) {
    const Stage& stage = staging.plan.stages[s];
    Json json = {{"operators", stage.nodes.size()},  {"inputs", stage.inputs},
                 {"outputs", stage.outputs},         {"bytes_out", stage.bytes_out},
                 {"expected_us", stage.expected_us}, {"busy_us", staging.times.busy_us[s]}};
    if (s < files.size()) json["file"] = files[s];
    stages.push_back(std::move(json));
  }
  const PipelineTimes& t = staging.times;
  return {{"schema", "tailor/stages/1"},
          {"model", subject.path.filename().string()},
          {"sha256", subject.sha256()},
          {"stages", std::move(stages)},
          {"optimal", staging.plan.optimal},
          {"bound_us", staging.plan.bound_us},
          {"profiled_us", staging.profiled_us},
          {"expected_us", staging.plan.expected_us()},
          {"corrections", staging.corrections},
          {"us", t.us},
          {"whole_us", t.whole_us},
          {"gain", t.gain()},
          {"difference", t.difference},
          {"pinned", t.pinned}};
}

}  // namespace tailor::pipeline

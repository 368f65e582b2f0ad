/// \file Models with bodies, from lines as those of graphs.h: a choice, a recurrent layer spelled out as a Loop, a Scan.
#pragma once

#include "tests/rewrite/graphs.h"

namespace tailor::testing {

using graph::DataType;
using graph::Graph;
using graph::Model;
using graph::Node;
using graph::ValueInfo;

// The graph of such lines as a body; its constants are called after `tag`, since names must not hide outer ones.
inline std::shared_ptr<const Graph> body(const std::string& tag, const std::vector<std::string>& lines,
                                         std::vector<ValueInfo> inputs,
                                         const std::vector<std::string>& outputs) {
  Graph made = graph_of(lines, {}).graph;
  Graph graph;
  graph.name = tag;
  for (const auto& [name, tensor] : made.initializers) graph.initializers[tag + name] = tensor;
  for (Node node : made.nodes) {
    node.name = tag + node.name;
    for (std::string& name : node.inputs)
      if (made.initializers.contains(name)) name = tag + name;
    graph.nodes.push_back(std::move(node));
  }
  graph.inputs = std::move(inputs);
  for (const std::string& name : outputs) graph.outputs.push_back({name, DataType::f32});
  return std::make_shared<const Graph>(std::move(graph));
}

inline Node branches(const std::string& condition, std::vector<std::string> outputs,
                     std::shared_ptr<const Graph> yes, std::shared_ptr<const Graph> no) {
  Node node{"If", "", "choice", {condition}, std::move(outputs)};
  node.attributes["then_branch"] = {std::move(yes)};
  node.attributes["else_branch"] = {std::move(no)};
  return node;
}

// The nodes of `lines`, then `node`, then those of `rest`.
inline Model around(const std::vector<std::string>& lines, Node node, const std::vector<std::string>& rest,
                    graph::Shape input) {
  std::vector<std::string> all = lines;
  all.insert(all.end(), rest.begin(), rest.end());
  Model model = graph_of(all, std::move(input), {}, 16);
  model.graph.nodes.insert(model.graph.nodes.begin() + static_cast<std::ptrdiff_t>(lines.size()), node);
  if (rest.empty()) model.graph.outputs = {{node.outputs[0], DataType::f32}};
  return model;
}

// Asks at run time which branch to take: the one that `threshold` says.
inline std::vector<std::string> asking(double threshold) {
  return {"Conv x 8x4x1x1 8 -> a", "ReduceMax x -> m | keepdims=0",
          "Greater m {" + std::to_string(threshold) + "}f -> yes"};
}

inline Model choosing(double threshold) {
  auto yes = body("t", {"Conv a 6x8x3x3 6 -> b | pads=[1,1,1,1]", "Relu b -> c", "Conv c 8x6x1x1 8 -> d"}, {},
                  {"d"});
  auto no = body("e", {"Sigmoid a -> s", "Mul s {0.5}f -> f"}, {}, {"f"});
  return around(asking(threshold), branches("yes", {"z"}, yes, no), {"Conv z 2x8x1x1 -> y"}, {1, 4, 5, 5});
}

inline ValueInfo scalar(const std::string& name, DataType type) { return {name, type, graph::Shape{}}; }

inline Node loop(std::vector<std::string> inputs, std::vector<std::string> outputs,
                 std::shared_ptr<const Graph> inner) {
  Node node{"Loop", "", "rounds", std::move(inputs), std::move(outputs)};
  node.attributes["body"] = {std::move(inner)};
  return node;
}

// A recurrent layer spelled out: the state starts as a constant and is multiplied with weights in every round.
inline Model spelled_out(bool constant_start) {
  std::vector<std::string> lines = {"Identity {3} -> trips", "Identity x -> d", "Cast {1} -> going | to=9"};
  if (!constant_start) lines.insert(lines.end(), {"MatMul x 6x8 -> start", "Mul start {0.1}f -> first"});
  Node node =
      loop({"trips", "going", constant_start ? "zero" : "first"}, {"last", "each"},
           body("b",
                {"Identity on -> on2", "MatMul h 8x8 -> r", "MatMul d 6x8 -> u", "Add r u -> v",
                 "Tanh v -> h2", "MatMul h2 8x5 -> w", "Sigmoid w -> q"},
                {scalar("round", DataType::i64), scalar("on", DataType::boolean), {"h", DataType::f32}},
                {"on2", "h2", "q"}));
  auto inner = std::make_shared<Graph>(**node.find<std::shared_ptr<const Graph>>("body"));
  inner->outputs[0].type = DataType::boolean;
  node.attributes["body"] = {std::shared_ptr<const Graph>(inner)};
  Model model = around(lines, node, {"MatMul last 8x4 -> p", "MatMul each 5x4 -> o", "Add o p -> y"}, {2, 6});
  model.graph.initializers["zero"] = graph::make_f32({2, 8}, std::vector<float>(16, 0.25f));
  model.graph.inputs = {{"x", DataType::f32, graph::Shape{2, 6}}};
  return model;
}

// A Scan along axis 1, which also collects along axis 1.
inline Model walking() {
  Node node{"Scan", "", "walk", {"zero", "s"}, {"last", "each"}};
  node.attributes["body"] = {body(
      "b", {"MatMul h 8x8 -> r", "MatMul e 6x8 -> u", "Add r u -> v", "Tanh v -> h2", "MatMul h2 8x5 -> q"},
      {{"h", DataType::f32}, {"e", DataType::f32}}, {"h2", "q"})};
  node.attributes["num_scan_inputs"] = {std::int64_t{1}};
  node.attributes["scan_input_axes"] = {std::vector<std::int64_t>{1}};
  node.attributes["scan_output_axes"] = {std::vector<std::int64_t>{1}};
  Model model = around({"MatMul x 4x6 -> s"}, node, {"MatMul each 5x3 -> y"}, {2, 7, 4});
  model.graph.initializers["zero"] = graph::make_f32({2, 8}, std::vector<float>(16, 0.25f));
  return model;
}

}  // namespace tailor::testing

// residual_branches: for each sum the nodes that only it needs. drop_branch: readers of the sum read its other
// operand; Relus that can no longer do anything go.
#include "tailor/rewrite/branch.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <optional>
#include <set>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;
using graph::Uses;

bool has_weights(const Model& model, const std::vector<int>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(), [&](int i) {
    const std::string& op = model.graph.nodes[i].op;
    return op == "Conv" || op == "ConvTranspose" || op == "Gemm" || op == "MatMul";
  });
}

// Backward from `value`: nodes all of whose readers are in the set already, or the sum, and that the other
// operand does not need. Of what that is computed from only its own writer needs a look: of all others a reader
// stays outside. O(nodes of the branch and their operands).
std::vector<int> exclusive_nodes(const Model& model, const Uses& uses, int sum, const std::string& value,
                                 const std::string& other) {
  const int needed = uses.producer(other);
  std::set<int, std::greater<>> open;
  std::set<int> members;
  auto visit = [&](const std::string& name) {
    if (int producer = uses.producer(name); producer >= 0 && producer != needed) open.insert(producer);
  };
  visit(value);
  while (!open.empty()) {  // highest index first: all readers of a node are decided before it
    int index = *open.begin();
    open.erase(open.begin());
    const Node& node = model.graph.nodes[index];
    bool exclusive = std::all_of(node.outputs.begin(), node.outputs.end(), [&](const std::string& name) {
      const auto& readers = uses.consumers(name);
      return !uses.is_output(name) && std::all_of(readers.begin(), readers.end(),
                                                  [&](int r) { return r == sum || members.contains(r); });
    });
    if (!exclusive) continue;
    members.insert(index);
    for (const std::string& name : graph::reads(node)) visit(name);
  }
  return {members.begin(), members.end()};
}

void rename_reads(Model& model, const std::string& from, const std::string& to) {
  for (Node& node : model.graph.nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
}

bool captured_by_body(const Model& model, const Uses& uses, const std::string& value) {
  const auto& readers = uses.consumers(value);
  return std::any_of(readers.begin(), readers.end(), [&](int reader) {
    const auto& inputs = model.graph.nodes[reader].inputs;
    return std::find(inputs.begin(), inputs.end(), value) == inputs.end();
  });
}

void drop_needless_relus(Model& model, const std::string& value) {
  Uses uses(model.graph);
  for (int reader : uses.consumers(value)) {
    const Node& node = model.graph.nodes[reader];
    if (node.op == "Relu" && !uses.is_output(node.output(0)) &&
        !captured_by_body(model, uses, node.output(0)) && non_negative(model, uses, value))
      rename_reads(model, node.output(0), value);
  }
}

// Can an operand of the node be left out?
bool residual_sum(const Model& model, const graph::Shapes& shapes, const Uses& uses, int index) {
  const Node& node = model.graph.nodes[static_cast<std::size_t>(index)];
  if ((node.op != "Add" && node.op != "Sum") || node.inputs.size() != 2 || node.inputs[0] == node.inputs[1])
    return false;
  if (uses.is_output(node.output(0)) || captured_by_body(model, uses, node.output(0))) return false;
  const graph::Shape *a = shapes.shape(node.inputs[0]), *b = shapes.shape(node.inputs[1]);
  return a && b && *a == *b && !shapes.constant(node.inputs[0]) && !shapes.constant(node.inputs[1]);
}

std::optional<Branch> branch_at(const Model& model, const Uses& uses, int sum, int side) {
  const Node& node = model.graph.nodes[static_cast<std::size_t>(sum)];
  Branch branch{sum, node.input(side), node.input(1 - side), {}, node.output(0)};
  branch.nodes = exclusive_nodes(model, uses, sum, branch.operand, branch.kept);
  if (!has_weights(model, branch.nodes)) return std::nullopt;
  return branch;
}

}  // namespace

bool non_negative(const Model& model, const Uses& uses, const std::string& value) {
  static const std::set<std::string> keeps = {"MaxPool",  "AveragePool", "GlobalAveragePool", "GlobalMaxPool",
                                              "Slice",    "Reshape",     "Transpose",         "Flatten",
                                              "Identity", "Dropout",     "Squeeze",           "Unsqueeze"};
  int producer = uses.producer(value);
  if (producer < 0) return false;
  const Node& node = model.graph.nodes[producer];
  if (node.op == "Relu" || node.op == "Sigmoid" || node.op == "HardSigmoid") return true;
  if (node.op == "Clip") {
    const graph::Tensor* low = graph::constant(model.graph, uses, node.input(1));
    auto bound = low ? graph::as_floats(*low) : std::nullopt;
    return node.attributes.contains("min") ? node.real("min", -1) >= 0
                                           : bound && !bound->empty() && bound->front() >= 0;
  }
  if (node.op == "Pad") {
    bool zero =
        node.text("mode", "constant") == "constant" && node.input(2).empty() && node.real("value", 0) == 0;
    return zero && non_negative(model, uses, node.input(0));
  }
  return keeps.contains(node.op) && non_negative(model, uses, node.input(0));
}

int side_of(const Model& model, const Branch& branch) {
  return model.graph.nodes[static_cast<std::size_t>(branch.sum)].input(0) == branch.operand ? 0 : 1;
}

std::optional<Branch> branch_at(const Model& model, const graph::Shapes& shapes, const std::string& name,
                                int side) {
  Uses uses(model.graph);
  const int sum = uses.producer(name);
  if (sum < 0 || !residual_sum(model, shapes, uses, sum)) return std::nullopt;
  return branch_at(model, uses, sum, side);
}

std::vector<Branch> residual_branches(const Model& model, const graph::Shapes& shapes) {
  Uses uses(model.graph);
  std::vector<Branch> branches;
  for (int i = 0; i < static_cast<int>(model.graph.nodes.size()); ++i) {
    if (!residual_sum(model, shapes, uses, i)) continue;
    std::optional<Branch> a = branch_at(model, uses, i, 0), b = branch_at(model, uses, i, 1);
    if (b && (!a || b->nodes.size() > a->nodes.size())) a = std::move(b);
    if (a) branches.push_back(std::move(*a));
  }
  return branches;
}

Model drop_branch(const Model& model, const Branch& branch) {
  Model result = model;
  rename_reads(result, branch.name, branch.kept);
  graph::remove_dead(result.graph);
  drop_needless_relus(result, branch.kept);
  graph::remove_dead(result.graph);
  graph::check(result.graph);
  return result;
}

}  // namespace tailor::rewrite

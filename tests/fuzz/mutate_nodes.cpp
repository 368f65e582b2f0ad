// What can happen to nodes: attributes, operators, names of values, their place in the graph.
#include "tests/fuzz/mutation.h"

#include <array>

namespace tailor::fuzz {
namespace {

constexpr std::array<const char*, 96> kOperators = {"Conv",
                                                    "ConvTranspose",
                                                    "Gemm",
                                                    "MatMul",
                                                    "BatchNormalization",
                                                    "InstanceNormalization",
                                                    "LayerNormalization",
                                                    "GroupNormalization",
                                                    "Relu",
                                                    "LeakyRelu",
                                                    "PRelu",
                                                    "Clip",
                                                    "Sigmoid",
                                                    "Softmax",
                                                    "HardSwish",
                                                    "Gelu",
                                                    "Erf",
                                                    "Add",
                                                    "Sub",
                                                    "Mul",
                                                    "Div",
                                                    "Pow",
                                                    "Sqrt",
                                                    "Sum",
                                                    "Max",
                                                    "Min",
                                                    "Mean",
                                                    "Concat",
                                                    "Split",
                                                    "Slice",
                                                    "Gather",
                                                    "GatherElements",
                                                    "GatherND",
                                                    "ScatterND",
                                                    "Pad",
                                                    "Reshape",
                                                    "Flatten",
                                                    "Squeeze",
                                                    "Unsqueeze",
                                                    "Transpose",
                                                    "Expand",
                                                    "Tile",
                                                    "Resize",
                                                    "Upsample",
                                                    "MaxPool",
                                                    "AveragePool",
                                                    "GlobalAveragePool",
                                                    "GlobalMaxPool",
                                                    "LpPool",
                                                    "ReduceMean",
                                                    "ReduceSum",
                                                    "ReduceMax",
                                                    "ReduceL2",
                                                    "ArgMax",
                                                    "TopK",
                                                    "Shape",
                                                    "Size",
                                                    "Constant",
                                                    "ConstantOfShape",
                                                    "Range",
                                                    "Cast",
                                                    "Identity",
                                                    "Dropout",
                                                    "DepthToSpace",
                                                    "SpaceToDepth",
                                                    "LSTM",
                                                    "GRU",
                                                    "RNN",
                                                    "If",
                                                    "Loop",
                                                    "Scan",
                                                    "Where",
                                                    "Equal",
                                                    "Less",
                                                    "Greater",
                                                    "Not",
                                                    "And",
                                                    "QLinearConv",
                                                    "QLinearMatMul",
                                                    "QLinearAdd",
                                                    "QuantizeLinear",
                                                    "DequantizeLinear",
                                                    "DynamicQuantizeLinear",
                                                    "ConvInteger",
                                                    "MatMulInteger",
                                                    "Einsum",
                                                    "OneHot",
                                                    "NonZero",
                                                    "Floor",
                                                    "Ceil",
                                                    "Neg",
                                                    "Abs",
                                                    "Exp",
                                                    "Log",
                                                    "Tanh",
                                                    "Nothing"};
constexpr std::array<const char*, 30> kAttributes = {
    "axis",        "axes",        "perm",      "group",          "kernel_shape", "strides",
    "pads",        "dilations",   "auto_pad",  "output_padding", "output_shape", "split",
    "num_outputs", "starts",      "ends",      "keepdims",       "transA",       "transB",
    "alpha",       "beta",        "to",        "mode",           "blocksize",    "ceil_mode",
    "value",       "hidden_size", "direction", "batch_dims",     "epsilon",      "allowzero"};

}  // namespace

void Mutation::value_of(AttributeProto& attribute) {
  if (one_in(12)) return attribute.set_type(static_cast<AttributeProto::AttributeType>(below(15)));
  if (attribute.has_i()) return attribute.set_i(number(attribute.i()));
  if (attribute.has_f()) return attribute.set_f(real());
  if (attribute.ints_size() > 0) return numbers(*attribute.mutable_ints());
  if (attribute.has_s()) return attribute.set_s(one_in(2) ? "" : "SAME_UPPER");
  if (attribute.floats_size() > 0) return attribute.set_floats(index(attribute.floats_size()), real());
}

void Mutation::attribute() {
  NodeProto* node = any(nodes_);
  if (!node || node->attribute_size() == 0) return new_attribute();
  int at = index(node->attribute_size());
  switch (below(8)) {
    case 0:
      node->mutable_attribute()->DeleteSubrange(at, 1);
      return refresh();
    case 1:
      return node->mutable_attribute(at)->set_name(kAttributes[below(kAttributes.size())]);
    default:
      return value_of(*node->mutable_attribute(at));
  }
}

void Mutation::new_attribute() {
  NodeProto* node = any(nodes_);
  if (!node) return;
  const NodeProto* other = any(nodes_);
  if (other->attribute_size() > 0 && one_in(2)) {
    AttributeProto copy = other->attribute(index(other->attribute_size()));
    *node->add_attribute() = std::move(copy);
    return refresh();
  }
  AttributeProto& made = *node->add_attribute();
  made.set_name(kAttributes[below(kAttributes.size())]);
  if (one_in(2)) {
    made.set_type(AttributeProto::INT);
    made.set_i(number(1));
  } else {
    made.set_type(AttributeProto::INTS);
    for (std::size_t i = below(5); i > 0; --i) made.add_ints(number(static_cast<std::int64_t>(i)));
  }
}

void Mutation::operator_name() {
  NodeProto* node = any(nodes_);
  if (!node) return;
  if (one_in(16)) return node->set_domain(one_in(8) ? "elsewhere" : "com.microsoft");
  node->set_op_type(one_in(3) ? any(nodes_)->op_type() : kOperators[below(kOperators.size())]);
}

void Mutation::input_name() {
  NodeProto* node = any(nodes_);
  if (!node) return;
  auto& list = *node->mutable_input();
  switch (below(6)) {
    case 0:
      *list.Add() = value_name();
      break;
    case 1:
      if (!list.empty()) list.RemoveLast();
      break;
    case 2:
      if (list.size() > 1) list.SwapElements(index(list.size()), index(list.size()));
      break;
    default:
      if (!list.empty()) *list.Mutable(index(list.size())) = value_name();
  }
}

void Mutation::output_name() {
  NodeProto* node = any(nodes_);
  if (!node) return;
  auto& list = *node->mutable_output();
  if (one_in(3))
    *list.Add() = one_in(4) ? value_name() : "fresh" + std::to_string(below(1000));
  else if (!list.empty() && one_in(2))
    list.RemoveLast();
  else if (!list.empty())
    *list.Mutable(index(list.size())) = value_name();
}

void Mutation::node_list() {
  GraphProto* graph = any(graphs_);
  auto& list = *graph->mutable_node();
  if (list.empty()) return;
  int at = index(list.size());
  switch (below(4)) {
    case 0:
      bypass(*graph, at);
      break;
    case 1: {
      NodeProto copy = list.Get(at);
      for (auto& name : *copy.mutable_output()) name += "_again";
      *list.Add() = copy;
      for (int i = list.size() - 1; i > at + 1; --i) list.SwapElements(i, i - 1);
      break;
    }
    case 2:
      list.SwapElements(at, index(list.size()));
      break;
    default:
      insert_behind(*graph, at);
  }
  refresh();
}

// The node vanishes; its readers read its first input.
void Mutation::bypass(GraphProto& graph, int at) {
  NodeProto gone = graph.node(at);
  graph.mutable_node()->DeleteSubrange(at, 1);
  if (one_in(4) || gone.input_size() == 0 || gone.output_size() == 0) return;
  for (auto& node : *graph.mutable_node())
    for (auto& name : *node.mutable_input())
      if (name == gone.output(0)) name = gone.input(0);
}

// A new node of one input between a node and its readers.
void Mutation::insert_behind(GraphProto& graph, int at) {
  if (graph.node(at).output_size() == 0) return;
  NodeProto made;
  made.set_op_type(kOperators[below(kOperators.size())]);
  made.add_input(graph.node(at).output(0));
  made.add_output(graph.node(at).output(0) + "_behind");
  for (int i = at + 1; i < graph.node_size(); ++i)
    for (auto& name : *graph.mutable_node(i)->mutable_input())
      if (name == made.input(0)) name = made.output(0);
  auto& list = *graph.mutable_node();
  *list.Add() = std::move(made);
  for (int i = list.size() - 1; i > at + 1; --i) list.SwapElements(i, i - 1);
}

void Mutation::names_swapped() {
  NodeProto *a = any(nodes_), *b = any(nodes_);
  if (!a || a->input_size() == 0 || b->input_size() == 0) return;
  std::swap(*a->mutable_input(0), *b->mutable_input(0));
}

namespace {

GraphProto& add_body(NodeProto& node, const char* name) {
  AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(AttributeProto::GRAPH);
  attribute.mutable_g()->set_name(name);
  return *attribute.mutable_g();
}

// A loop that hands its first input through the node again and again.
void make_loop(NodeProto& node, NodeProto inner) {
  node.set_op_type("Loop");
  node.clear_attribute();
  GraphProto& body = add_body(node, "body");
  for (const char* name : {"a_round", "a_condition", "a_carried"}) body.add_input()->set_name(name);
  body.add_output()->set_name("a_condition");
  body.add_output()->set_name(inner.output(0));
  inner.set_input(0, "a_carried");
  const std::string first = node.input(0);
  node.clear_input();
  for (const std::string& name : {std::string(), std::string(), first}) node.add_input(name);
  node.mutable_output()->DeleteSubrange(1, node.output_size() - 1);
  *body.add_node() = std::move(inner);
}

}  // namespace

// A node becomes an If with the node as both of its bodies; it captures what it read. Or a Loop around it.
void Mutation::into_a_body() {
  NodeProto* node = any(nodes_);
  if (!node || node->input_size() == 0) return;
  NodeProto inner = *node;
  if (node->output_size() > 0 && one_in(3)) {
    make_loop(*node, std::move(inner));
    return refresh();
  }
  node->clear_attribute();
  node->set_op_type(one_in(4) ? "Loop" : "If");
  for (const char* branch : {"then_branch", "else_branch"}) {
    GraphProto& body = add_body(*node, branch);
    *body.add_node() = inner;
    for (const auto& name : inner.output()) body.add_output()->set_name(name);
  }
  if (one_in(2)) node->mutable_input()->DeleteSubrange(1, node->input_size() - 1);
  refresh();
}

}  // namespace tailor::fuzz

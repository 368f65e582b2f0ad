// Messages -> values, from the inside out: records, value infos, attributes, nodes, graphs. Only small
// messages are given to protobuf; what may hold weights (tensors, bodies of If and Loop) is cut out before by
// its record.
#include "tailor/onnx/decode.h"

#include "tailor/base/error.h"
#include "tailor/onnx/proto.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tailor::onnx {
namespace {

using graph::DataType;

constexpr int kMaxDepth = 64;

std::string plain_domain(const std::string& domain) { return domain == "ai.onnx" ? std::string() : domain; }

void check_domain(const graph::Node& node, const Source& source) {
  static constexpr std::array<std::string_view, 7> known = {"",
                                                            "ai.onnx.ml",
                                                            "com.microsoft",
                                                            "com.microsoft.nchwc",
                                                            "ai.onnx.training",
                                                            "ai.onnx.preview.training",
                                                            "org.pytorch.aten"};
  if (node.domain.empty() && !source.ai_onnx)
    throw Error(Code::no_opset, "the model does not say which version of the ONNX operators it uses",
                "node " + node.label(), "export it again with an opset version");
  if (std::find(known.begin(), known.end(), node.domain) != known.end() ||
      source.functions.contains(node.domain))
    return;
  throw Error(
      Code::foreign_domain, fmt::format("operator {} belongs to the domain '{}'", node.op, node.domain),
      "node " + node.label(), "no supported runtime knows it: convert the model to plain ONNX operators");
}

// Models of 2017 leave the type out.
int guess_kind(const ::onnx::AttributeProto& proto, bool tensor, bool body) {
  if (proto.type() != 0 || proto.has_ref_attr_name()) return proto.type();
  if (tensor) return kind::tensor;
  if (body) return kind::graph;
  if (proto.has_f()) return kind::real;
  if (proto.has_i()) return kind::integer;
  if (proto.has_s()) return kind::text;
  if (proto.floats_size() > 0) return kind::reals;
  if (proto.ints_size() > 0) return kind::integers;
  return proto.strings_size() > 0 ? kind::texts : 0;
}

[[noreturn]] void no_value(const std::string& name) {
  throw Error(Code::bad_model, fmt::format("the attribute '{}' has no value", name));
}

template <class Items>
auto listed(const Items& items) {
  return std::vector<std::decay_t<decltype(*items.begin())>>(items.begin(), items.end());
}

struct AttributeParts {
  ::onnx::AttributeProto proto;  // without tensors and graphs
  const Record* tensor = nullptr;
  const Record* body = nullptr;
};

graph::AttributeValue attribute_value(const AttributeParts& parts, const Bytes& record, const Source& source,
                                      int depth) {
  const auto& proto = parts.proto;
  int type = guess_kind(proto, parts.tensor, parts.body);
  if (proto.has_ref_attr_name()) return graph::OpaqueAttribute{type};
  switch (type) {
    case kind::real:
      return proto.f();
    case kind::integer:
      return std::int64_t{proto.i()};
    case kind::text:
      return proto.s();
    case kind::reals:
      return listed(proto.floats());
    case kind::integers:
      return std::vector<std::int64_t>(proto.ints().begin(), proto.ints().end());
    case kind::texts:
      return listed(proto.strings());
    case kind::tensor:
      if (!parts.tensor) no_value(proto.name());
      return decode_tensor(within(record, parts.tensor->payload), source).tensor;
    case kind::graph:
      if (!parts.body) no_value(proto.name());
      return std::make_shared<const graph::Graph>(
          decode_graph(within(record, parts.body->payload), source, depth + 1));
    default:
      return graph::OpaqueAttribute{type};
  }
}

void read_shape(const ::onnx::TensorShapeProto& proto, graph::ValueInfo& info) {
  info.shape.emplace();
  bool named = false;
  for (const auto& dim : proto.dim()) {
    bool known = dim.has_dim_value() && dim.dim_value() >= 0;
    info.shape->push_back(known ? dim.dim_value() : graph::kUnknown);
    info.symbols.push_back(dim.dim_param());
    named |= !dim.dim_param().empty();
  }
  if (!named) info.symbols.clear();
}

[[noreturn]] void twice(std::string_view what, std::string_view name) {
  throw Error(Code::bad_model, fmt::format("there are two {} named '{}'", what, name));
}

void add_initializer(graph::Graph& graph, NamedTensor named) {
  if (named.name.empty()) throw Error(Code::bad_model, "an initializer has no name", "graph " + graph.name);
  if (!graph.initializers.emplace(named.name, std::move(named.tensor)).second)
    twice("initializers", named.name);
}

void add_record(graph::Graph& graph, const Record& part, const Bytes& bytes, const Source& source,
                int depth) {
  switch (part.field) {
    case field::node:
      graph.nodes.push_back(decode_node(bytes, source, depth));
      break;
    case field::graph_name:
      graph.name = std::string(part.text());
      break;
    case field::initializer:
      add_initializer(graph, decode_tensor(bytes, source));
      break;
    case field::sparse_initializer:
      add_initializer(graph, decode_sparse_tensor(bytes));
      break;
    case field::input:
      graph.inputs.push_back(decode_value_info(bytes));
      break;
    case field::output:
      graph.outputs.push_back(decode_value_info(bytes));
      break;
    case field::value_info: {
      graph::ValueInfo info = decode_value_info(bytes);
      graph.value_infos.emplace(info.name, std::move(info));
      break;
    }
    default:
      break;
  }
}

void check_inputs(const graph::Graph& graph) {
  std::set<std::string_view> names;
  for (const graph::ValueInfo& input : graph.inputs)
    if (!names.insert(input.name).second) twice("inputs", input.name);
}

}  // namespace

bool next_record(Scanner& scanner, Record& record) {
  Step step = scanner.next(record);
  if (step == Step::truncated || step == Step::malformed)
    throw Error(Code::not_onnx, "a part of the model is cut off or overwritten", {},
                "the file is damaged: fetch or export it again");
  return step == Step::record;
}

std::string without(const Bytes& message, const std::vector<std::uint32_t>& fields) {
  std::string out;
  Scanner scanner(message.span());
  for (Record part; next_record(scanner, part);)
    if (std::find(fields.begin(), fields.end(), part.field) == fields.end())
      out.append(reinterpret_cast<const char*>(part.whole.data()), part.whole.size());
  return out;
}

Bytes within(const Bytes& outer, std::span<const std::byte> inner) {
  return outer.part(static_cast<std::size_t>(inner.data() - outer.data()), inner.size());
}

graph::ValueInfo decode_value_info(const Bytes& record) {
  auto proto = parse_proto<::onnx::ValueInfoProto>(record.view(), "value description");
  graph::ValueInfo info{proto.name(), DataType::undefined, {}, {}, record};
  if (!proto.type().has_tensor_type()) return info;
  const auto& tensor = proto.type().tensor_type();
  if (tensor.elem_type() > 0 && tensor.elem_type() <= static_cast<int>(DataType::f4e2m1))
    info.type = static_cast<DataType>(tensor.elem_type());
  if (tensor.has_shape()) read_shape(tensor.shape(), info);
  return info;
}

std::pair<std::string, graph::Attribute> decode_attribute(const Bytes& record, const Source& source,
                                                          int depth) {
  Record tensor, body;
  AttributeParts parts;
  Scanner scanner(record.span());
  for (Record part; next_record(scanner, part);) {
    if (part.wire != Wire::bytes || (part.field != field::t && part.field != field::g)) continue;
    const Record*& slot = part.field == field::t ? parts.tensor : parts.body;
    if (slot) throw Error(Code::bad_model, "an attribute has two values");
    slot = &((part.field == field::t ? tensor : body) = part);
  }
  parts.proto = parse_proto<::onnx::AttributeProto>(
      without(record, {field::t, field::g, field::tensors, field::graphs, field::sparse, field::sparses,
                       field::type_proto, field::type_protos}),
      "attribute");
  if (parts.proto.name().empty()) throw Error(Code::bad_model, "an attribute has no name");
  return {parts.proto.name(), {attribute_value(parts, record, source, depth), record}};
}

graph::Node decode_node(const Bytes& record, const Source& source, int depth) {
  auto proto = parse_proto<::onnx::NodeProto>(without(record, {field::attribute}), "node");
  graph::Node node;
  node.op = proto.op_type();
  node.domain = plain_domain(proto.domain());
  node.name = proto.name();
  node.inputs = listed(proto.input());
  node.outputs = listed(proto.output());
  node.origin = record;
  if (node.op.empty()) throw Error(Code::bad_model, "a node names no operator", "node " + node.label());
  check_domain(node, source);
  Scanner scanner(record.span());
  for (Record part; next_record(scanner, part);) {
    if (part.field != field::attribute || part.wire != Wire::bytes) continue;
    try {
      auto named = decode_attribute(within(record, part.payload), source, depth);
      if (!node.attributes.insert(std::move(named)).second) twice("attributes", named.first);
    } catch (const Error& error) {
      throw error.at("node " + node.label());
    }
  }
  return node;
}

graph::Graph decode_graph(const Bytes& record, const Source& source, int depth) {
  if (depth > kMaxDepth)
    throw Error(Code::bad_model, fmt::format("graphs are nested more than {} deep", kMaxDepth));
  graph::Graph graph;
  graph.origin = record;
  Scanner scanner(record.span());
  PageTrail trail(record);
  for (Record part; next_record(scanner, part); trail.passed(part))
    if (part.wire == Wire::bytes) add_record(graph, part, within(record, part.payload), source, depth);
  check_inputs(graph);
  std::erase_if(graph.inputs, [&](const auto& input) { return graph.initializers.contains(input.name); });
  return graph;
}

std::pair<std::string, std::int64_t> decode_opset(const Bytes& record) {
  auto proto = parse_proto<::onnx::OperatorSetIdProto>(record.view(), "operator set");
  return {plain_domain(proto.domain()), proto.version()};
}

}  // namespace tailor::onnx

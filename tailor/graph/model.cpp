// Model as a value. First the small types (names, shapes, tensors, attribute access), then Uses (who writes
// and reads what), then the three whole-graph functions: check, remove_dead, slice.
#include "tailor/graph/model.h"

#include "tailor/base/error.h"
#include "tailor/graph/bodies.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <unordered_set>

namespace tailor::graph {
namespace {

struct TypeFacts {
  std::string_view name;
  std::size_t size;
};
constexpr std::array<TypeFacts, 24> kTypes = {
    {{"undefined", 0},  {"f32", 4},    {"u8", 1},         {"i8", 1},    {"u16", 2},  {"i16", 2},
     {"i32", 4},        {"i64", 8},    {"string", 0},     {"bool", 1},  {"f16", 2},  {"f64", 8},
     {"u32", 4},        {"u64", 8},    {"c64", 8},        {"c128", 16}, {"bf16", 2}, {"f8e4m3fn", 1},
     {"f8e4m3fnuz", 1}, {"f8e5m2", 1}, {"f8e5m2fnuz", 1}, {"u4", 0},    {"i4", 0},   {"f4e2m1", 0}}};

const TypeFacts& facts(DataType type) {
  auto index = static_cast<std::size_t>(type);
  return kTypes[index < kTypes.size() ? index : 0];
}

const std::string kNone;

template <class T>
std::vector<std::int64_t> widen(const Tensor& tensor) {
  std::vector<T> items = tensor.values<T>();
  return {items.begin(), items.end()};
}

float half_to_float(std::uint16_t h) {
  std::uint32_t sign = (h & 0x8000u) << 16, exponent = (h >> 10) & 31, mantissa = h & 1023u;
  if (exponent == 0) {
    float tiny = static_cast<float>(mantissa) * 0x1.0p-24f;
    return sign ? -tiny : tiny;
  }
  std::uint32_t bits = sign | (exponent == 31 ? 255u << 23 : (exponent + 112) << 23) | mantissa << 13;
  return std::bit_cast<float>(bits);
}

void add_once(std::vector<std::string>& list, std::unordered_set<std::string_view>& seen,
              const std::string& name) {
  if (!name.empty() && seen.insert(name).second) list.push_back(name);
}

// What the nodes of a subgraph read without writing it themselves.
void captured(const Graph& body, std::vector<std::string>& out) {
  std::unordered_set<std::string> local;
  for (const ValueInfo& input : body.inputs) local.insert(input.name);
  for (const auto& [name, tensor] : body.initializers) local.insert(name);
  for (const Node& node : body.nodes) {
    for (const std::string& name : reads(node))
      if (!local.contains(name)) out.push_back(name);
    local.insert(node.outputs.begin(), node.outputs.end());
  }
  for (const ValueInfo& output : body.outputs)
    if (!local.contains(output.name)) out.push_back(output.name);
}

// What the outputs and `roots` need.
struct Liveness {
  std::unordered_set<std::string> needed;
  std::vector<bool> nodes;

  Liveness(const Graph& graph, const std::unordered_set<std::string>& roots)
      : needed(roots), nodes(graph.nodes.size(), false) {
    for (const ValueInfo& output : graph.outputs) needed.insert(output.name);
    for (std::size_t i = graph.nodes.size(); i-- > 0;) {
      const Node& node = graph.nodes[i];
      nodes[i] = std::any_of(node.outputs.begin(), node.outputs.end(),
                             [&](const std::string& name) { return needed.contains(name); });
      if (!nodes[i]) continue;
      for (std::string& name : reads(node)) needed.insert(std::move(name));
    }
  }
};

}  // namespace

std::string_view name(DataType type) { return facts(type).name; }
std::size_t element_size(DataType type) { return facts(type).size; }

std::int64_t element_count(const Shape& shape) {
  std::int64_t count = 1;
  for (std::int64_t dim : shape) {
    if (dim < 0) return kUnknown;
    if (__builtin_mul_overflow(count, dim, &count)) return kUnknown;
  }
  return count;
}

std::string to_string(const Shape& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (std::int64_t dim : shape)
    text += (text.empty() ? "" : "x") + (dim < 0 ? std::string("?") : std::to_string(dim));
  return text;
}

Tensor make_f32(Shape dims, std::vector<float> values) {
  TAILOR_CHECK(element_count(dims) == static_cast<std::int64_t>(values.size()));
  return {DataType::f32, std::move(dims), Bytes::own(std::move(values))};
}

Tensor make_i64(Shape dims, std::vector<std::int64_t> values) {
  TAILOR_CHECK(element_count(dims) == static_cast<std::int64_t>(values.size()));
  return {DataType::i64, std::move(dims), Bytes::own(std::move(values))};
}

std::optional<std::vector<std::int64_t>> as_integers(const Tensor& tensor) {
  switch (tensor.type) {
    case DataType::i64:
      return tensor.values<std::int64_t>();
    case DataType::i32:
      return widen<std::int32_t>(tensor);
    case DataType::u8:
    case DataType::boolean:
      return widen<std::uint8_t>(tensor);
    case DataType::i8:
      return widen<std::int8_t>(tensor);
    default:
      return std::nullopt;
  }
}

std::optional<std::vector<float>> as_floats(const Tensor& tensor) {
  std::vector<float> out;
  switch (tensor.type) {
    case DataType::f32:
      return tensor.values<float>();
    case DataType::f64:
      for (double x : tensor.values<double>()) out.push_back(static_cast<float>(x));
      return out;
    case DataType::f16:
      for (std::uint16_t x : tensor.values<std::uint16_t>()) out.push_back(half_to_float(x));
      return out;
    case DataType::bf16:
      for (std::uint16_t x : tensor.values<std::uint16_t>())
        out.push_back(std::bit_cast<float>(std::uint32_t{x} << 16));
      return out;
    default:
      return std::nullopt;
  }
}

std::int64_t Node::integer(std::string_view attribute, std::int64_t otherwise) const {
  const auto* value = find<std::int64_t>(attribute);
  return value ? *value : otherwise;
}

float Node::real(std::string_view attribute, float otherwise) const {
  const auto* value = find<float>(attribute);
  return value ? *value : otherwise;
}

std::vector<std::int64_t> Node::integers(std::string_view attribute,
                                         std::vector<std::int64_t> otherwise) const {
  const auto* value = find<std::vector<std::int64_t>>(attribute);
  return value ? *value : std::move(otherwise);
}

std::string Node::text(std::string_view attribute, std::string otherwise) const {
  const auto* value = find<std::string>(attribute);
  return value ? *value : std::move(otherwise);
}

const std::string& Node::input(std::size_t i) const { return i < inputs.size() ? inputs[i] : kNone; }
const std::string& Node::output(std::size_t i) const { return i < outputs.size() ? outputs[i] : kNone; }

std::string Node::label() const { return !name.empty() ? name : fmt::format("{} -> {}", op, output(0)); }

bool has_body(const Node& node) {
  return std::any_of(node.attributes.begin(), node.attributes.end(), [](const auto& attribute) {
    return std::holds_alternative<std::shared_ptr<const Graph>>(attribute.second.value);
  });
}

std::vector<std::string> reads(const Node& node) {
  std::vector<std::string> list;
  std::unordered_set<std::string_view> seen;
  std::vector<std::string> inner;
  for (const auto& [key, attribute] : node.attributes)
    if (const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute.value))
      captured(**body, inner);
  for (const std::string& name : node.inputs) add_once(list, seen, name);
  for (const std::string& name : inner) add_once(list, seen, name);
  return list;
}

Uses::Uses(const Graph& graph) {
  entries_.reserve(graph.nodes.size() * 2);
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::string& name : graph.nodes[i].outputs)
      if (!name.empty()) entries_[name].producer = static_cast<int>(i);
    for (const std::string& name : reads(graph.nodes[i]))
      entries_[name].consumers.push_back(static_cast<int>(i));
  }
  for (const ValueInfo& output : graph.outputs) entries_[output.name].output = true;
}

int Uses::producer(std::string_view value) const {
  auto it = entries_.find(std::string(value));
  return it == entries_.end() ? -1 : it->second.producer;
}

const std::vector<int>& Uses::consumers(std::string_view value) const {
  static const std::vector<int> none;
  auto it = entries_.find(std::string(value));
  return it == entries_.end() ? none : it->second.consumers;
}

bool Uses::is_output(std::string_view value) const {
  auto it = entries_.find(std::string(value));
  return it != entries_.end() && it->second.output;
}

int Uses::only_reader(std::string_view value) const {
  const std::vector<int>& readers = consumers(value);
  return readers.size() == 1 && !is_output(value) ? readers.front() : -1;
}

const Tensor* constant(const Graph& graph, const Uses& uses, std::string_view value) {
  if (auto it = graph.initializers.find(value); it != graph.initializers.end()) return &it->second;
  int at = uses.producer(value);
  if (at < 0 || graph.nodes[at].op != "Constant") return nullptr;
  return graph.nodes[at].find<Tensor>("value");
}

namespace {

constexpr const char* kRepair = "export the model again, or repair it with an ONNX checker";

// What a graph's nodes find written.
std::unordered_set<std::string_view> given(const Graph& graph) {
  std::unordered_set<std::string_view> names;
  for (const ValueInfo& input : graph.inputs) names.insert(input.name);
  for (const auto& [name, tensor] : graph.initializers) names.insert(name);
  return names;
}

void add_outputs(const Node& node, std::unordered_set<std::string_view>& known) {
  for (const std::string& name : node.outputs)
    if (!name.empty() && !known.insert(name).second)
      throw Error(Code::bad_model, fmt::format("the value '{}' is written twice", name),
                  "node " + node.label(), kRepair);
}

// What bodies read may be written outside of them, so only their SSA form is looked at.
void check_bodies(const Node& node) {
  for (const auto& [name, attribute] : node.attributes) {
    const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute.value);
    if (!body) continue;
    std::unordered_set<std::string_view> known = given(**body);
    for (const Node& inner : (*body)->nodes) add_outputs(inner, known), check_bodies(inner);
  }
}

}  // namespace

void check(const Graph& graph) {
  std::unordered_set<std::string_view> known = given(graph);
  for (const Node& node : graph.nodes) {
    for (const std::string& name : reads(node))
      if (!known.contains(name))
        throw Error(Code::bad_model, fmt::format("the node reads '{}', which no earlier node writes", name),
                    "node " + node.label(), kRepair);
    add_outputs(node, known);
    check_bodies(node);
  }
  for (const ValueInfo& output : graph.outputs)
    if (!known.contains(output.name))
      throw Error(Code::bad_model, fmt::format("nobody writes the graph output '{}'", output.name),
                  "graph " + graph.name);
}

bool is_literal(const Graph& graph, const Uses& uses, std::string_view value) {
  std::vector<std::string> left = {std::string(value)};
  std::unordered_set<std::string> seen(left.begin(), left.end());
  while (!left.empty()) {
    std::string name = std::move(left.back());
    left.pop_back();
    if (constant(graph, uses, name)) continue;
    int producer = uses.producer(name);
    if (producer < 0) return false;
    const Node& node = graph.nodes[producer];
    if (node.op == "Shape" || node.op == "Size" || node.inputs.empty() || is_bracket(node)) return false;
    for (std::string& read : reads(node))
      if (seen.insert(read).second) left.push_back(std::move(read));
  }
  return true;
}

std::unordered_set<std::string> dead_values(const Graph& graph) {
  Liveness live(graph, {});
  std::unordered_set<std::string> dead;
  auto note = [&](const std::string& name) {
    if (!name.empty() && !live.needed.contains(name)) dead.insert(name);
  };
  for (const Node& node : graph.nodes)
    for (const std::string& name : node.outputs) note(name);
  for (const auto& [name, tensor] : graph.initializers) note(name);
  for (const auto& [name, info] : graph.value_infos) note(name);
  return dead;
}

void remove_dead(Graph& graph, const std::unordered_set<std::string>& keep) {
  Liveness live(graph, keep);
  std::size_t at = 0;
  std::erase_if(graph.nodes, [&](const Node&) { return !live.nodes[at++]; });
  std::erase_if(graph.initializers, [&](const auto& entry) { return !live.needed.contains(entry.first); });
  for (const Node& node : graph.nodes) live.needed.insert(node.outputs.begin(), node.outputs.end());
  std::erase_if(graph.value_infos, [&](const auto& entry) { return !live.needed.contains(entry.first); });
}

Model slice(const Model& model, const std::vector<ValueInfo>& inputs, const std::vector<ValueInfo>& outputs) {
  Model part{model.ir_version, model.opsets, {}, {}};
  part.graph.name = model.graph.name;
  part.graph.inputs = inputs;
  part.graph.outputs = outputs;
  std::unordered_set<std::string> given;
  for (const ValueInfo& input : inputs) given.insert(input.name);
  for (const Node& node : model.graph.nodes)
    if (std::none_of(node.outputs.begin(), node.outputs.end(),
                     [&](const std::string& name) { return given.contains(name); }))
      part.graph.nodes.push_back(node);
  part.graph.initializers = model.graph.initializers;
  for (const ValueInfo& input : inputs) part.graph.initializers.erase(input.name);
  remove_dead(part.graph);
  check(part.graph);
  return part;
}

}  // namespace tailor::graph

// One function per operator that names sizes; the table is in remake_node. A target shape that the graph
// computes at run time (Concat of Shape, Gather and literals) is followed to the literal for the axis in
// question: -1 and computed entries adapt by themselves, a literal size is replaced.
#include "tailor/rewrite/remake.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::rewrite {
namespace {

using graph::Label;
using graph::Node;

struct Site {
  graph::Model& model;
  Node& node;
  const graph::Shapes& shapes;
  const graph::Channels& channels;
  const std::vector<bool>& keep;
  const graph::Uses& uses;  // of the model before the surgery: who makes what

  Label label(const std::string& value, std::size_t axis) const {
    return channels.find(value, static_cast<int>(axis));
  }
  std::int64_t kept(const Label& label) const {
    return std::count_if(label->begin(), label->end(), [&](int atom) { return keep[atom]; });
  }
  std::int64_t kept(const Label& label, std::int64_t begin, std::int64_t end) const {
    return std::count_if(label->begin() + begin, label->begin() + end, [&](int atom) { return keep[atom]; });
  }
  bool changed(const Label& label) const {
    return label && kept(label) != static_cast<std::int64_t>(label->size());
  }
  std::size_t rank(const std::string& value) const {
    const graph::Shape* shape = shapes.shape(value);
    return shape ? shape->size() : 0;
  }
  [[noreturn]] void fail(const std::string& why) const {
    throw Error(Code::bad_cut, why, "node " + node.label(), "keep this layer's channels");
  }

  std::optional<std::vector<std::int64_t>> integers(std::size_t input) const {
    const graph::Tensor* tensor = node.input(input).empty() ? nullptr : find_constant(node.input(input));
    return tensor ? graph::as_integers(*tensor) : std::nullopt;
  }
  // The constant behind a name, those made meanwhile included.
  const graph::Tensor* find_constant(const std::string& name) const {
    auto it = model.graph.initializers.find(name);
    return it != model.graph.initializers.end() ? &it->second : shapes.constant(name);
  }
  // A new initializer like the one of that name.
  std::string add_integers(const std::string& like, const std::vector<std::int64_t>& values) const {
    std::string stem = like + "_cut", name = stem;
    for (int i = 0; model.graph.initializers.contains(name) || uses.producer(name) >= 0; ++i)
      name = fmt::format("{}{}", stem, i);
    const graph::Tensor* old = find_constant(like);
    graph::Shape dims = {static_cast<std::int64_t>(values.size())};
    if (old && old->size() == dims[0]) dims = old->dims;
    graph::Tensor made = graph::make_i64(dims, values);
    if (old && old->type == graph::DataType::i32) {
      std::vector<std::int32_t> narrow(values.begin(), values.end());
      made = {graph::DataType::i32, dims, Bytes::own(std::move(narrow))};
    }
    model.graph.initializers[name] = std::move(made);
    return name;
  }
  void set_operand(std::size_t input, const std::vector<std::int64_t>& values) const {
    if (values != integers(input)) node.inputs[input] = add_integers(node.inputs[input], values);
  }
  void set_attribute(const char* key, std::vector<std::int64_t> values) const {
    if (node.integers(key) != values) node.attributes[key] = {std::move(values)};
  }
  // The vector of an attribute (old opsets) or of an operand (new ones).
  void set(const char* key, std::size_t input, const std::vector<std::int64_t>& values) const {
    if (node.attributes.contains(key))
      set_attribute(key, values);
    else
      set_operand(input, values);
  }
};

void conv(const Site& s) {
  Label x = s.label(s.node.input(0), 1);
  std::int64_t groups = s.node.integer("group", 1);
  if (groups == 1 || !s.changed(x)) return;
  if (static_cast<std::int64_t>(x->size()) == groups) s.node.attributes["group"] = {s.kept(x)};  // depthwise
}

// True if nothing behind `value` is known at run time only, sizes of values included.
bool literal(const Site& s, const std::string& value, int depth = 16) {
  if (graph::constant(s.model.graph, s.uses, value)) return true;
  int producer = s.uses.producer(value);
  if (producer < 0 || depth == 0) return false;
  const Node& node = s.model.graph.nodes[producer];
  return node.op != "Shape" && node.op != "Size" && !node.inputs.empty() &&
         std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](const std::string& name) { return name.empty() || literal(s, name, depth - 1); });
}

// Entry `axis` of a shape: a literal is replaced where the graph puts it together; -1 and what is computed
// from other values adapt by themselves.
void patch_shape(const Site& s, std::string& operand, std::size_t axis, std::int64_t size) {
  const graph::Tensor* known = s.find_constant(operand);
  if (known && literal(s, operand)) {
    auto values = graph::as_integers(*known);
    if (!values || axis >= values->size() || (*values)[axis] <= 0) return;
    (*values)[axis] = size;
    operand = s.add_integers(operand, *values);
    return;
  }
  int producer = s.uses.producer(operand);
  if (producer < 0) return;
  Node& node = s.model.graph.nodes[producer];
  if (node.op == "Cast" || node.op == "Identity") return patch_shape(s, node.inputs.at(0), axis, size);
  if (node.op != "Concat") return;
  for (std::string& part : node.inputs) {
    const graph::Shape* shape = s.shapes.shape(part);
    const graph::Tensor* replaced = s.find_constant(part);
    std::int64_t count = shape ? graph::element_count(*shape) : replaced ? replaced->size() : graph::kUnknown;
    if (count < 0) return;
    if (axis < static_cast<std::size_t>(count)) return patch_shape(s, part, axis, size);
    axis -= static_cast<std::size_t>(count);
  }
}

// Reshape and Expand: operand 1; Resize: operand 3 (sizes).
void target_shape(const Site& s, std::size_t input) {
  if (s.node.input(input).empty()) return;
  for (std::size_t axis = 0; axis < s.rank(s.node.output(0)); ++axis)
    if (Label label = s.label(s.node.output(0), axis); s.changed(label))
      patch_shape(s, s.node.inputs[input], axis, s.kept(label));
}

void reshape(const Site& s) { target_shape(s, 1); }
void resize(const Site& s) { target_shape(s, 3); }

std::int64_t opset(const graph::Model& model) {
  auto it = model.opsets.find("");
  return it == model.opsets.end() ? 1 : it->second;
}

void split(const Site& s) {
  auto rank = static_cast<std::int64_t>(s.rank(s.node.input(0)));
  std::int64_t given = s.node.integer("axis", 0);
  auto axis = static_cast<std::size_t>(given < 0 ? given + rank : given);
  if (!s.changed(s.label(s.node.input(0), axis))) return;
  std::vector<std::int64_t> sizes;
  for (const std::string& name : s.node.outputs) {
    Label part = s.label(name, axis);
    if (!part) s.fail("the parts of a Split are not understood");
    sizes.push_back(s.kept(part));
  }
  if (s.node.attributes.contains("split") || opset(s.model) < 13) return s.set_attribute("split", sizes);
  s.node.attributes.erase("num_outputs");
  if (s.node.inputs.size() < 2) s.node.inputs.push_back(s.node.outputs[0] + "_sizes");
  s.set_operand(1, sizes);
}

void slice(const Site& s) {
  bool old = s.node.attributes.contains("starts");
  auto starts = old ? std::optional(s.node.integers("starts")) : s.integers(1);
  auto ends = old ? std::optional(s.node.integers("ends")) : s.integers(2);
  auto axes = old ? std::optional(s.node.integers("axes")) : s.integers(3);
  auto rank = static_cast<std::int64_t>(s.rank(s.node.input(0)));
  if (!starts || !ends) return;
  bool any = false;
  for (std::size_t i = 0; i < starts->size(); ++i) {
    std::int64_t axis = axes && i < axes->size() ? (*axes)[i] : static_cast<std::int64_t>(i);
    Label label = s.label(s.node.input(0), static_cast<std::size_t>(axis < 0 ? axis + rank : axis));
    if (!s.changed(label)) continue;
    if (i >= ends->size()) s.fail("it has fewer ends than starts");
    any = true;
    auto size = static_cast<std::int64_t>(label->size());
    auto clamp = [&](std::int64_t v) { return std::clamp<std::int64_t>(v < 0 ? v + size : v, 0, size); };
    std::int64_t first = clamp((*starts)[i]), last = std::max(first, clamp((*ends)[i]));
    (*starts)[i] = s.kept(label, 0, first);
    (*ends)[i] = (*starts)[i] + s.kept(label, first, last);
  }
  if (any) s.set("starts", 1, *starts), s.set("ends", 2, *ends);
}

void pad(const Site& s) {
  std::size_t rank = s.rank(s.node.input(0));
  auto pads = s.node.attributes.contains("pads") ? std::optional(s.node.integers("pads")) : s.integers(1);
  if (!pads || pads->size() != 2 * rank) return;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    Label label = s.label(s.node.output(0), axis);
    if (!s.changed(label)) continue;
    auto size = static_cast<std::int64_t>(label->size());
    std::int64_t& before = (*pads)[axis];
    std::int64_t& after = (*pads)[axis + rank];
    if (before < 0 || after < 0 || before > size || after > size - before)
      s.fail("its pads do not fit its result");
    after = s.kept(label, size - after, size);
    before = s.kept(label, 0, before);
  }
  s.set("pads", 1, *pads);
}

void gather(const Site& s) {
  auto rank = static_cast<std::int64_t>(s.rank(s.node.input(0)));
  std::int64_t axis = s.node.integer("axis", 0);
  if (axis < 0) axis += rank;
  Label label = s.label(s.node.input(0), static_cast<std::size_t>(axis));
  auto indices = s.integers(1);
  if (!s.changed(label) || !indices) return;
  std::vector<std::int64_t> moved;
  for (std::int64_t i : *indices) {
    if (i < 0) i += static_cast<std::int64_t>(label->size());
    if (s.keep[(*label)[static_cast<std::size_t>(i)]]) moved.push_back(s.kept(label, 0, i));
  }
  if (moved.empty()) s.fail("nothing that it gathers would stay");
  s.node.inputs[1] = s.add_integers(s.node.inputs[1], moved);
}

}  // namespace

void remake_node(graph::Model& model, int index, const graph::Shapes& shapes, const graph::Channels& channels,
                 const std::vector<bool>& keep, const graph::Uses& uses) {
  static const std::map<std::string, void (*)(const Site&), std::less<>> table = {
      {"Conv", conv},       {"FusedConv", conv}, {"ConvTranspose", conv}, {"QLinearConv", conv},
      {"Reshape", reshape}, {"Expand", reshape}, {"Resize", resize},      {"Split", split},
      {"Slice", slice},     {"Pad", pad},        {"Gather", gather}};
  Node& node = model.graph.nodes[index];
  if (auto it = table.find(node.op); it != table.end())
    it->second({model, node, shapes, channels, keep, uses});
}

}  // namespace tailor::rewrite

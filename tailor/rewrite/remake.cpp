// One function per operator that names sizes; the table is in remake_node. A target shape that the graph
// computes at run time (Concat of Shape, Gather and literals) is followed entry by entry: -1, 0 and sizes handed
// through adapt by themselves, a literal is replaced, anything else is pinned by a Where in front of the node.
#include "tailor/rewrite/remake.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

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
  std::vector<Node>& before;

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
  std::string fresh_name(const std::string& stem) const {
    std::string name = stem;
    auto taken = [&] {
      return model.graph.initializers.contains(name) || model.graph.initializers.contains(name + "_mask") ||
             uses.producer(name) >= 0;
    };
    for (int i = 0; taken(); ++i) name = fmt::format("{}{}", stem, i);
    return name;
  }
  // A new initializer like the one of that name.
  std::string add_integers(const std::string& like, const std::vector<std::int64_t>& values) const {
    std::string name = fresh_name(like + "_cut");
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

std::int64_t opset(const graph::Model& model) {
  auto it = model.opsets.find("");
  return it == model.opsets.end() ? 1 : it->second;
}

bool literal(const Site& s, const std::string& value) {
  return graph::is_literal(s.model.graph, s.uses, value);
}

std::int64_t entries(const Site& s, const std::string& value) {
  const graph::Tensor* known = s.find_constant(value);
  const graph::Shape* shape = s.shapes.shape(value);
  return known ? known->size() : shape ? graph::element_count(*shape) : graph::kUnknown;
}

// An entry of an operand of a node.
struct Place {
  std::size_t input, at;
};

std::size_t from_front(std::int64_t i, std::int64_t size) {
  return static_cast<std::size_t>(i < 0 ? i + size : i);
}

// Which entry of which operand a node hands through as entry `at`; nullopt if it computes it.
std::optional<Place> handed_through(const Site& s, const Node& node, std::size_t at) {
  auto integers = [&](std::size_t input) {
    const graph::Tensor* tensor = s.find_constant(node.input(input));
    return tensor ? graph::as_integers(*tensor) : std::nullopt;
  };
  if (node.op == "Cast" || node.op == "Identity" || node.op == "Unsqueeze" || node.op == "Squeeze")
    return Place{0, at};
  if (node.op == "Gather") {
    auto indices = integers(1);
    if (!indices || at >= indices->size()) return std::nullopt;
    return Place{0, from_front((*indices)[at], entries(s, node.input(0)))};
  }
  if (node.op == "Slice") {
    auto starts = node.attributes.contains("starts") ? std::optional(node.integers("starts")) : integers(1);
    auto steps = node.input(4).empty() ? std::optional(std::vector<std::int64_t>{1}) : integers(4);
    bool plain = starts && starts->size() == 1 && steps == std::vector<std::int64_t>{1};
    if (!plain) return std::nullopt;
    return Place{0, at + from_front(starts->front(), entries(s, node.input(0)))};
  }
  for (std::size_t i = 0; node.op == "Concat" && i < node.inputs.size(); ++i) {
    std::int64_t count = entries(s, node.inputs[i]);
    if (count < 0) return std::nullopt;
    if (at < static_cast<std::size_t>(count)) return Place{i, at};
    at -= static_cast<std::size_t>(count);
  }
  return std::nullopt;
}

// An axis of a value, whose size an entry of a shape is.
struct SizeOf {
  std::string value;
  std::size_t axis;
};

std::optional<SizeOf> size_of_shape(const Site& s, const Node& node, std::size_t at) {
  auto rank = static_cast<std::int64_t>(s.rank(node.input(0)));
  return SizeOf{node.input(0), at + from_front(node.integer("start", 0), rank)};
}

// The size that entry `at` of a computed shape is; nullopt if it is computed from sizes, or a literal.
std::optional<SizeOf> size_of(const Site& s, std::string value, std::size_t at) {
  for (int producer = s.uses.producer(value); producer >= 0; producer = s.uses.producer(value)) {
    const Node& node = s.model.graph.nodes[producer];
    if (node.op == "Shape") return size_of_shape(s, node, at);
    auto from = handed_through(s, node, at);
    if (!from) return std::nullopt;
    value = node.inputs[from->input], at = from->at;
  }
  return std::nullopt;
}

// True if the size of an axis that is cut has a part in entry `at`. Operators that work entry by entry are looked
// through; what others make depends on all that they read.
using Seen = std::set<std::pair<std::string, std::size_t>>;
bool depends_on_cut(const Site& s, const std::string& value, std::size_t at, Seen& seen) {
  static const std::set<std::string> entrywise = {"Add", "Sub", "Mul",   "Div",  "Mod",
                                                  "Min", "Max", "Where", "Equal"};
  int producer = s.uses.producer(value);
  if (producer < 0 || !seen.emplace(value, at).second) return false;
  const Node& node = s.model.graph.nodes[producer];
  if (node.op == "Shape") {
    auto size = size_of_shape(s, node, at);
    return s.changed(s.label(size->value, size->axis));
  }
  for (std::size_t axis = 0; node.op == "Size" && axis < s.rank(node.input(0)); ++axis)
    if (s.changed(s.label(node.input(0), axis))) return true;
  if (node.op == "Size") return false;
  if (auto from = handed_through(s, node, at))
    return depends_on_cut(s, node.inputs[from->input], from->at, seen);
  for (const std::string& name : node.inputs) {
    std::int64_t count = name.empty() ? 0 : std::clamp<std::int64_t>(entries(s, name), 0, 16);
    for (std::int64_t i = 0; i < count; ++i) {
      bool read = !entrywise.contains(node.op) || count == 1 || static_cast<std::size_t>(i) == at;
      if (read && depends_on_cut(s, name, static_cast<std::size_t>(i), seen)) return true;
    }
  }
  return false;
}

// The entry will be `wanted` by itself.
bool adapts(const Site& s, const std::string& operand, std::size_t axis, std::int64_t wanted) {
  auto source = size_of(s, operand, axis);
  if (!source) return false;
  Label label = s.label(source->value, source->axis);
  const graph::Shape* shape = s.shapes.shape(source->value);
  if (label) return s.kept(label) == wanted;
  return shape && source->axis < shape->size() && (*shape)[source->axis] == wanted;
}

// A literal entry of a shape that the graph puts together: the operand that holds it, and its place there.
struct LiteralEntry {
  std::string* operand;
  std::size_t at;
  bool shared;  // others read it, or what is made of it
};

std::optional<LiteralEntry> literal_entry(const Site& s, std::string& operand, std::size_t at) {
  if (literal(s, operand)) return LiteralEntry{&operand, at, false};
  int producer = s.uses.producer(operand);
  if (producer < 0) return std::nullopt;
  bool shared = s.uses.consumers(operand).size() != 1;
  Node& node = s.model.graph.nodes[producer];
  for (std::string& part : node.inputs) {
    if (node.op != "Concat" && node.op != "Cast" && node.op != "Identity") return std::nullopt;
    std::int64_t count = entries(s, part);
    if (count < 0) return std::nullopt;
    if (at < static_cast<std::size_t>(count)) {
      auto found = literal_entry(s, part, at);
      if (found) found->shared = found->shared || shared;
      return found;
    }
    at -= static_cast<std::size_t>(count);
  }
  return std::nullopt;
}

// False if it is no literal, or others read it.
bool set_literal(const Site& s, const std::optional<LiteralEntry>& entry, std::int64_t size) {
  auto values = entry ? graph::as_integers(*s.find_constant(*entry->operand)) : std::nullopt;
  if (!values || entry->shared || entry->at >= values->size()) return false;
  (*values)[entry->at] = size;
  *entry->operand = s.add_integers(*entry->operand, *values);
  return true;
}

// A computed shape with some entries replaced, by a Where in front of the node.
void pin(const Site& s, std::size_t input, const std::map<std::size_t, std::int64_t>& sizes) {
  if (opset(s.model) < 9) s.fail("its target shape is computed, and cannot be re-made before opset 9");
  std::size_t rank = s.rank(s.node.output(0));
  std::vector<std::uint8_t> chosen(rank, 0);
  std::vector<std::int64_t> values(rank, 0);
  for (auto [axis, size] : sizes) chosen[axis] = 1, values[axis] = size;
  graph::Shape dims = {static_cast<std::int64_t>(rank)};
  std::string computed = s.node.inputs[input], made = s.fresh_name(computed + "_pinned");
  s.model.graph.initializers[made + "_mask"] = {graph::DataType::boolean, dims,
                                                Bytes::own(std::move(chosen))};
  s.model.graph.initializers[made + "_sizes"] = graph::make_i64(dims, values);
  s.before.push_back({"Where", "", made, {made + "_mask", made + "_sizes", computed}, {made}});
  s.node.inputs[input] = made;
}

// Operands that name the sizes of output 0: entries of axes that are cut, and computed entries that would follow
// the cut where the axis does not. -1 and 0 adapt by themselves.
void target_shape(const Site& s, std::size_t input) {
  if (s.node.input(input).empty()) return;
  const graph::Shape* out = s.shapes.shape(s.node.output(0));
  auto known = s.integers(input);
  if (!out || (known && known->size() != out->size())) return;
  const std::string original = s.node.inputs[input];
  bool whole = literal(s, original);
  bool open = s.node.op != "Reshape" || !known || std::count(known->begin(), known->end(), -1) > 0;
  std::map<std::size_t, std::int64_t> pins;
  for (std::size_t axis = 0; axis < out->size(); ++axis) {
    Label label = s.label(s.node.output(0), axis);
    bool cut = s.changed(label);
    Seen seen;
    if ((!cut && (whole || !depends_on_cut(s, original, axis, seen))) || (known && (*known)[axis] <= 0))
      continue;
    std::int64_t wanted = label ? s.kept(label) : (*out)[axis];
    if (wanted < 0 || (!whole && adapts(s, original, axis, wanted))) continue;
    auto entry = literal_entry(s, s.node.inputs[input], axis);
    if (set_literal(s, entry, wanted)) continue;
    bool computed = cut && !open && !entry && !size_of(s, original, axis);  // perhaps with the batch in it
    pins[axis] = computed ? -1 : wanted;
    open = open || computed;
  }
  if (!pins.empty()) pin(s, input, pins);
}

void group_normalisation(const Site& s) {
  Label x = s.label(s.node.input(0), 1);
  std::int64_t groups = s.node.integer("num_groups", 1);
  if (s.changed(x))
    s.node.attributes["num_groups"] = {s.kept(x) * groups / static_cast<std::int64_t>(x->size())};
}

// LSTM, GRU, RNN: the outputs end with the hidden units.
void recurrent(const Site& s) {
  for (const std::string& name : s.node.outputs)
    if (Label units = name.empty() ? nullptr : s.label(name, s.rank(name) - 1);
        s.changed(units) && s.node.attributes.contains("hidden_size"))
      s.node.attributes["hidden_size"] = {s.kept(units)};
}

void filled(const Site& s) { target_shape(s, 0); }
void reshape(const Site& s) { target_shape(s, 1); }
void resize(const Site& s) { target_shape(s, 3); }

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
                 const std::vector<bool>& keep, const graph::Uses& uses, std::vector<Node>& before) {
  static const std::map<std::string, void (*)(const Site&), std::less<>> table = {
      {"Conv", conv},
      {"ConvInteger", conv},
      {"FusedConv", conv},
      {"ConvTranspose", conv},
      {"QLinearConv", conv},
      {"Reshape", reshape},
      {"Expand", reshape},
      {"Resize", resize},
      {"Split", split},
      {"Slice", slice},
      {"Pad", pad},
      {"Gather", gather},
      {"ConstantOfShape", filled},
      {"GroupNormalization", group_normalisation},
      {"LSTM", recurrent},
      {"GRU", recurrent},
      {"RNN", recurrent}};
  Node& node = model.graph.nodes[index];
  if (auto it = table.find(node.op); it != table.end())
    it->second({model, node, shapes, channels, keep, uses, before});
}

}  // namespace tailor::rewrite

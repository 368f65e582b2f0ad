// Inference walks the nodes in order, those of bodies among them (bodies.h): constants and inputs first, then each node
// by its rule (rules.h), then folding (fold.cpp); again where a loop turns out to change what it carries. Below it: the
// sizes that the user gives, and multiply-accumulates.
#include "tailor/graph/shapes.h"

#include "tailor/base/error.h"
#include "tailor/graph/bodies.h"
#include "tailor/graph/body_shapes.h"
#include "tailor/graph/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace tailor::graph {
namespace {

using Symbols = std::unordered_map<std::string, std::int64_t>;

[[noreturn]] void bad_input(const ValueInfo& input, const std::string& what) {
  throw Error(Code::bad_shape, what, fmt::format("input '{}'", input.name),
              "change --shape to fit the model");
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool means_batch(const std::string& symbol) {
  std::string name = lower(symbol);
  return name == "n" || name == "none" || name == "b" || name.find("batch") != std::string::npos;
}

std::string symbol_of(const ValueInfo& info, std::size_t i) {
  return i < info.symbols.size() ? info.symbols[i] : std::string();
}

std::string listed(const std::vector<ValueInfo>& inputs) {
  std::string names;
  for (const ValueInfo& input : inputs) names += (names.empty() ? "" : ", ") + input.name;
  return names;
}

void check_names(const Graph& graph, const ShapeOverrides& overrides) {
  for (const auto& [name, shape] : overrides) {
    bool known = std::any_of(graph.inputs.begin(), graph.inputs.end(),
                             [&, &key = name](const ValueInfo& input) { return input.name == key; });
    if (!known)
      throw Error(Code::unknown_name, fmt::format("the model has no input '{}'", name), "--shape",
                  fmt::format("its inputs are {}", listed(graph.inputs)));
  }
}

// The override's dimensions where the input leaves them free; symbols learn their size.
Shape overridden(const ValueInfo& input, const Shape& given, Symbols& sizes) {
  if (!input.shape) return given;
  if (input.shape->size() != given.size())
    bad_input(input, fmt::format("{} given for {}", to_string(given), to_string(*input.shape)));
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (!agree((*input.shape)[i], given[i]))
      bad_input(input,
                fmt::format("{} given, but the model fixes {}", to_string(given), to_string(*input.shape)));
    std::string symbol = symbol_of(input, i);
    if (symbol.empty() || given[i] < 0) continue;
    auto [at, fresh] = sizes.emplace(symbol, given[i]);
    if (!fresh && at->second != given[i])
      bad_input(input,
                fmt::format("the dimension '{}' is {} here and {} elsewhere", symbol, given[i], at->second));
  }
  return given;
}

void bind_batch(const ValueInfo& input, std::int64_t batch, Symbols& sizes) {
  for (std::size_t i = 0; input.shape && i < input.shape->size(); ++i) {
    std::string symbol = symbol_of(input, i);
    if ((*input.shape)[i] == kUnknown && !symbol.empty() && (i == 0 || means_batch(symbol)))
      sizes.emplace(symbol, batch);
  }
}

Shape resolved(const ValueInfo& info, const Symbols& sizes) {
  Shape shape = *info.shape;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (auto at = sizes.find(symbol_of(info, i)); shape[i] == kUnknown && at != sizes.end())
      shape[i] = at->second;
  return shape;
}

void check_size(const std::string& name, const Shape& shape) {
  for (std::int64_t dim : shape)
    if (dim < kUnknown || dim > kMaxDimension)
      throw Error(Code::bad_shape, fmt::format("a dimension of {}", dim), fmt::format("value '{}'", name));
}

void seed_inputs(const Graph& graph, const ShapeOverrides& overrides, std::int64_t batch, Symbols& sizes,
                 Shapes& shapes) {
  std::unordered_map<std::string, Shape> given;
  for (const ValueInfo& input : graph.inputs)
    if (auto at = overrides.find(input.name); at != overrides.end())
      given.emplace(input.name, overridden(input, at->second, sizes));
  for (const ValueInfo& input : graph.inputs)
    if (!given.contains(input.name)) bind_batch(input, batch, sizes);
  for (const ValueInfo& input : graph.inputs) {
    if (!input.shape && !given.contains(input.name)) continue;
    Shape shape = input.shape ? resolved(input, sizes) : Shape{};
    if (auto at = given.find(input.name); at != given.end())
      shape = at->second;
    else if (!shape.empty() && shape[0] == kUnknown)
      shape[0] = batch;
    check_size(input.name, shape);
    shapes.types[input.name] = {input.type, std::move(shape)};
  }
}

void seed_constant(Shapes& shapes, const std::string& name, const Tensor& tensor) {
  check_size(name, tensor.dims);
  shapes.types[name] = {tensor.type, tensor.dims};
  if (element_size(tensor.type) > 0) shapes.constants[name] = tensor;
}

std::optional<Tensor> constant_value(const Node& node) {
  if (const auto* tensor = node.find<Tensor>("value")) return *tensor;
  if (const auto* real = node.find<float>("value_float")) return make_f32({}, {*real});
  if (const auto* integer = node.find<std::int64_t>("value_int")) return make_i64({}, {*integer});
  if (const auto* reals = node.find<std::vector<float>>("value_floats"))
    return make_f32({static_cast<std::int64_t>(reals->size())}, *reals);
  if (const auto* integers = node.find<std::vector<std::int64_t>>("value_ints"))
    return make_i64({static_cast<std::int64_t>(integers->size())}, *integers);
  return std::nullopt;
}

const ValueInfo* declared(const Graph& graph, const std::string& name) {
  if (auto at = graph.value_infos.find(name); at != graph.value_infos.end()) return &at->second;
  for (const ValueInfo& output : graph.outputs)
    if (output.name == name) return &output;
  return nullptr;
}

struct Inference {
  const Model& model;
  Symbols sizes = {};
  Knowledge known = {};
  BodyShapes bodies = {};

  std::int64_t opset(const std::string& domain) const {
    auto at = model.opsets.find(domain);
    return at == model.opsets.end() ? 1 : at->second;
  }

  void note(const Node& node, const std::string& why) {
    known.shapes.notes.push_back(fmt::format("{} ({}): {}", node.label(), node.op, why));
  }

  // What If, Loop and Scan give: where inference does not say it, as declared. Free dimensions of the declaration that
  // no input names stay free.
  void take_declared(const Node& node) {
    for (const std::string& name : node.outputs) {
      const ValueInfo* info = name.empty() ? nullptr : declared(model.graph, name);
      if (!info || !info->shape) continue;
      Shape shape = resolved(*info, sizes);
      auto [at, fresh] = known.shapes.types.try_emplace(name, TensorType{info->type, shape});
      for (std::size_t i = 0; !fresh && i < shape.size() && shape.size() == at->second.shape.size(); ++i)
        if (std::int64_t& dim = at->second.shape[i]; dim < 0) dim = shape[i];
    }
  }

  void keep(const Node& node, Site& site) {
    for (auto& [i, type] : site.outputs)
      if (!node.output(i).empty()) known.shapes.types[node.output(i)] = std::move(type);
  }

  void keep_folded(const Node& node, std::unordered_map<std::size_t, Array> folded) {
    for (auto& [i, array] : folded) {
      known.shapes.types[node.output(i)] = {array.type, array.dims};
      if (array.sure())
        known.shapes.constants[node.output(i)] = to_tensor(array);
      else
        known.partial[node.output(i)] = std::move(array);
    }
  }

  void bracket(const Node& node) {
    bodies.step(node, known);
    if (node.op.starts_with("Leave")) take_declared(node);
  }

  // A body that contradicts itself may be there for other sizes.
  void step_inside(const Node& node) try { step(node); } catch (const Error& error) {
    if (error.code() != Code::bad_shape) throw;
    note(node, error.what());
  }

  void step(const Node& node) {
    if (node.op == "Constant" && node.domain.empty()) {
      auto value = constant_value(node);
      return value ? seed_constant(known.shapes, node.output(0), *value)
                   : note(node, "its value is of no known kind");
    }
    if (node.op == "If" || node.op == "Loop" || node.op == "Scan") return take_declared(node);
    if (is_bracket(node)) return bracket(node);
    Rule rule = find_rule(node.domain, node.op);
    if (!rule) return note(node, "no rule for this operator");
    Site site(node, opset(node.domain), known);
    rule(site);
    auto folded = fold(site);
    keep(node, site);
    keep_folded(node, std::move(folded));
    if (!node.outputs.empty() && !known.shapes.find(node.outputs[0]))
      note(node, site.why.empty() ? "its shape does not follow" : site.why);
  }
};

std::int64_t weight_macs(const Shapes& shapes, const std::string& out, const std::string& weight) {
  const Shape *y = shapes.shape(out), *w = shapes.shape(weight);
  if (!y || !w || w->empty()) return -1;
  return times(element_count(*y), element_count({w->begin() + 1, w->end()}));
}

std::int64_t product_macs(const Node& node, const Shapes& shapes, bool transposed) {
  const Shape *y = shapes.shape(node.output(0)), *a = shapes.shape(node.input(0));
  if (!y || !a || a->empty()) return -1;
  bool first = transposed && a->size() >= 2;
  return times(element_count(*y), first ? (*a)[a->size() - 2] : a->back());
}

std::int64_t recurrent_macs(const Node& node, const Shapes& shapes) {
  const Shape *x = shapes.shape(node.input(0)), *w = shapes.shape(node.input(1)),
              *r = shapes.shape(node.input(2));
  if (!x || !w || !r || x->size() != 3) return -1;
  return times(times((*x)[0], (*x)[1]), plus(element_count(*w), element_count(*r)));
}

}  // namespace

const TensorType* Shapes::find(const std::string& value) const {
  auto at = types.find(value);
  return at == types.end() ? nullptr : &at->second;
}

const Shape* Shapes::shape(const std::string& value) const {
  const TensorType* type = find(value);
  return type ? &type->shape : nullptr;
}

const Tensor* Shapes::constant(const std::string& value) const {
  auto at = constants.find(value);
  return at == constants.end() ? nullptr : &at->second;
}

Shapes infer_shapes(const Model& model, const ShapeOverrides& overrides, std::int64_t batch) {
  const std::optional<LaidOpen> open = lay_open(model);
  Inference inference{open ? open->flat : model};
  const Graph& graph = inference.model.graph;
  check_names(graph, overrides);
  do {
    inference.known = {};
    seed_inputs(graph, overrides, batch, inference.sizes, inference.known.shapes);
    for (const auto& [name, tensor] : graph.initializers) seed_constant(inference.known.shapes, name, tensor);
    for (const Node& node : graph.nodes)
      inference.bodies.inside() ? inference.step_inside(node) : inference.step(node);
  } while (!inference.bodies.settled());
  return std::move(inference.known.shapes);
}

std::pair<std::string, Shape> parse_shape_override(const std::string& text) {
  auto refuse = [&] {
    throw Error(Code::bad_value, fmt::format("'{}' is no shape", text), "--shape", "write NAME:1x3x224x224");
  };
  std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) refuse();
  std::string sizes = text.substr(colon + 1);
  if (sizes == "scalar" || sizes == "[]") return {text.substr(0, colon), {}};
  if (sizes.starts_with('[') && sizes.ends_with(']')) sizes = sizes.substr(1, sizes.size() - 2);
  Shape shape;
  for (const char *at = sizes.data(), *end = at + sizes.size();; ++at) {
    while (at != end && *at == ' ') ++at;
    std::int64_t dim = 0;
    auto [rest, error] = std::from_chars(at, end, dim);
    if (error != std::errc() || dim < 1 || dim > kMaxDimension) refuse();
    shape.push_back(dim);
    at = rest;
    if (at == end) break;
    if (*at != 'x' && *at != ',') refuse();
  }
  return {text.substr(0, colon), std::move(shape)};
}

std::int64_t multiply_accumulates(const Node& node, const Shapes& shapes) {
  const std::string& op = node.op;
  if (op == "Conv" || op == "FusedConv" || op == "ConvInteger")
    return weight_macs(shapes, node.output(0), node.input(1));
  if (op == "QLinearConv") return weight_macs(shapes, node.output(0), node.input(3));
  if (op == "ConvTranspose") return weight_macs(shapes, node.input(0), node.input(1));
  if (op == "Gemm" || op == "FusedGemm" || op == "QGemm" || op == "FusedMatMul")
    return product_macs(node, shapes, node.integer("transA", 0) != 0);
  if (op == "MatMul" || op == "MatMulInteger" || op == "QLinearMatMul" || op == "MatMulNBits")
    return product_macs(node, shapes, false);
  if (op == "LSTM" || op == "GRU" || op == "RNN") return recurrent_macs(node, shapes);
  return 0;
}

}  // namespace tailor::graph

// compile: shapes are inferred for these inputs (inferred), values that depend on parameters are found (Dependence), then
// the graph is walked backwards from what is wanted (needed) and forwards to number the values (Compiler). Last, every
// step is told which values nobody needs after it.
#include "tailor/learn/program.h"

#include "tailor/base/error.h"
#include "tailor/learn/head.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <stdexcept>

namespace tailor::learn {
namespace {

constexpr std::int64_t kMostElements = std::int64_t{1} << 32;  // of one value

using graph::Graph;
using graph::Model;
using graph::Node;

graph::Shapes inferred(const Model& model, const graph::ShapeOverrides& inputs) {
  try {
    return infer_shapes(with_free_batch(model), inputs);
  } catch (const Error& error) {
    if (error.code() != Code::bad_shape) throw;
    throw Error(Code::bad_shape, error.what(), error.place(),
                "the graph may be made for another number of samples at once: export it with a free leading "
                "dimension, or give --batch that number");
  }
}

// Values whose content, not only whose shape, follows from a parameter.
std::set<std::string> dependent(const Graph& graph, std::set<std::string> values) {
  for (const Node& node : graph.nodes) {
    if (node.op == "Shape" || node.op == "Size") continue;
    bool depends = std::any_of(node.inputs.begin(), node.inputs.end(),
                               [&](const std::string& name) { return values.contains(name); });
    if (depends) values.insert(node.outputs.begin(), node.outputs.end());
  }
  values.erase("");
  return values;
}

class Compiler {
 public:
  Compiler(const Model& model, graph::Shapes shapes, const std::set<std::string>& variables,
           at::ScalarType real, const RoundedActivations& rounded)
      : model_(model),
        shapes_(std::move(shapes)),
        dependent_(dependent(model.graph, variables)),
        variables_(variables),
        real_(real),
        rounded_(rounded) {
    for (const graph::ValueInfo& input : model.graph.inputs) inputs_.insert(input.name);
  }

  Program compile(const std::vector<std::string>& wanted) {
    std::vector<bool> needed = needed_nodes(wanted);
    for (std::size_t i = 0; i < needed.size(); ++i)
      if (needed[i]) add(model_.graph.nodes[i]);
    if (!missing_.empty()) refuse();
    for (const std::string& name : wanted) program_.wanted.push_back(place(name));
    release();
    return std::move(program_);
  }

 private:
  // Known now and for ever, as far as these shapes go.
  const graph::Tensor* constant(const std::string& name) const {
    return dependent_.contains(name) ? nullptr : shapes_.constant(name);
  }
  bool given(const std::string& name) const { return variables_.contains(name) || inputs_.contains(name); }

  std::vector<bool> needed_nodes(const std::vector<std::string>& wanted) const;
  void add(const Node& node);
  void check_sizes(const Node& node) const;
  int place(const std::string& name);
  void release();
  [[noreturn]] void refuse() const;

  const Model& model_;
  const graph::Shapes shapes_;
  const std::set<std::string> dependent_;
  const std::set<std::string>& variables_;
  const at::ScalarType real_;
  const RoundedActivations& rounded_;
  std::set<std::string> inputs_;
  std::unordered_map<std::string, int> places_;
  std::map<std::string, std::vector<std::string>> missing_;  // operator -> nodes
  Program program_;
};

std::vector<bool> Compiler::needed_nodes(const std::vector<std::string>& wanted) const {
  std::set<std::string> values(wanted.begin(), wanted.end());
  std::vector<bool> needed(model_.graph.nodes.size(), false);
  for (std::size_t i = needed.size(); i-- > 0;) {
    const Node& node = model_.graph.nodes[i];
    needed[i] = std::any_of(node.outputs.begin(), node.outputs.end(), [&](const std::string& name) {
      return values.contains(name) && !constant(name) && !given(name);
    });
    if (needed[i]) values.insert(node.inputs.begin(), node.inputs.end());
  }
  return needed;
}

int Compiler::place(const std::string& name) {
  if (name.empty()) return -1;
  auto [at, fresh] = places_.emplace(name, static_cast<int>(program_.values.size()));
  if (!fresh) return at->second;
  program_.values.emplace_back();
  const graph::Tensor* known = given(name) ? nullptr : constant(name);
  if (given(name)) program_.given.emplace_back(name, at->second);
  if (known) program_.values.back() = to_aten(*known, real_);
  if (auto levels = rounded_.find(name); levels != rounded_.end() && !known)
    program_.rounded.emplace(at->second, levels->second);
  return at->second;
}

// A size that somebody wrote into a small file is no reason to fetch all memory.
void Compiler::check_sizes(const Node& node) const {
  for (const std::string& name : node.outputs) {
    const graph::Shape* shape = shapes_.shape(name);
    std::int64_t count = shape ? graph::element_count(*shape) : 0;
    if (count > kMostElements)
      throw Error(Code::bad_shape, fmt::format("'{}' would be {}", name, graph::to_string(*shape)),
                  "node " + node.label(), "give smaller samples, or a smaller --batch");
  }
}

void Compiler::add(const Node& node) {
  check_sizes(node);
  auto opset = model_.opsets.find(node.domain);
  Step step{
      &node, find_operator(node.domain, node.op), opset == model_.opsets.end() ? 1 : opset->second, {}, {},
      {}};
  if (!step.run || graph::has_body(node)) missing_[node.op].push_back(node.label());
  for (const std::string& name : node.inputs) step.inputs.push_back(place(name));
  for (const std::string& name : node.outputs) step.outputs.push_back(place(name));
  program_.steps.push_back(std::move(step));
}

// An output that nobody reads is let go at once: it is not even kept.
void Compiler::release() {
  std::set<int> seen(program_.wanted.begin(), program_.wanted.end());
  for (std::size_t i = program_.steps.size(); i-- > 0;) {
    Step& step = program_.steps[i];
    for (int& at : step.outputs)
      if (!seen.contains(at)) at = -1;
    for (int at : step.inputs)
      if (at >= 0 && seen.insert(at).second) step.done.push_back(at);
  }
}

void Compiler::refuse() const {
  std::vector<std::string> list;
  for (const auto& [op, nodes] : missing_)
    list.push_back(nodes.size() == 1
                       ? fmt::format("{} (node {})", op, nodes[0])
                       : fmt::format("{} (node {} and {} more)", op, nodes[0], nodes.size() - 1));
  throw Error(Code::not_trainable,
              fmt::format("operators that training cannot run: {}", fmt::join(list, ", ")), "",
              "training runs convolutional networks and vision transformers in floating point");
}

void round_value(const Program& program, int place, std::vector<at::Tensor>& values) {
  const auto levels = program.rounded.find(place);
  if (levels == program.rounded.end()) return;
  at::Tensor& value = values[static_cast<std::size_t>(place)];
  const saliency::ValueLevels& to = levels->second;
  if (value.defined() && value.is_floating_point())
    value = at::fake_quantize_per_tensor_affine(value, to.scale, to.zero, 0, to.most);
}

}  // namespace

Program compile(const Model& model, const graph::ShapeOverrides& inputs,
                const std::vector<std::string>& wanted, const std::set<std::string>& variables,
                at::ScalarType real, const RoundedActivations& rounded) {
  return Compiler(model, inferred(model, inputs), variables, real, rounded).compile(wanted);
}

void run(const Program& program, const Setting& setting, std::vector<at::Tensor>& values) {
  for (const auto& [name, place] : program.given) round_value(program, place, values);
  for (const Step& step : program.steps) {
    Call call(*step.node, step.opset, setting, step.inputs, step.outputs, values);
    try {
      step.run(call);
    } catch (const c10::Error& error) {
      call.fail(fmt::format("libtorch refuses: {}", error.what_without_backtrace()));
    } catch (const std::out_of_range&) {
      call.fail("a value that must hold an element is empty");
    }
    for (int at : step.outputs) round_value(program, at, values);
    for (int at : step.done) values[static_cast<std::size_t>(at)] = at::Tensor();
  }
}

}  // namespace tailor::learn

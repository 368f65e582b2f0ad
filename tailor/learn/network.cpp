#include "tailor/learn/network.h"

#include "tailor/base/error.h"
#include "tailor/learn/state.h"
#include "tailor/learn/unit_shares.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>

namespace tailor::learn {
namespace {

std::set<std::string> names_of(const std::vector<Parameter>& parameters) {
  std::set<std::string> names;
  for (const Parameter& p : parameters) names.insert(p.name);
  return names;
}

std::string key_of(const Feeds& feeds, const std::vector<std::string>& wanted) {
  std::string key;
  for (const auto& [name, tensor] : feeds) key += fmt::format("{}:{};", name, fmt::join(tensor.sizes(), "x"));
  for (const std::string& name : wanted) key += name + ";";
  return key;
}

Feeds feeds_of(const NamedTensors& inputs, at::ScalarType real) {
  Feeds feeds;
  for (const auto& [name, tensor] : inputs) feeds[name] = to_aten(tensor, real);
  return feeds;
}

std::vector<std::string> outputs_of(const graph::Graph& graph) {
  std::vector<std::string> names;
  for (const graph::ValueInfo& output : graph.outputs) names.push_back(output.name);
  return names;
}

const at::Tensor* find(const std::map<std::string, at::Tensor>& tensors, const std::string& name) {
  auto at = tensors.find(name);
  return at == tensors.end() ? nullptr : &at->second;
}

// Back in the type that the model stores.
graph::Tensor stored(const at::Tensor& tensor, graph::DataType type) {
  return from_aten(tensor.detach().to(type == graph::DataType::f64 ? at::kDouble : at::kFloat));
}

}  // namespace

const Program& Network::State::program_for(const Feeds& feeds, const std::vector<std::string>& wanted) {
  std::string key = key_of(feeds, wanted);
  if (auto at = programs.find(key); at != programs.end()) return at->second;
  graph::ShapeOverrides shapes;
  for (const auto& [name, tensor] : feeds) shapes[name] = tensor.sizes().vec();
  Program program = compile(model, shapes, wanted, names_of(parameters), real, rounded);
  return programs.emplace(key, std::move(program)).first->second;
}

std::vector<at::Tensor> Network::State::forward(const Feeds& feeds, const std::vector<std::string>& wanted,
                                                Mode mode) {
  return forward(feeds, wanted, Setting{real, mode != Mode::evaluate, mode == Mode::train});
}

std::vector<at::Tensor> Network::State::forward(const Feeds& feeds, const std::vector<std::string>& wanted,
                                                const Setting& setting) {
  const Program& program = program_for(feeds, wanted);
  std::vector<at::Tensor> values = program.values, results;
  for (const auto& [name, place] : program.given) {
    const at::Tensor* tensor = find(feeds, name);
    if (!tensor && !tensors.contains(name))
      throw Error(Code::unknown_name, fmt::format("no value is given for the input '{}'", name), "inputs");
    values[static_cast<std::size_t>(place)] = tensor ? *tensor : seen(name);
  }
  learn::run(program, setting, values);
  for (int at : program.wanted) results.push_back(values[static_cast<std::size_t>(at)]);
  return results;
}

at::Tensor Network::State::seen(const std::string& name) const {
  const at::Tensor& tensor = tensors.at(name);
  auto how = keepings.find(name);
  if (how != keepings.end()) return straight_through(tensor, how->second);
  return shares ? shares->seen(name, tensor) : tensor;
}

std::vector<at::Tensor> Network::State::learned() const {
  std::vector<at::Tensor> list;
  for (const Parameter& p : parameters)
    if (!p.statistic()) list.push_back(tensors.at(p.name));
  return list;
}

void Network::State::forget_gradients() {
  for (auto& [name, tensor] : tensors) tensor.mutable_grad() = at::Tensor();
}

Network::Network(graph::Model model, Precision precision) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.model = with_own_vectors(std::move(model));
  s.parameters = learn::parameters(s.model.graph);
  s.real = precision == Precision::f64 ? at::kDouble : at::kFloat;
  graph::Uses uses(s.model.graph);
  for (const Parameter& p : s.parameters)
    s.tensors[p.name] =
        to_aten(*graph::constant(s.model.graph, uses, p.name), s.real).set_requires_grad(!p.statistic());
}

Network::~Network() = default;
Network::Network(Network&&) noexcept = default;
Network& Network::operator=(Network&&) noexcept = default;

const std::vector<Parameter>& Network::parameters() const { return state_->parameters; }

void Network::keep(const Keepings& keepings) {
  for (const auto& [name, how] : keepings) {
    const at::Tensor* tensor = find(state_->tensors, name);
    if (!tensor || tensor->dim() < 2 || !tensor->requires_grad())
      throw Error(Code::not_trainable, fmt::format("'{}' holds no weights that learn", name), name,
                  "weights that another node makes cannot be trained for a mapping");
    const std::int64_t channels = tensor->size(how.outputs_last ? -1 : 0);
    if (channels != static_cast<std::int64_t>(how.way.size()))
      throw Error(Code::plan_mismatch,
                  fmt::format("'{}' has {} channels, and {} are assigned", name, channels, how.way.size()),
                  name, "give the model that the mapping was made for");
  }
  state_->keepings = keepings;
}

void Network::round(RoundedActivations activations) {
  state_->rounded = std::move(activations);
  state_->programs.clear();
}

graph::Model Network::model() const {
  graph::Uses uses(state_->model.graph);
  NamedTensors values;
  for (const auto& [name, tensor] : state_->tensors)
    values.emplace_back(name,
                        stored(state_->seen(name), graph::constant(state_->model.graph, uses, name)->type));
  return with_values(state_->model, values);
}

graph::Tensor Network::value(const std::string& name) const { return from_aten(state_->tensors.at(name)); }

void Network::assign(const std::string& name, const graph::Tensor& value) {
  at::NoGradGuard off;
  at::Tensor& tensor = state_->tensors.at(name);
  TAILOR_CHECK(tensor.sizes().vec() == value.dims);
  tensor.copy_(to_aten(value, state_->real));
}

std::vector<graph::Tensor> Network::run(const NamedTensors& inputs, const std::vector<std::string>& values,
                                        Mode mode) {
  at::NoGradGuard off;
  std::vector<std::string> wanted = values.empty() ? outputs_of(state_->model.graph) : values;
  std::vector<graph::Tensor> results;
  for (const at::Tensor& value : state_->forward(feeds_of(inputs, state_->real), wanted, mode))
    results.push_back(from_aten(value));
  return results;
}

Gradients Network::gradients(const NamedTensors& inputs, const std::vector<graph::Tensor>& weights,
                             Mode mode) {
  State& s = *state_;
  Feeds feeds = feeds_of(inputs, s.real);
  for (auto& [name, tensor] : feeds)
    if (tensor.is_floating_point()) tensor.set_requires_grad(true);
  at::Tensor sum = at::zeros({}, at::TensorOptions(s.real));
  std::size_t next = 0;
  for (const at::Tensor& value : s.forward(feeds, outputs_of(s.model.graph), mode))
    if (value.is_floating_point()) sum = sum + (value * to_aten(weights.at(next++), s.real)).sum();
  s.forget_gradients();
  sum.backward();
  Gradients result{sum.item().toDouble(), {}, {}};
  for (const auto& [name, tensor] : feeds)
    if (tensor.grad().defined()) result.inputs[name] = from_aten(tensor.grad());
  for (const auto& [name, tensor] : s.tensors)
    if (tensor.grad().defined()) result.parameters[name] = from_aten(tensor.grad());
  s.forget_gradients();
  return result;
}

void set_threads(int threads) { at::set_num_threads(threads); }

}  // namespace tailor::learn

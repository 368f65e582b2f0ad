// Numbering counts the elements of all parameters, one after another in the order of parameters(). taken() reads the
// numbers in a carved network; with_weights_of() and borrowed() fetch what they stand for, as a copy or with gradients.
#include "tailor/learn/supernet.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/learn/head.h"
#include "tailor/learn/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace tailor::learn {
namespace {

constexpr std::int64_t kMostElements = std::int64_t{1}
                                       << 30;  // their numbers are bits of floats, none of a NaN

// Where the elements of each parameter begin.
struct Numbering {
  std::vector<Parameter> parameters;
  std::vector<std::int64_t> begin;

  explicit Numbering(std::vector<Parameter> list) : parameters(std::move(list)) {
    std::int64_t next = 0;
    for (const Parameter& p : parameters) begin.push_back(next), next += graph::element_count(p.dims);
    if (next > kMostElements)
      throw Error(Code::not_trainable, fmt::format("{} weights are too many for a supernet", next), "model");
  }
  std::size_t holder(std::int64_t number) const {
    return static_cast<std::size_t>(std::upper_bound(begin.begin(), begin.end(), number) - begin.begin()) - 1;
  }
};

const graph::Tensor& tensor_of(const graph::Model& model, const graph::Uses& uses, const std::string& name) {
  const graph::Tensor* tensor = graph::constant(model.graph, uses, name);
  TAILOR_CHECK(tensor);
  return *tensor;
}

std::vector<std::int64_t> numbers_in(const graph::Tensor& tensor) {
  std::vector<std::uint32_t> bits(static_cast<std::size_t>(graph::element_count(tensor.dims)));
  TAILOR_CHECK(tensor.type == graph::DataType::f32 && tensor.data.size() == bits.size() * sizeof bits[0]);
  if (!bits.empty()) std::memcpy(bits.data(), tensor.data.data(), tensor.data.size());
  return {bits.begin(), bits.end()};
}

// What a parameter of a carved network takes: elements of one parameter of the whole.
struct Taken {
  std::string name, from;
  graph::Shape dims;
  std::vector<std::int64_t> places;
  bool all = false;  // of them, in their order
};

Taken taken_by(const Parameter& p, std::vector<std::int64_t> numbers, const Numbering& numbering) {
  if (numbers.empty()) throw Error(Code::bad_cut, "a part of a network holds no weights", p.name);
  const std::size_t holder = numbering.holder(numbers.front());
  const Parameter& from = numbering.parameters[holder];
  const std::int64_t count = graph::element_count(from.dims);
  Taken taken{p.name, from.name, p.dims, std::move(numbers), true};
  for (std::size_t i = 0; i < taken.places.size(); ++i) {
    std::int64_t& place = taken.places[i];
    place -= numbering.begin[holder];
    TAILOR_CHECK(place >= 0 && place < count);
    taken.all = taken.all && place == static_cast<std::int64_t>(i);
  }
  taken.all = taken.all && static_cast<std::int64_t>(taken.places.size()) == count;
  return taken;
}

std::vector<Taken> taken(const graph::Model& carved, const Numbering& numbering) {
  graph::Uses uses(carved.graph);
  std::vector<Taken> list;
  for (const Parameter& p : parameters(carved.graph))
    list.push_back(taken_by(p, numbers_in(tensor_of(carved, uses, p.name)), numbering));
  return list;
}

graph::Tensor picked(const graph::Tensor& whole, const Taken& taken) {
  const std::vector<float> values = whole.values<float>();
  std::vector<float> part(taken.places.size());
  for (std::size_t i = 0; i < part.size(); ++i) part[i] = values[static_cast<std::size_t>(taken.places[i])];
  return graph::make_f32(taken.dims, std::move(part));
}

at::Tensor lent(const at::Tensor& whole, const Taken& taken) {
  if (taken.all && taken.dims == whole.sizes().vec()) return whole.requires_grad() ? whole : whole.clone();
  at::Tensor places =
      to_aten(graph::make_i64({static_cast<std::int64_t>(taken.places.size())}, taken.places), at::kFloat);
  return whole.reshape({-1}).index_select(0, places).view(taken.dims);
}

}  // namespace

graph::Model numbered(const graph::Model& model) {
  const Numbering numbering(parameters(model.graph));
  graph::Uses uses(model.graph);
  NamedTensors values;
  for (std::size_t i = 0; i < numbering.parameters.size(); ++i) {
    const Parameter& p = numbering.parameters[i];
    if (tensor_of(model, uses, p.name).type != graph::DataType::f32)
      throw Error(Code::not_trainable, "a supernet's weights are float32", p.name);
    std::vector<float> numbers(static_cast<std::size_t>(graph::element_count(p.dims)));
    for (std::size_t k = 0; k < numbers.size(); ++k) {
      const auto number = static_cast<std::uint32_t>(numbering.begin[i]) + static_cast<std::uint32_t>(k);
      std::memcpy(&numbers[k], &number, sizeof number);
    }
    values.emplace_back(p.name, graph::make_f32(p.dims, std::move(numbers)));
  }
  return with_values(model, values);
}

graph::Model with_weights_of(const graph::Model& carved, const graph::Model& model) {
  graph::Uses uses(model.graph);
  NamedTensors values;
  for (const Taken& t : taken(carved, Numbering(parameters(model.graph))))
    values.emplace_back(t.name, picked(tensor_of(model, uses, t.from), t));
  return with_values(carved, values);
}

Network borrowed(const graph::Model& carved, Network& supernet) {
  Network network(carved);
  for (const Taken& t : taken(carved, Numbering(supernet.parameters())))
    network.state().tensors.at(t.name) = lent(supernet.state().tensors.at(t.from), t);
  return network;
}

graph::Model with_own_statistics(const graph::Model& model, const data::Dataset& data, std::int64_t batch) {
  at::NoGradGuard off;
  Network network(model);
  Network::State& state = network.state();
  const std::string& input = only_input(state.model).name;
  std::vector<std::string> wanted;
  for (const graph::ValueInfo& output : state.model.graph.outputs) wanted.push_back(output.name);
  const std::int64_t size = std::min(batch, data.size()), count = size > 0 ? data.size() / size : 0;
  Setting setting{state.real, false, true};
  for (std::int64_t i = 0; i < count; ++i) {
    throw_if_interrupted();
    setting.follow = 1.0 / static_cast<double>(i + 1);  // the mean of all batches so far
    state.forward({{input, to_aten(data.batch(i * size, size), state.real)}}, wanted, setting);
  }
  return network.model();
}

}  // namespace tailor::learn

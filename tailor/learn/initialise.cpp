#include "tailor/base/random.h"
#include "tailor/learn/batches.h"
#include "tailor/learn/network.h"
#include "tailor/learn/train.h"

#include <cmath>

namespace tailor::learn {
namespace {

constexpr std::uint64_t kDraw = 4;

double deviation(const graph::Shape& dims) {
  if (dims.size() <= 2)
    return std::sqrt(2.0 / static_cast<double>(dims.empty() ? 1 : dims.front() + dims.back()));
  return std::sqrt(2.0 / static_cast<double>(graph::element_count({dims.begin() + 1, dims.end()})));
}

float start_of(Role role) {
  if (role == Role::scale || role == Role::variance) return 1;
  return role == Role::slope ? 0.25f : 0;
}

graph::Tensor drawn(const Parameter& parameter, graph::DataType type, Random random) {
  auto count = static_cast<std::size_t>(graph::element_count(parameter.dims));
  std::vector<double> values(count, double{start_of(parameter.role)});
  double spread = deviation(parameter.dims);
  if (parameter.decays())
    for (double& value : values) value = spread * random.normal();
  if (type == graph::DataType::f64) return {type, parameter.dims, Bytes::own(std::move(values))};
  return graph::make_f32(parameter.dims, {values.begin(), values.end()});
}

}  // namespace

graph::Model initialised(const graph::Model& model, std::uint64_t seed) {
  graph::Model own = with_own_vectors(model);
  graph::Uses uses(own.graph);
  NamedTensors values;
  std::uint64_t number = 0;
  for (const Parameter& p : parameters(own.graph))
    values.emplace_back(
        p.name, drawn(p, graph::constant(own.graph, uses, p.name)->type, generator(seed, kDraw, number++)));
  return with_values(own, values);
}

}  // namespace tailor::learn

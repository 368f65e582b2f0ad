/// \file What tests share that run models: one runner per program, inputs made up, outputs compared.
#pragma once

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/random.h"
#include "tailor/graph/shapes.h"
#include "tailor/onnx/onnx.h"
#include "tailor/runtime/runner.h"
#include "tests/testing.h"

#include <cmath>
#include <map>
#include <optional>

namespace tailor::testing {

/// The ONNX Runtime runner of this program; nullptr where it cannot start.
inline runtime::Runner* runner() {
  static std::optional<runtime::Runner> live = [] {
    std::optional<runtime::Runner> started;
    try {
      started.emplace();
    } catch (const Error& error) {
      std::fprintf(stderr, "no runner: %s\n", error.what());
    }
    return started;
  }();
  return live ? &*live : nullptr;
}

/// Written, read again, and run, eight-bit products exactly. The names of the outputs are those of the model.
inline runtime::NamedTensors run_model(const graph::Model& model, const runtime::NamedTensors& inputs) {
  TemporaryFolder folder(true);
  std::filesystem::path path = folder.fresh(".onnx");
  onnx::write(model, path);
  graph::check(onnx::read(path).graph);
  return runner()->run(path, inputs, {}, 64, 1, false, true);
}

/// Sizes for what the inputs leave free: `size` wherever it is not the batch.
inline graph::ShapeOverrides fill_free(const graph::Model& model, std::int64_t size) {
  graph::ShapeOverrides overrides;
  for (const graph::ValueInfo& input : model.graph.inputs) {
    if (!input.shape) continue;
    graph::Shape shape = *input.shape;
    for (std::size_t i = 0; i < shape.size(); ++i)
      if (shape[i] < 0)
        shape[i] = i == 0 || (i < input.symbols.size() && input.symbols[i].starts_with("batch")) ? 1 : size;
    if (shape != *input.shape) overrides[input.name] = shape;
  }
  return overrides;
}

/// Waves of random frequency and phase along the last axis plus a little noise: like a signal, not like
/// static.
inline graph::Tensor smooth(graph::Shape dims, Random& random) {
  std::vector<float> values(static_cast<std::size_t>(graph::element_count(dims)));
  std::size_t row = dims.empty() ? 1 : static_cast<std::size_t>(dims.back());
  double phase = 0, frequency = 0, level = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % (row * 8) == 0)
      phase = random.uniform(0, 6.28), frequency = random.uniform(0.05, 0.6),
      level = random.uniform(-0.5, 0.5);
    values[i] = static_cast<float>(level + std::sin(phase + frequency * static_cast<double>(i % row)) +
                                   0.2 * random.normal());
  }
  return graph::make_f32(std::move(dims), std::move(values));
}

/// One value per input of the model; integers are small and not negative.
inline runtime::NamedTensors random_inputs(const graph::Model& model, const graph::Shapes& shapes,
                                           std::uint64_t seed, std::int64_t samples = 1) {
  Random random(seed);
  runtime::NamedTensors inputs;
  for (const graph::ValueInfo& input : model.graph.inputs) {
    graph::Shape dims = *shapes.shape(input.name);
    if (!dims.empty() && samples != 1) dims[0] = samples;
    if (input.type == graph::DataType::f32) {
      inputs.emplace_back(input.name, smooth(dims, random));
    } else {
      std::size_t bytes =
          static_cast<std::size_t>(graph::element_count(dims)) * graph::element_size(input.type);
      inputs.emplace_back(input.name,
                          graph::Tensor{input.type, dims, Bytes::own(std::vector<std::byte>(bytes))});
    }
  }
  return inputs;
}

/// Largest difference of all outputs, each relative to its own largest value; infinity if they do not fit
/// together. Outputs that are no f32: 0 if equal byte by byte, else infinity.
inline double difference(const runtime::NamedTensors& a, const runtime::NamedTensors& b) {
  constexpr double kNot = std::numeric_limits<double>::infinity();
  if (a.size() != b.size()) return kNot;
  double worst = 0;
  for (std::size_t k = 0; k < a.size(); ++k) {
    const graph::Tensor &x = a[k].second, &y = b[k].second;
    if (x.dims != y.dims || x.type != y.type) return kNot;
    if (x.type != graph::DataType::f32) {
      if (!(x.data == y.data)) return kNot;
      continue;
    }
    std::vector<float> u = x.values<float>(), v = y.values<float>();
    double largest = 1e-2, apart = 0;  // sigmoids of runtimes are good to 1e-7, not better
    for (std::size_t i = 0; i < u.size(); ++i) {
      if (std::isnan(u[i]) || std::isnan(v[i])) return kNot;
      if (u[i] == v[i]) continue;
      largest = std::max<double>(largest, std::abs(u[i]));
      apart = std::max<double>(apart, std::abs(double{u[i]} - v[i]));
    }
    for (float value : u)
      if (std::isfinite(value)) largest = std::max<double>(largest, std::abs(value));
    worst = std::max(worst, apart / largest);
  }
  return worst;
}

}  // namespace tailor::testing

/// Skips the test, visibly, where no runner can start.
#define TAILOR_NEEDS_RUNNER() \
  if (!tailor::testing::runner()) GTEST_SKIP() << "the ONNX Runtime runner does not start here"

// Batches of samples through both models, sums of what differs.
#include "tailor/pipeline/verify_samples.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/loss.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::pipeline {
namespace {

using graph::DataType;
using graph::Tensor;
using runtime::NamedTensors;

constexpr std::int64_t kBatch = 256;

// What is added up over batches; finish() turns sums into means.
struct Sums {
  double dot = 0, square_a = 0, square_b = 0, divergence = 0;
};

void add_numbers(Agreement& result, Sums& sums, const Tensor& a, const Tensor& b) {
  auto x = graph::as_floats(a), y = graph::as_floats(b);
  if (!x || !y) return;
  for (std::size_t i = 0; i < x->size(); ++i) {
    double p = (*x)[i], q = (*y)[i], difference = std::abs(p - q);
    if (difference > result.max_difference || std::isnan(difference)) result.max_difference = difference;
    sums.dot += p * q, sums.square_a += p * p, sums.square_b += q * q;
  }
}

// Rows of class scores: two or more numbers per sample along axis 1, nothing along further axes.
bool has_rows(const Tensor& tensor, std::int64_t samples) {
  return graph::as_floats(tensor) && tensor.dims.size() >= 2 && tensor.dims[0] == samples &&
         tensor.dims[1] >= 2 && tensor.size() == samples * tensor.dims[1];
}

void check_equal_shapes(const NamedTensors& a, const NamedTensors& b, const Contender& who) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].second.dims != b[i].second.dims || a[i].second.type != b[i].second.type)
      throw Error(Code::bad_shape,
                  fmt::format("output '{}' is {} {} in the first model and {} {} in the second", a[i].first,
                              graph::name(a[i].second.type), graph::to_string(a[i].second.dims),
                              graph::name(b[i].second.type), graph::to_string(b[i].second.dims)),
                  who.path.string());
}

// The outputs of one model, in the order of A's.
NamedTensors outputs_of(runtime::Runner& runner, const Contender& model, const NamedTensors& inputs,
                        const std::vector<std::string>& order, const VerifyOptions& options) {
  NamedTensors raw = runner.run(model.path, inputs, order, 64, options.bench.threads), sorted;
  for (const std::string& name : order)
    for (auto& entry : raw)
      if (entry.first == name) sorted.push_back(std::move(entry));
  if (sorted.size() != order.size()) throw Error(Code::runner_failed, "the runner left outputs out");
  return sorted;
}

void add_batch(Agreement& result, Sums& sums, runtime::Runner& runner, const Contender& a, const Contender& b,
               const NamedTensors& inputs, std::int64_t samples, std::span<const std::int64_t> labels,
               const VerifyOptions& options) {
  NamedTensors x = outputs_of(runner, a, inputs, a.outputs, options),
               y = outputs_of(runner, b, inputs, a.outputs, options);
  check_equal_shapes(x, y, b);
  for (std::size_t i = 0; i < x.size(); ++i) add_numbers(result, sums, x[i].second, y[i].second);
  sums.divergence += divergence(x, y) * static_cast<double>(samples);
  if (has_rows(x[0].second, samples))
    runtime::add(result.score, x[0].second, y[0].second, labels, options.label_offset);
  result.samples += samples;
}

void finish(Agreement& result, const Sums& sums) {
  double norm = std::sqrt(sums.square_a) * std::sqrt(sums.square_b);
  result.cosine = norm > 0 ? sums.dot / norm : 1;
  result.mean_divergence = result.samples > 0 ? sums.divergence / static_cast<double>(result.samples) : 0;
}

template <class T, class Draw>
Tensor filled(DataType type, const graph::Shape& shape, Draw draw) {
  std::vector<T> values(static_cast<std::size_t>(graph::element_count(shape)));
  for (T& value : values) value = static_cast<T>(draw());
  return {type, shape, Bytes::own(std::move(values))};
}

Tensor random_tensor(const graph::ValueInfo& input, const graph::Shape& shape, Random& random) {
  auto bit = [&] { return random.below(2); };
  switch (input.type) {
    case DataType::f32:
      return filled<float>(input.type, shape, [&] { return random.normal(); });
    case DataType::f64:
      return filled<double>(input.type, shape, [&] { return random.normal(); });
    case DataType::i64:
      return filled<std::int64_t>(input.type, shape, bit);
    case DataType::i32:
      return filled<std::int32_t>(input.type, shape, bit);
    case DataType::u8:
    case DataType::i8:
    case DataType::boolean:
      return filled<std::uint8_t>(input.type, shape, bit);
    default:
      throw Error(Code::usage,
                  fmt::format("no random values of type {} can be drawn", graph::name(input.type)),
                  fmt::format("input '{}'", input.name), "give samples with --calib");
  }
}

graph::Shape sample_shape(const Contender& model) {
  if (model.inputs.size() != 1)
    throw Error(Code::dataset_mismatch,
                fmt::format("samples feed one input, and the model has {}", model.inputs.size()),
                model.path.string(), "leave --eval and --calib out: random inputs are used then");
  const graph::Shape& shape = model.shapes.front();
  return shape.empty() ? shape : graph::Shape(shape.begin() + 1, shape.end());
}

std::span<const std::int64_t> labels_of(const data::Dataset& set, std::int64_t first, std::int64_t count) {
  if (!set.labelled()) return {};
  return std::span(set.labels()).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

}  // namespace

Contender read_contender(const std::filesystem::path& path, const graph::ShapeOverrides& overrides) {
  Contender contender{path, {}, {}, {}};
  for (const auto& [name, shape] : timing_job(path, overrides).inputs) contender.shapes.push_back(shape);
  graph::Model model = onnx::read(path);
  contender.inputs = model.graph.inputs;
  for (const graph::ValueInfo& output : model.graph.outputs) contender.outputs.push_back(output.name);
  return contender;
}

void check_same_interface(const Contender& a, const Contender& b) {
  auto describe = [](const Contender& c) {
    std::vector<std::string> inputs, outputs = c.outputs;
    for (std::size_t i = 0; i < c.inputs.size(); ++i)
      inputs.push_back(fmt::format("{}:{} {}", c.inputs[i].name, graph::to_string(c.shapes[i]),
                                   graph::name(c.inputs[i].type)));
    std::sort(inputs.begin(), inputs.end()), std::sort(outputs.begin(), outputs.end());
    return fmt::format("({}) -> ({})", fmt::join(inputs, ", "), fmt::join(outputs, ", "));
  };
  std::string of_a = describe(a), of_b = describe(b);
  if (of_a != of_b)
    throw Error(Code::bad_shape, "the models' inputs or outputs differ: " + of_a + " and " + of_b,
                b.path.string(), "verify compares a model with a changed copy of itself");
}

Agreement on_dataset(runtime::Runner& runner, const Contender& a, const Contender& b,
                     const std::filesystem::path& path, const VerifyOptions& options) {
  data::Dataset set = data::read_dataset(path, options.preparation, sample_shape(a));
  Agreement result;
  result.source = path.string();
  Sums sums;
  std::int64_t all = options.limit > 0 ? std::min(options.limit, set.size()) : set.size();
  for (std::int64_t first = 0; first < all; first += kBatch) {
    std::int64_t count = std::min(kBatch, all - first);
    NamedTensors inputs = {{a.inputs.front().name, set.batch(first, count)}};
    add_batch(result, sums, runner, a, b, inputs, count, labels_of(set, first, count), options);
    if (options.progress)
      options.progress("samples", static_cast<double>(first + count) / static_cast<double>(all));
  }
  finish(result, sums);
  return result;
}

Agreement on_random(runtime::Runner& runner, const Contender& a, const Contender& b,
                    const VerifyOptions& options) {
  Agreement result;
  result.source = "random";
  Sums sums;
  Random random(options.bench.seed);
  for (int i = 0; i < options.random_samples; ++i) {
    NamedTensors inputs;
    for (std::size_t k = 0; k < a.inputs.size(); ++k)
      inputs.emplace_back(a.inputs[k].name, random_tensor(a.inputs[k], a.shapes[k], random));
    bool batched = !a.shapes.empty() && !a.shapes[0].empty();
    add_batch(result, sums, runner, a, b, inputs, batched ? a.shapes[0][0] : 1, {}, options);
    if (options.progress) options.progress("random inputs", (i + 1.0) / options.random_samples);
  }
  finish(result, sums);
  return result;
}

}  // namespace tailor::pipeline

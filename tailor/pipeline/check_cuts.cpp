// Inputs, then the comparison of outputs, then the trials: the original runs once, each trial runs the masked
// model and the cut one, on inputs for both branches where an input says which one runs. All three are files, as users
// have them.
#include "tailor/pipeline/check_cuts.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/random.h"
#include "tailor/onnx/onnx.h"
#include "tailor/rewrite/cut.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <numeric>
#include <optional>

namespace tailor::pipeline {
namespace {

using graph::DataType;
using graph::Tensor;
using runtime::NamedTensors;

constexpr double kNot = std::numeric_limits<double>::infinity();

// Signals, not static: random frequency, phase and level for every eight rows, and a little noise.
std::vector<double> waves(const graph::Shape& dims, Random& random) {
  std::vector<double> values(static_cast<std::size_t>(graph::element_count(dims)));
  std::size_t row = dims.empty() ? 1 : static_cast<std::size_t>(std::max<std::int64_t>(dims.back(), 1));
  double phase = 0, frequency = 0, level = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % (row * 8) == 0)
      phase = random.uniform(0, 6.28), frequency = random.uniform(0.05, 0.6),
      level = random.uniform(-0.5, 0.5);
    values[i] = level + std::sin(phase + frequency * static_cast<double>(i % row)) + 0.2 * random.normal();
  }
  return values;
}

// Any f16 or bf16 between 1/32 and 1 in size: exponents 10..14 of 15, mantissa as it comes.
std::vector<std::uint16_t> halves(std::size_t count, bool brain, Random& random) {
  std::vector<std::uint16_t> values(count);
  for (std::uint16_t& value : values) {
    std::uint64_t bits = random.next();
    std::uint64_t exponent =
        brain ? (122 + bits % 5) << 7 | (bits >> 8 & 127) : (10 + bits % 5) << 10 | (bits >> 8 & 1023);
    value = static_cast<std::uint16_t>(exponent | (bits >> 32 & 1) << 15);
  }
  return values;
}

Tensor random_tensor(DataType type, const graph::Shape& dims, Random& random) {
  auto count = static_cast<std::size_t>(graph::element_count(dims));
  if (type == DataType::f64) return {type, dims, Bytes::own(waves(dims, random))};
  if (type == DataType::f32) {
    std::vector<double> values = waves(dims, random);
    return graph::make_f32(dims, std::vector<float>(values.begin(), values.end()));
  }
  if (type == DataType::f16 || type == DataType::bf16)
    return {type, dims, Bytes::own(halves(count, type == DataType::bf16, random))};
  std::size_t size = graph::element_size(type);
  std::vector<std::byte> bytes(count * size);  // little-endian: the first byte of each element is its value
  for (std::size_t i = 0; i < count && size > 0; ++i)
    bytes[i * size] = static_cast<std::byte>(random.below(type == DataType::u8 ? 256 : 2));
  return {type, dims, Bytes::own(std::move(bytes))};
}

double apart(const Tensor& a, const Tensor& b) {
  if (a.dims != b.dims || a.type != b.type) return kNot;
  auto u = graph::as_floats(a), v = graph::as_floats(b);
  if (!u || !v) return a.data == b.data ? 0 : kNot;
  double largest = 1e-2, difference = 0;  // sigmoids of runtimes are good to 1e-7, not better
  for (std::size_t i = 0; i < u->size(); ++i) {
    double x = (*u)[i], y = (*v)[i];
    if (std::isnan(x) || std::isnan(y)) return kNot;
    if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
    if (x != y) difference = std::max(difference, std::abs(x - y));
  }
  return difference / largest;
}

bool computes_in_integers(const graph::Model& model) {
  return std::any_of(model.graph.nodes.begin(), model.graph.nodes.end(),
                     [](const graph::Node& node) { return node.op.starts_with("QLinear"); });
}

// Inputs changed by a few units in the last place: what comes of it is what rounding alone can do.
NamedTensors nudged(const NamedTensors& inputs, std::uint64_t seed) {
  Random random(seed);
  NamedTensors list = inputs;
  for (auto& [name, tensor] : list) {
    if (tensor.type != DataType::f32) continue;
    std::vector<float> values = tensor.values<float>();
    for (float& v : values) v *= 1 + 4e-7f * static_cast<float>(random.uniform(-1, 1));
    tensor = graph::make_f32(tensor.dims, std::move(values));
  }
  return list;
}

// What an Equal compares the input with, if that is one literal.
std::optional<std::int64_t> compared_with(const graph::Model& model, const graph::Shapes& shapes,
                                          const std::string& input) {
  for (const graph::Node& node : model.graph.nodes)
    for (std::size_t i = 0; node.op == "Equal" && i < 2; ++i) {
      const Tensor* other = node.input(i) == input ? shapes.constant(node.input(1 - i)) : nullptr;
      auto values = other ? graph::as_integers(*other) : std::nullopt;
      if (values && values->size() == 1) return values->front();
    }
  return std::nullopt;
}

// Random inputs, and the same with integers that lead into the other branch where the model asks for a number.
std::vector<NamedTensors> input_choices(const graph::Model& model, const graph::Shapes& shapes,
                                        std::uint64_t seed) {
  std::vector<NamedTensors> choices = {random_inputs(model, shapes, seed)};
  NamedTensors other = choices.front();
  bool any = false;
  for (auto& [name, tensor] : other) {
    auto value = tensor.type == DataType::i64 && tensor.size() == 1 ? compared_with(model, shapes, name)
                                                                    : std::nullopt;
    if (value) tensor = graph::make_i64(tensor.dims, {*value}), any = true;
  }
  if (any) choices.push_back(std::move(other));
  return choices;
}

// Between one unit and all but one.
std::vector<int> random_units(int width, Random& random) {
  std::vector<int> units(static_cast<std::size_t>(width));
  std::iota(units.begin(), units.end(), 0);
  random.shuffle(units);
  units.resize(1 + random.below(static_cast<std::size_t>(width - 1)));
  std::sort(units.begin(), units.end());
  return units;
}

// Inputs with what they make of the original.
struct Sample {
  NamedTensors inputs, whole;
};

class Laboratory {
 public:
  Laboratory(const Subject& subject, const CutOptions& options, double tolerance)
      : subject_(subject), options_(options), tolerance_(tolerance) {
    for (NamedTensors& inputs : input_choices(subject.model, subject.shapes, options.seed))
      add(std::move(inputs));
    if (samples_.empty()) std::rethrow_exception(refusal_);
  }

  CutTrial trial(int group, std::uint64_t seed) {
    Random random(seed);
    rewrite::Cut what{
        {{group, random_units(subject_.channels.groups[static_cast<std::size_t>(group)].width(), random)}}};
    CutTrial result{static_cast<int>(what.kept[group].size()), kNot, tolerance_, false, {}};
    try {
      graph::Model reference = rewrite::mask(subject_.model, subject_.shapes, subject_.channels, what);
      graph::Model pruned = rewrite::cut(subject_.model, subject_.shapes, subject_.channels, what);
      result.apart = 0;
      for (const Sample& sample : samples_) compare(sample, reference, pruned, result);
    } catch (const Error& error) {
      if (error.code() == Code::interrupted) throw;
      if (error.code() == Code::runner_failed) runner_.reset();
      result.apart = kNot, result.error = error.what();
    }
    return result;
  }

 private:
  // A value of an input may lead into a branch that does not fit the sizes at hand: the original says so.
  void add(NamedTensors inputs) try {
    NamedTensors whole = run(subject_.model, inputs);
    samples_.push_back({std::move(inputs), std::move(whole)});
  } catch (const Error& error) {
    if (error.code() == Code::interrupted) throw;
    if (error.code() == Code::runner_failed) runner_.reset();
    if (!refusal_) refusal_ = std::current_exception();
  }

  void compare(const Sample& sample, const graph::Model& reference, const graph::Model& pruned,
               CutTrial& result) {
    NamedTensors masked = run(reference, sample.inputs);
    const double apart = pipeline::apart(masked, run(pruned, sample.inputs));
    double allowed = tolerance_;
    if (apart > allowed && std::isfinite(apart) && tolerance_ > 0)
      allowed = std::clamp(4 * rounding(sample, reference, masked), tolerance_, 10 * tolerance_);
    result.tells = result.tells || pipeline::apart(sample.whole, masked) > tolerance_;
    if (result.passed() && (apart > allowed || apart >= result.apart))
      result.apart = apart, result.allowed = allowed;
  }

  // What the last bits of the inputs do to the outputs, in the worst of three trials.
  double rounding(const Sample& sample, const graph::Model& model, const NamedTensors& outputs) {
    double worst = 0;
    for (std::uint64_t i = 1; i <= 3; ++i)
      worst = std::max(worst, pipeline::apart(outputs, run(model, nudged(sample.inputs, options_.seed + i))));
    return worst;
  }

  NamedTensors run(const graph::Model& model, const NamedTensors& inputs) {
    if (!runner_) runner_.emplace(options_.runner);
    std::filesystem::path path = folder_.fresh(".onnx");
    onnx::write(model, path);
    NamedTensors outputs = runner_->run(path, inputs, {}, 64, options_.threads, true, true);
    onnx::remove_written(path);
    return outputs;
  }

  const Subject& subject_;
  const CutOptions& options_;
  double tolerance_;
  std::vector<Sample> samples_;
  std::exception_ptr refusal_;
  TemporaryFolder folder_{true};
  std::optional<runtime::Runner> runner_;
};

template <class Count>
int count_trials(const CutCheck& check, Count wanted) {
  std::ptrdiff_t sum = 0;
  for (const GroupCheck& group : check.groups)
    sum += std::count_if(group.trials.begin(), group.trials.end(), wanted);
  return static_cast<int>(sum);
}

}  // namespace

int CutCheck::trials() const {
  return count_trials(*this, [](const CutTrial&) { return true; });
}
int CutCheck::failed() const {
  return count_trials(*this, [](const CutTrial& t) { return !t.passed(); });
}
int CutCheck::telling() const {
  return count_trials(*this, [](const CutTrial& t) { return t.tells; });
}
double CutCheck::worst() const {
  double worst = 0;
  for (const GroupCheck& group : groups)
    for (const CutTrial& t : group.trials)
      if (t.passed()) worst = std::max(worst, t.apart);
  return worst;
}

double apart(const NamedTensors& a, const NamedTensors& b) {
  if (a.size() != b.size()) return kNot;
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, apart(a[i].second, b[i].second));
  return worst;
}

NamedTensors random_inputs(const graph::Model& model, const graph::Shapes& shapes, std::uint64_t seed) {
  Random random(seed);
  NamedTensors inputs;
  for (const graph::ValueInfo& input : model.graph.inputs) {
    const graph::Shape* dims = shapes.shape(input.name);
    if (!dims || graph::element_count(*dims) < 0)
      throw Error(
          Code::shape_unknown,
          fmt::format("the input '{}' has the shape {}", input.name, dims ? graph::to_string(*dims) : "?"),
          {}, fmt::format("give --shape {}:1x3x224x224, with the sizes that it should have", input.name));
    inputs.emplace_back(input.name, random_tensor(input.type, *dims, random));
  }
  return inputs;
}

CutCheck check_cuts(const Subject& subject, const CutOptions& options) {
  CutCheck check;
  if (computes_in_integers(subject.model)) check.tolerance = 0;
  for (std::size_t g = 0; g < subject.channels.groups.size(); ++g)
    if (subject.channels.groups[g].changeable() && subject.channels.groups[g].width() > 1)
      check.groups.push_back({static_cast<int>(g), {}});
  if (check.groups.empty() || options.cuts == 0) return check;
  Laboratory laboratory(subject, options, check.tolerance);
  Random seeds(options.seed);
  double done = 0, all = static_cast<double>(check.groups.size()) * options.cuts;
  for (GroupCheck& group : check.groups)
    for (int i = 0; i < options.cuts; ++i) {
      if (options.progress)
        options.progress(done++ / all, subject.channels.groups[static_cast<std::size_t>(group.group)].name);
      group.trials.push_back(laboratory.trial(group.group, seeds.next()));
    }
  return check;
}

}  // namespace tailor::pipeline

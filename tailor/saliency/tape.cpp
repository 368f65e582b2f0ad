// A chunk is a few samples at a time: every value is a matrix, channels x (samples * plane), so that a layer is one
// product with the unfolded patches.
//   forward    step by step; patches are kept for the way back
//   backward   from the goal's residual; gradients of the layers are added up
//   in_chunks  shares of the samples on all cores, each chunk by chunk
#include "tailor/saliency/tape.h"

#define EIGEN_USE_BLAS
#include "tailor/base/error.h"
#include "tailor/base/parallel.h"
#include "tailor/base/random.h"
#include "tailor/saliency/one_blas_thread.h"

#include <Eigen/Dense>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace tailor::saliency {
namespace {

using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<const Rows>;
using Kind = Step::Kind;

// Samples first <= i < first + samples of a tensor, channels x (samples * plane).
Rows gathered(const graph::Tensor& tensor, const Extent& extent, int first, int samples) {
  auto plane = static_cast<std::size_t>(extent.plane());
  Rows rows(extent.channels, static_cast<Eigen::Index>(samples * extent.plane()));
  const auto* from = reinterpret_cast<const float*>(tensor.data.data());
  for (int s = 0; s < samples; ++s)
    for (int c = 0; c < extent.channels; ++c)
      std::memcpy(rows.row(c).data() + static_cast<std::size_t>(s) * plane,
                  from + (static_cast<std::size_t>(first + s) * static_cast<std::size_t>(extent.channels) +
                          static_cast<std::size_t>(c)) *
                             plane,
                  plane * sizeof(float));
  return rows;
}

// to += slope where low < a < high. Written so that the compiler makes vectors of it: nothing is read under a condition.
void add_between(const Rows& a, const Rows& slope, float low, float high, Rows& to) {
  const float* __restrict value = a.data();
  const float* __restrict from = slope.data();
  float* __restrict out = to.data();
  for (Eigen::Index i = 0, n = to.size(); i < n; ++i) {
    float s = from[i];
    s = value[i] > low ? s : 0.0f;
    s = value[i] < high ? s : 0.0f;
    out[i] += s;
  }
}

// r = now - r, 0 where both lie beyond the same bound.
void subtract_within(const Rows& now, float low, float high, Rows& r) {
  const float* __restrict is = now.data();
  float* __restrict out = r.data();
  for (Eigen::Index i = 0, n = r.size(); i < n; ++i) {
    const float should_be = out[i], difference = is[i] - should_be;
    const float within = (is[i] < low ? should_be : low) < low ? 0.0f : difference;
    out[i] = (is[i] > high ? should_be : high) > high ? 0.0f : within;
  }
}

// Values, patches and gradients of one chunk.
class Chunk {
 public:
  Chunk(const Tape& tape, const TapeWeights& weights) : tape_(tape), weights_(weights) {
    moving_.assign(tape.values.size(), false);
    for (const Step& step : tape.steps)
      moving_[index(step.out)] =
          step.kind == Kind::linear || moving_[index(step.a)] || (step.b >= 0 && moving_[index(step.b)]);
    values_.resize(tape.values.size()), slopes_.resize(tape.values.size());
    patches_.resize(tape.steps.size());
  }

  void forward(const Wanted& wanted, int first, int samples) {
    samples_ = samples;
    for (std::size_t i = 0; i < tape_.inputs.size(); ++i)
      values_[index(tape_.inputs[i])] =
          gathered(wanted.inputs[i], tape_.values[index(tape_.inputs[i])], first, samples);
    for (std::size_t i = 0; i < tape_.steps.size(); ++i) forward(i);
  }

  // What is wrong at the goal: present less wanted, 0 where that does not matter.
  Rows residual(const Wanted& wanted, int first) const {
    const Rows& now = values_[index(tape_.goal)];
    Rows r = gathered(wanted.goal, tape_.values[index(tape_.goal)], first, samples_);
    subtract_within(now, wanted.low, wanted.high, r);
    return r;
  }

  // Slopes of every value from that of the goal; each layer's outputs' slopes and patches go to `layer_at`.
  template <class F>
  void backward(Rows at_goal, F layer_at) {
    for (std::size_t v = 0; v < slopes_.size(); ++v)
      if (moving_[v]) slopes_[v] = Rows::Zero(values_[v].rows(), values_[v].cols());
    slopes_[index(tape_.goal)] = std::move(at_goal);
    for (std::size_t i = tape_.steps.size(); i-- > 0;) backward(i, layer_at);
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  const Extent& extent(int value) const { return tape_.values[index(value)]; }
  View weights(int layer) const {
    const TapeLayer& l = tape_.layers[index(layer)];
    return {weights_[index(layer)].data(), l.outputs, l.columns()};
  }

  void forward(std::size_t at) {
    const Step& step = tape_.steps[at];
    const Rows& a = values_[index(step.a)];
    Rows& y = values_[index(step.out)];
    switch (step.kind) {
      case Kind::linear:
        return forward_linear(at);
      case Kind::affine:
        y = affine(step, a);
        return;
      case Kind::clip:
        y = a.cwiseMax(step.low).cwiseMin(step.high);
        return;
      case Kind::add:
        y = a + values_[index(step.b)];
        return;
      case Kind::mean:
        y = means(a, extent(step.a).plane());
        return;
      case Kind::same:
        y = a;
        return;
    }
  }

  Rows affine(const Step& step, const Rows& a) const {
    Rows y = a;
    for (Eigen::Index c = 0; c < y.rows(); ++c)
      y.row(c).array() =
          y.row(c).array() * step.scale[index(static_cast<int>(c))] + step.offset[index(static_cast<int>(c))];
    return y;
  }

  Rows means(const Rows& a, int plane) const {
    Rows y(a.rows(), samples_);
    for (Eigen::Index c = 0; c < a.rows(); ++c)
      for (int s = 0; s < samples_; ++s) y(c, s) = a.row(c).segment(s * plane, plane).mean();
    return y;
  }

  void forward_linear(std::size_t at) {
    const Step& step = tape_.steps[at];
    const TapeLayer& l = tape_.layers[index(step.layer)];
    const Extent &from = extent(step.a), &to = extent(step.out);
    patches_[at].resize(index(l.groups));
    Rows& y = values_[index(step.out)];
    y.resize(to.channels, static_cast<Eigen::Index>(samples_) * to.plane());
    int in = l.inputs / l.groups, out = l.outputs / l.groups;
    for (int g = 0; g < l.groups; ++g) {
      Rows& patches = patches_[at][index(g)];
      patches.resize(in * step.geometry.taps() + 1, y.cols());
      unfold(values_[index(step.a)].row(g * in).data(), from, to, step.geometry, in, samples_,
             patches.data());
      patches.bottomRows(1).setOnes();
      y.middleRows(g * out, out).noalias() = weights(step.layer).middleRows(g * out, out) * patches;
    }
  }

  template <class F>
  void backward(std::size_t at, F& layer_at) {
    const Step& step = tape_.steps[at];
    if (!moving_[index(step.out)]) return;
    const Rows& slope = slopes_[index(step.out)];
    if (step.kind == Kind::linear) return backward_linear(at, layer_at);
    for (int operand : {step.a, step.b})
      if (operand >= 0 && moving_[index(operand)]) pull_back(step, slope, slopes_[index(operand)]);
  }

  // Adds the slope of a step's result, as it reaches an operand.
  void pull_back(const Step& step, const Rows& slope, Rows& to) const {
    switch (step.kind) {
      case Kind::affine:
        for (Eigen::Index c = 0; c < to.rows(); ++c)
          to.row(c) += step.scale[index(static_cast<int>(c))] * slope.row(c);
        return;
      case Kind::clip:
        return add_between(values_[index(step.a)], slope, step.low, step.high, to);
      case Kind::mean:
        to += spread(slope, extent(step.a).plane());
        return;
      default:
        to += slope;
    }
  }

  Rows spread(const Rows& slope, int plane) const {
    Rows s(slope.rows(), static_cast<Eigen::Index>(samples_) * plane);
    for (Eigen::Index c = 0; c < slope.rows(); ++c)
      for (int i = 0; i < samples_; ++i)
        s.row(c).segment(i * plane, plane).setConstant(slope(c, i) / static_cast<float>(plane));
    return s;
  }

  template <class F>
  void backward_linear(std::size_t at, F& layer_at) {
    const Step& step = tape_.steps[at];
    const TapeLayer& l = tape_.layers[index(step.layer)];
    const Rows& slope = slopes_[index(step.out)];
    int in = l.inputs / l.groups, out = l.outputs / l.groups;
    for (int g = 0; g < l.groups; ++g) {
      Rows part = slope.middleRows(g * out, out);
      layer_at(step.layer, g, part, patches_[at][index(g)]);
      if (!moving_[index(step.a)]) continue;
      Rows to_patches =
          weights(step.layer).middleRows(g * out, out).leftCols(l.columns() - 1).transpose() * part;
      fold(to_patches.data(), extent(step.a), extent(step.out), step.geometry, in, samples_,
           slopes_[index(step.a)].row(g * in).data());
    }
  }

  const Tape& tape_;
  const TapeWeights& weights_;
  std::vector<bool> moving_;  // depends on weights
  std::vector<Rows> values_, slopes_;
  std::vector<std::vector<Rows>> patches_;  // of each linear step, per group
  int samples_ = 0;
};

// Tensors come from a runtime, sizes from shape inference: what they disagree about must not be read.
void check(const Tape& tape, const Wanted& wanted, int last) {
  auto holds = [&](const graph::Tensor& t, int value) {
    return t.type == graph::DataType::f32 && !t.dims.empty() && t.dims[0] >= last &&
           graph::element_count(t.dims) == t.dims[0] * tape.values[static_cast<std::size_t>(value)].size();
  };
  TAILOR_CHECK(wanted.inputs.size() == tape.inputs.size() && holds(wanted.goal, tape.goal));
  for (std::size_t i = 0; i < tape.inputs.size(); ++i) TAILOR_CHECK(holds(wanted.inputs[i], tape.inputs[i]));
}

// As many samples at a time as make matrices of about 1024 columns.
int chunk(const Tape& tape) {
  int plane = 1;
  for (const Extent& e : tape.values) plane = std::max(plane, e.plane());
  return std::clamp(1024 / plane, 1, 64);
}

// work(share, Chunk, first, samples) for every chunk of every share; shares run at the same time.
template <class F>
void in_chunks(const Tape& tape, const TapeWeights& weights, int first, int last, int shares, F work) {
  int at_a_time = chunk(tape);
  OneBlasThread one;
  in_parallel(shares, [&](int share) {
    auto border = [&](int i) { return first + static_cast<int>(std::int64_t{last - first} * i / shares); };
    Chunk values(tape, weights);
    for (int begin = border(share), end = border(share + 1); begin < end; begin += at_a_time)
      work(share, values, begin, std::min(at_a_time, end - begin));
  });
}

constexpr int kShares = 8;

Eigen::Map<Rows> layer_rows(const Tape& tape, TapeWeights& of, int layer) {
  const TapeLayer& l = tape.layers[static_cast<std::size_t>(layer)];
  return {of[static_cast<std::size_t>(layer)].data(), l.outputs, l.columns()};
}

TapeWeights zeros(const Tape& tape) {
  TapeWeights weights;
  for (const TapeLayer& l : tape.layers) weights.emplace_back(l.size(), 0.0f);
  return weights;
}

void add(TapeWeights& to, const TapeWeights& more) {
  for (std::size_t l = 0; l < to.size(); ++l)
    for (std::size_t i = 0; i < to[l].size(); ++i) to[l][i] += more[l][i];
}

}  // namespace

double Tape::macs() const {
  double sum = 0;
  for (const Step& step : steps)
    if (step.kind == Kind::linear) {
      const TapeLayer& l = layers[static_cast<std::size_t>(step.layer)];
      sum += static_cast<double>(l.size()) * values[static_cast<std::size_t>(step.out)].plane();
    }
  return sum;
}

double squared_distance(const Tape& tape, const TapeWeights& weights, const Wanted& wanted, int first,
                        int last, TapeWeights* gradient) {
  check(tape, wanted, last);
  std::vector<double> sums(kShares, 0.0);
  std::vector<TapeWeights> slopes(gradient ? kShares : 0);
  for (TapeWeights& s : slopes) s = zeros(tape);
  in_chunks(tape, weights, first, last, kShares, [&](int share, Chunk& chunk, int begin, int samples) {
    auto at = static_cast<std::size_t>(share);
    chunk.forward(wanted, begin, samples);
    Rows r = chunk.residual(wanted, begin);
    sums[at] += r.cast<double>().squaredNorm();
    if (!gradient) return;
    r *= 2;
    chunk.backward(std::move(r), [&](int layer, int g, const Rows& slope, const Rows& patches) {
      layer_rows(tape, slopes[at], layer).middleRows(g * slope.rows(), slope.rows()).noalias() +=
          slope * patches.transpose();
    });
  });
  double sum = 0;
  for (double s : sums) sum += s;
  if (!gradient) return sum;
  *gradient = std::move(slopes.front());
  for (std::size_t i = 1; i < slopes.size(); ++i) add(*gradient, slopes[i]);
  return sum;
}

Curvature curvature(const Tape& tape, const TapeWeights& weights, const Wanted& wanted, int first, int last,
                    std::uint64_t seed) {
  check(tape, wanted, last);
  Curvature c;
  std::vector<double> rows(tape.layers.size(), 0);
  for (const TapeLayer& l : tape.layers) {
    auto columns = static_cast<std::size_t>(l.columns());
    c.inputs.emplace_back(static_cast<std::size_t>(l.groups), std::vector<double>(columns * columns, 0.0));
    c.outputs.emplace_back(static_cast<std::size_t>(l.outputs), 0.0);
  }
  Random random(seed);
  in_chunks(tape, weights, first, last, 1, [&](int, Chunk& chunk, int begin, int samples) {
    chunk.forward(wanted, begin, samples);
    Rows signs = chunk.residual(wanted, begin);
    for (Eigen::Index i = 0; i < signs.size(); ++i)
      if (signs.data()[i] != 0) signs.data()[i] = random.below(2) ? 1.0f : -1.0f;
    chunk.backward(std::move(signs), [&](int layer, int g, const Rows& slope, const Rows& patches) {
      auto at = static_cast<std::size_t>(layer);
      auto& gram = c.inputs[at][static_cast<std::size_t>(g)];
      Eigen::Map<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>> total(
          gram.data(), patches.rows(), patches.rows());
      total += (patches * patches.transpose()).cast<double>();
      for (Eigen::Index o = 0; o < slope.rows(); ++o)
        c.outputs[at][static_cast<std::size_t>(g * slope.rows() + o)] +=
            slope.row(o).cast<double>().squaredNorm();
      if (g == 0) rows[at] += static_cast<double>(patches.cols());
    });
  });
  double at_goal =
      static_cast<double>(last - first) * tape.values[static_cast<std::size_t>(tape.goal)].plane();
  for (std::size_t l = 0; l < rows.size(); ++l) {
    for (auto& gram : c.inputs[l])
      for (double& v : gram) v /= std::max(1.0, rows[l]);
    for (double& v : c.outputs[l]) v /= std::max(1.0, at_goal);
  }
  return c;
}

}  // namespace tailor::saliency

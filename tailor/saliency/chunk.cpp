//   forward    step by step: a layer by its Way, all else element by element, where it can be in the memory of its operand
//   backward   the same steps from the last to the first; each adds the slope of its result to those of its operands
#define EIGEN_USE_BLAS
#include "tailor/saliency/chunk.h"

#include <algorithm>
#include <cstring>

namespace tailor::saliency {
namespace {

using Kind = Step::Kind;

std::size_t index(int i) { return static_cast<std::size_t>(i); }

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

// slope = 0 where y is not between.
void keep_between(const Rows& y, float low, float high, Rows& slope) {
  const float* __restrict value = y.data();
  float* __restrict out = slope.data();
  for (Eigen::Index i = 0, n = slope.size(); i < n; ++i) {
    float s = out[i];
    s = value[i] > low ? s : 0.0f;
    out[i] = value[i] < high ? s : 0.0f;
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

Way way_of(const Tape& tape, const Step& step) {
  const Geometry& g = step.geometry;
  const TapeLayer& l = tape.layers[static_cast<std::size_t>(step.layer)];
  const Extent &from = tape.values[static_cast<std::size_t>(step.a)],
               &to = tape.values[static_cast<std::size_t>(step.out)];
  if (g.taps() == 1 && g.sh == 1 && g.sw == 1 && g.pt == 0 && g.pl == 0 && from.height == to.height &&
      from.width == to.width)
    return Way::pointwise;
  return l.inputs == l.groups && l.outputs == l.groups ? Way::depthwise : Way::patches;
}

void affine(const Step& step, const Rows& a, Rows& y) {
  y.resize(a.rows(), a.cols());
  for (Eigen::Index c = 0; c < y.rows(); ++c)
    y.row(c).array() =
        a.row(c).array() * step.scale[index(static_cast<int>(c))] + step.offset[index(static_cast<int>(c))];
}

}  // namespace

Chunk::Chunk(const Tape& tape, const TapeWeights& weights) : tape_(tape), weights_(weights) {
  moving_.assign(tape.values.size(), false);
  for (const Step& step : tape.steps)
    moving_[index(step.out)] =
        step.kind == Kind::linear || moving_[index(step.a)] || (step.b >= 0 && moving_[index(step.b)]);
  values_.resize(tape.values.size()), slopes_.resize(tape.values.size());
  patches_.resize(tape.steps.size()), depthwise_.resize(tape.steps.size());
  for (const Step& step : tape.steps)
    ways_.push_back(step.kind == Kind::linear ? way_of(tape, step) : Way::patches);
  find_in_place();
}

// A clip on its operand's memory tells from its result which slopes pass, so nobody may take that over.
void Chunk::find_in_place() {
  std::vector<int> readers(tape_.values.size());
  for (const Step& step : tape_.steps)
    for (int operand : {step.a, step.b})
      if (operand >= 0) ++readers[index(operand)];
  std::vector<bool> kept(tape_.values.size());
  kept[index(tape_.goal)] = true;
  given_over_.assign(tape_.values.size(), false);
  for (const Step& step : tape_.steps) {
    const std::size_t a = index(step.a);
    const bool elements = step.kind == Kind::affine || step.kind == Kind::clip || step.kind == Kind::same;
    in_place_.push_back(elements && moving_[a] && readers[a] == 1 && !kept[a]);
    if (!in_place_.back()) continue;
    given_over_[a] = true;
    if (step.kind == Kind::clip) kept[index(step.out)] = true;
  }
}

void Chunk::forward(const Wanted& wanted, int first, int samples) {
  if (samples != samples_) std::fill(depthwise_.begin(), depthwise_.end(), std::nullopt);
  samples_ = samples;
  for (std::size_t i = 0; i < tape_.inputs.size(); ++i)
    values_[index(tape_.inputs[i])] =
        gathered(wanted.inputs[i], tape_.values[index(tape_.inputs[i])], first, samples);
  for (std::size_t i = 0; i < tape_.steps.size(); ++i) forward(i);
}

Rows Chunk::residual(const Wanted& wanted, int first) const {
  const Rows& now = values_[index(tape_.goal)];
  Rows r = gathered(wanted.goal, tape_.values[index(tape_.goal)], first, samples_);
  subtract_within(now, wanted.low, wanted.high, r);
  return r;
}

void Chunk::backward(Rows at_goal, TapeWeights* gradient) {
  for (std::size_t v = 0; v < slopes_.size(); ++v)
    if (moving_[v] && !given_over_[v]) slopes_[v].setZero(values_[v].rows(), values_[v].cols());
  slopes_[index(tape_.goal)] = std::move(at_goal);
  for (std::size_t i = tape_.steps.size(); i-- > 0;) backward(i, gradient);
}

Eigen::Block<const Rows, Eigen::Dynamic, Eigen::Dynamic, true> Chunk::slopes(const Step& step,
                                                                             int group) const {
  const TapeLayer& l = tape_.layers[index(step.layer)];
  return slopes_[index(step.out)].middleRows(group * (l.outputs / l.groups), l.outputs / l.groups);
}

Rows Chunk::patches(const Step& step, int group) const {
  const TapeLayer& l = tape_.layers[index(step.layer)];
  Rows patches(l.columns(), static_cast<Eigen::Index>(samples_) * extent(step.out).plane());
  unfold_group(step, group, patches);
  return patches;
}

Eigen::Map<const Rows> Chunk::weights(int layer) const {
  const TapeLayer& l = tape_.layers[index(layer)];
  return {weights_[index(layer)].data(), l.outputs, l.columns()};
}

void Chunk::unfold_group(const Step& step, int group, Rows& patches) const {
  const TapeLayer& l = tape_.layers[index(step.layer)];
  const int in = l.inputs / l.groups;
  unfold(values_[index(step.a)].row(group * in).data(), extent(step.a), extent(step.out), step.geometry, in,
         samples_, patches.data());
  patches.bottomRows(1).setOnes();
}

Depthwise& Chunk::depthwise(std::size_t at) {
  const Step& step = tape_.steps[at];
  if (!depthwise_[at]) depthwise_[at].emplace(extent(step.a), extent(step.out), step.geometry, samples_);
  return *depthwise_[at];
}

void Chunk::forward(std::size_t at) {
  const Step& step = tape_.steps[at];
  Rows& y = values_[index(step.out)];
  if (in_place_[at]) y.swap(values_[index(step.a)]);
  const Rows& a = in_place_[at] ? y : values_[index(step.a)];
  switch (step.kind) {
    case Kind::linear:
      return forward_linear(at);
    case Kind::affine:
      return affine(step, a, y);
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
      if (!in_place_[at]) y = a;
      return;
  }
}

Rows Chunk::means(const Rows& a, int plane) const {
  Rows y(a.rows(), samples_);
  for (Eigen::Index c = 0; c < a.rows(); ++c)
    for (int s = 0; s < samples_; ++s) y(c, s) = a.row(c).segment(s * plane, plane).mean();
  return y;
}

void Chunk::forward_linear(std::size_t at) {
  const Step& step = tape_.steps[at];
  values_[index(step.out)].resize(extent(step.out).channels,
                                  static_cast<Eigen::Index>(samples_) * extent(step.out).plane());
  switch (ways_[at]) {
    case Way::pointwise:
      return forward_pointwise(step);
    case Way::depthwise:
      return forward_depthwise(at);
    case Way::patches:
      return forward_patches(at);
  }
}

void Chunk::forward_pointwise(const Step& step) {
  const TapeLayer& l = tape_.layers[index(step.layer)];
  const int in = l.inputs / l.groups, out = l.outputs / l.groups;
  Rows& y = values_[index(step.out)];
  y.colwise() = weights(step.layer).col(in);
  for (int g = 0; g < l.groups; ++g)
    y.middleRows(g * out, out).noalias() +=
        weights(step.layer).block(g * out, 0, out, in) * values_[index(step.a)].middleRows(g * in, in);
}

void Chunk::forward_depthwise(std::size_t at) {
  const Step& step = tape_.steps[at];
  Depthwise& channel = depthwise(at);
  for (Eigen::Index c = 0; c < values_[index(step.out)].rows(); ++c) {
    channel.set_input(values_[index(step.a)].row(c).data());
    channel.forward(weights(step.layer).row(c).data(), values_[index(step.out)].row(c).data());
  }
}

void Chunk::forward_patches(std::size_t at) {
  const Step& step = tape_.steps[at];
  const TapeLayer& l = tape_.layers[index(step.layer)];
  const int out = l.outputs / l.groups;
  Rows& y = values_[index(step.out)];
  patches_[at].resize(index(l.groups));
  for (int g = 0; g < l.groups; ++g) {
    Rows& patches = patches_[at][index(g)];
    patches.resize(l.columns(), y.cols());
    unfold_group(step, g, patches);
    y.middleRows(g * out, out).noalias() = weights(step.layer).middleRows(g * out, out) * patches;
  }
}

void Chunk::backward(std::size_t at, TapeWeights* gradient) {
  const Step& step = tape_.steps[at];
  if (!moving_[index(step.out)]) return;
  const Rows& slope = slopes_[index(step.out)];
  if (step.kind == Kind::linear) {
    if (gradient) add_gradient(at, (*gradient)[index(step.layer)]);
    if (moving_[index(step.a)]) pull_back_linear(at);
    return;
  }
  if (in_place_[at]) return pull_back_in_place(step);
  for (int operand : {step.a, step.b})
    if (operand >= 0 && moving_[index(operand)]) pull_back(step, slope, slopes_[index(operand)]);
}

void Chunk::pull_back_in_place(const Step& step) {
  Rows& slope = slopes_[index(step.a)];
  slope.swap(slopes_[index(step.out)]);
  if (step.kind == Kind::clip) keep_between(values_[index(step.out)], step.low, step.high, slope);
  if (step.kind != Kind::affine) return;
  for (Eigen::Index c = 0; c < slope.rows(); ++c) slope.row(c) *= step.scale[index(static_cast<int>(c))];
}

void Chunk::pull_back(const Step& step, const Rows& slope, Rows& to) const {
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

Rows Chunk::spread(const Rows& slope, int plane) const {
  Rows s(slope.rows(), static_cast<Eigen::Index>(samples_) * plane);
  for (Eigen::Index c = 0; c < slope.rows(); ++c)
    for (int i = 0; i < samples_; ++i)
      s.row(c).segment(i * plane, plane).setConstant(slope(c, i) / static_cast<float>(plane));
  return s;
}

void Chunk::add_gradient(std::size_t at, std::vector<float>& gradient) {
  const Step& step = tape_.steps[at];
  const TapeLayer& l = tape_.layers[index(step.layer)];
  Eigen::Map<Rows> to(gradient.data(), l.outputs, l.columns());
  const int in = l.inputs / l.groups, out = l.outputs / l.groups;
  for (int g = 0; g < l.groups; ++g) switch (ways_[at]) {
      case Way::pointwise:
        to.block(g * out, 0, out, in).noalias() +=
            slopes(step, g) * values_[index(step.a)].middleRows(g * in, in).transpose();
        to.col(in).segment(g * out, out) += slopes(step, g).rowwise().sum();
        break;
      case Way::depthwise:
        depthwise(at).set_input(values_[index(step.a)].row(g).data());
        depthwise(at).set_slopes(slopes_[index(step.out)].row(g).data());
        depthwise(at).add_slopes(to.row(g).data());
        break;
      case Way::patches:
        to.middleRows(g * out, out).noalias() += slopes(step, g) * patches_[at][index(g)].transpose();
    }
}

void Chunk::pull_back_linear(std::size_t at) {
  const Step& step = tape_.steps[at];
  const TapeLayer& l = tape_.layers[index(step.layer)];
  Rows& to = slopes_[index(step.a)];
  const int in = l.inputs / l.groups, out = l.outputs / l.groups;
  for (int g = 0; g < l.groups; ++g) {
    const auto w = weights(step.layer).block(g * out, 0, out, l.columns() - 1);
    if (ways_[at] == Way::pointwise) {
      to.middleRows(g * in, in).noalias() += w.transpose() * slopes(step, g);
    } else if (ways_[at] == Way::depthwise) {
      depthwise(at).set_slopes(slopes_[index(step.out)].row(g).data());
      depthwise(at).pull_back(w.data(), to.row(g).data());
    } else {
      Rows to_patches = w.transpose() * slopes(step, g);
      fold(to_patches.data(), extent(step.a), extent(step.out), step.geometry, in, samples_,
           to.row(g * in).data());
    }
  }
}

}  // namespace tailor::saliency

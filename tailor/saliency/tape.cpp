// Both functions go over the samples chunk by chunk (chunk.h, in_chunks): the distance in shares on all cores, the curvature in one.
#define EIGEN_USE_BLAS
#include "tailor/saliency/tape.h"

#include "tailor/base/error.h"
#include "tailor/base/parallel.h"
#include "tailor/base/random.h"
#include "tailor/saliency/chunk.h"
#include "tailor/saliency/one_blas_thread.h"

#include <algorithm>
#include <cmath>

namespace tailor::saliency {
namespace {

using Kind = Step::Kind;

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
    chunk.backward(std::move(r), &slopes[at]);
  });
  double sum = 0;
  for (double s : sums) sum += s;
  if (!gradient) return sum;
  *gradient = std::move(slopes.front());
  for (std::size_t i = 1; i < slopes.size(); ++i) add(*gradient, slopes[i]);
  return sum;
}

namespace {

using Doubles = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// What the samples of a chunk say of one step; `rows` counts its patches.
void add_curvature(const Tape& tape, const Step& step, const Chunk& chunk, Curvature& c,
                   std::vector<double>& rows) {
  const auto at = static_cast<std::size_t>(step.layer);
  for (int g = 0; g < tape.layers[at].groups; ++g) {
    const Rows patches = chunk.patches(step, g);
    const Rows slope = chunk.slopes(step, g);
    Eigen::Map<Doubles> total(c.inputs[at][static_cast<std::size_t>(g)].data(), patches.rows(),
                              patches.rows());
    total += (patches * patches.transpose()).cast<double>();
    for (Eigen::Index o = 0; o < slope.rows(); ++o)
      c.outputs[at][static_cast<std::size_t>(g * slope.rows() + o)] +=
          slope.row(o).cast<double>().squaredNorm();
    if (g == 0) rows[at] += static_cast<double>(patches.cols());
  }
}

}  // namespace

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
    chunk.backward(std::move(signs), nullptr);
    for (const Step& step : tape.steps)
      if (step.kind == Kind::linear) add_curvature(tape, step, chunk, c, rows);
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

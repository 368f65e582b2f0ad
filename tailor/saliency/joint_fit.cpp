// fit_jointly: Round makes the problem round: the variables of a layer are D W L, with L L' the Gram matrix of its
// patches and D the root of what the goal makes of its outputs, so that steps of L-BFGS suit all of them. Every step is
// judged on the samples that were held out.
#include "tailor/saliency/joint_fit.h"

#define EIGEN_USE_BLAS
#include "tailor/base/error.h"

#include <Eigen/Dense>
#include <lbfgs.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <memory>

namespace tailor::saliency {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Floats = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Matrix cholesky(const std::vector<double>& gram, int columns, double ridge) {
  Matrix g = Eigen::Map<const Matrix>(gram.data(), columns, columns);
  double mean = g.diagonal().head(columns - 1).sum() / std::max(1, columns - 1);
  g.diagonal().array() += std::max(ridge * mean, 1e-12);
  return g.llt().matrixL();
}

// Rows of a layer's weights.
template <class Weights>
auto part(Weights& weights, int first, int count, const Matrix& factor) {
  using Map = std::conditional_t<std::is_const_v<Weights>, Eigen::Map<const Floats>, Eigen::Map<Floats>>;
  return Map(weights.data() + static_cast<std::ptrdiff_t>(first) * factor.rows(), count, factor.rows());
}

// The change of variables, one factor per layer and group.
class Round {
 public:
  Round(const Tape& tape, const Curvature& curvature, double ridge) : tape_(tape) {
    for (std::size_t l = 0; l < tape.layers.size(); ++l) {
      factors_.emplace_back();
      for (const auto& gram : curvature.inputs[l])
        factors_.back().push_back(cholesky(gram, tape.layers[l].columns(), ridge));
      roots_.push_back(roots(curvature.outputs[l]));
      size_ += tape.layers[l].size();
    }
  }

  std::size_t size() const { return size_; }

  void to_round(const TapeWeights& weights, double* x) const {
    over_groups([&](std::size_t l, int first, int count, const Matrix& factor, std::size_t at) {
      Eigen::Map<Matrix> out(x + at, count, factor.rows());
      out.noalias() = part(weights[l], first, count, factor).cast<double>() * factor;
      for (int o = 0; o < count; ++o) out.row(o) *= root(l, first + o);
    });
  }

  TapeWeights from_round(const double* x) const {
    TapeWeights weights = empty();
    over_groups([&](std::size_t l, int first, int count, const Matrix& factor, std::size_t at) {
      Matrix w = Eigen::Map<const Matrix>(x + at, count, factor.rows());
      for (int o = 0; o < count; ++o) w.row(o) /= root(l, first + o);
      factor.triangularView<Eigen::Lower>().solveInPlace<Eigen::OnTheRight>(w);
      part(weights[l], first, count, factor) = w.cast<float>();
    });
    return weights;
  }

  // Gradient by the weights -> gradient by the round variables, times `scale`.
  void slope(const TapeWeights& gradient, double scale, double* g) const {
    over_groups([&](std::size_t l, int first, int count, const Matrix& factor, std::size_t at) {
      Matrix w = part(gradient[l], first, count, factor).cast<double>() * scale;
      for (int o = 0; o < count; ++o) w.row(o) /= root(l, first + o);
      Matrix turned = w.transpose();
      factor.triangularView<Eigen::Lower>().solveInPlace(turned);
      Eigen::Map<Matrix>(g + at, count, factor.rows()) = turned.transpose();
    });
  }

 private:
  // Roots of the outputs' curvature; what the goal hardly sees is not blown up.
  static std::vector<double> roots(std::vector<double> curvature) {
    double largest = std::max(1e-20, *std::max_element(curvature.begin(), curvature.end()));
    for (double& v : curvature) v = std::sqrt(std::max(v, 1e-4 * largest));
    return curvature;
  }
  double root(std::size_t layer, int output) const { return roots_[layer][static_cast<std::size_t>(output)]; }

  TapeWeights empty() const {
    TapeWeights weights;
    for (const TapeLayer& l : tape_.layers) weights.emplace_back(l.size(), 0.0f);
    return weights;
  }

  template <class F>
  void over_groups(F f) const {
    std::size_t at = 0;
    for (std::size_t l = 0; l < tape_.layers.size(); ++l) {
      const TapeLayer& layer = tape_.layers[l];
      int count = layer.outputs / layer.groups;
      for (int g = 0; g < layer.groups; ++g) {
        const Matrix& factor = factors_[l][static_cast<std::size_t>(g)];
        f(l, g * count, count, factor, at);
        at += static_cast<std::size_t>(count) * static_cast<std::size_t>(factor.rows());
      }
    }
  }

  const Tape& tape_;
  std::vector<std::vector<Matrix>> factors_;
  std::vector<std::vector<double>> roots_;
  std::size_t size_ = 0;
};

struct Search {
  const Tape& tape;
  const Wanted& wanted;
  const JointOptions& options;
  Round round;
  int seen = 0, all = 0;  // samples to fit to, samples
  double scale = 1;       // of the sum of squares that is made small
  JointFit best = {};
  int worse = 0;  // steps since the held-out samples were nearest
  std::exception_ptr error = {};

  double held_out(const TapeWeights& weights) const {
    double elements =
        static_cast<double>(all - seen) * tape.values[static_cast<std::size_t>(tape.goal)].size();
    return squared_distance(tape, weights, wanted, seen, all) / elements;
  }

  double evaluate(const double* x, double* g) {
    TapeWeights gradient;
    double sum = squared_distance(tape, round.from_round(x), wanted, 0, seen, &gradient);
    round.slope(gradient, scale, g);
    ++best.evaluations;
    return sum * scale;
  }

  // Non-zero: enough.
  int judge(const double* x) {
    TapeWeights weights = round.from_round(x);
    double now = held_out(weights);
    worse = now < best.after ? 0 : worse + 1;
    if (now < best.after) best.after = now, best.weights = std::move(weights);
    return worse >= 3 || (options.stop && options.stop());
  }
};

// libLBFGS is C: nothing may be thrown through it.
template <class F>
auto guarded(Search& search, F f, decltype(f()) otherwise) {
  try {
    return f();
  } catch (...) {
    search.error = std::current_exception();
    return otherwise;
  }
}

double evaluate(void* instance, const double* x, double* g, const int, const double) {
  Search& search = *static_cast<Search*>(instance);
  return guarded(
      search, [&] { return search.evaluate(x, g); }, std::nan(""));
}

int progress(void* instance, const double* x, const double*, const double, const double, const double,
             const double, int, int, int) {
  Search& search = *static_cast<Search*>(instance);
  return search.error || guarded(
                             search, [&] { return search.judge(x); }, 1);
}

lbfgs_parameter_t parameters(const JointOptions& options) {
  lbfgs_parameter_t p;
  lbfgs_parameter_init(&p);
  p.m = 10, p.max_iterations = options.steps, p.epsilon = 1e-5, p.past = 4, p.delta = 2e-3;
  p.max_linesearch = 10;
  return p;
}

// Samples for the curvature: enough rows for every column of the widest layer, and all that are fitted to at most.
int for_curvature(const Tape& tape, int seen) {
  int needed = 16;
  for (const Step& step : tape.steps)
    if (step.kind == Step::Kind::linear) {
      int rows = tape.values[static_cast<std::size_t>(step.out)].plane();
      needed = std::max(needed, 4 * tape.layers[static_cast<std::size_t>(step.layer)].columns() / rows);
    }
  return std::min(needed, seen);
}

}  // namespace

JointFit fit_jointly(const Tape& tape, const Wanted& wanted, const TapeWeights& start,
                     const JointOptions& options) {
  int all = static_cast<int>(wanted.goal.dims[0]);
  if (options.samples > 0) all = std::min(all, options.samples);
  TAILOR_CHECK(all >= 2 && start.size() == tape.layers.size());
  int seen = std::clamp(static_cast<int>(all * (1 - options.held_out)), 1, all - 1);
  Curvature c = curvature(tape, start, wanted, 0, for_curvature(tape, seen), options.seed);
  Search search{tape, wanted, options, Round(tape, c, options.ridge), seen, all};
  double positions = static_cast<double>(seen) * tape.values[static_cast<std::size_t>(tape.goal)].plane();
  search.scale = 1 / positions;
  search.best.weights = start;
  search.best.before = search.best.after = search.held_out(start);
  if (search.best.before == 0) return search.best;
  std::unique_ptr<double, void (*)(double*)> x(lbfgs_malloc(static_cast<int>(search.round.size())),
                                               lbfgs_free);
  TAILOR_CHECK(x != nullptr);
  search.round.to_round(start, x.get());
  lbfgs_parameter_t p = parameters(options);
  double distance = 0;
  lbfgs(static_cast<int>(search.round.size()), x.get(), &distance, evaluate, progress, &search, &p);
  if (search.error) std::rethrow_exception(search.error);
  return std::move(search.best);
}

}  // namespace tailor::saliency

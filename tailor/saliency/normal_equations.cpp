// accumulate  patches of sampled positions, one matrix per call; rank update of the Gram matrix (BLAS by Eigen), shares
//             of the rows on all cores
// fit         Cholesky of the kept part
// held_out_ridge  fits to three quarters of the samples, judged on the last
// eliminate   inverse Gram matrix P of each layer, downdated block by block; the loss of a block b is
//             tr(W_b' (P_bb)^-1 W_b), W the present weights (block form of the optimal brain surgeon)
#include "tailor/saliency/normal_equations.h"

#define EIGEN_USE_BLAS
#include "tailor/base/error.h"
#include "tailor/base/parallel.h"
#include "tailor/base/random.h"
#include "tailor/saliency/one_blas_thread.h"

#include <Eigen/Dense>

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <numeric>

namespace tailor::saliency {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using FloatMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<const Matrix>;

struct Planes {  // a tensor as samples x channels x height x width
  const float* data;
  int samples, channels, height, width;
  const float* at(int n, int c) const {
    return data + (static_cast<std::size_t>(n) * channels + c) * height * width;
  }
};

Planes planes(const graph::Tensor& tensor) {
  TAILOR_CHECK(tensor.type == graph::DataType::f32 && tensor.dims.size() >= 2);
  auto dim = [&](std::size_t i) { return i < tensor.dims.size() ? static_cast<int>(tensor.dims[i]) : 1; };
  return {reinterpret_cast<const float*>(tensor.data.data()), dim(0), dim(1), dim(2), dim(3)};
}

std::vector<int> sample_positions(int total, int wanted, std::uint64_t seed) {
  std::vector<int> all(total);
  for (int i = 0; i < total; ++i) all[i] = i;
  if (wanted >= total) return all;
  Random random(seed);
  for (int i = 0; i < wanted; ++i)
    std::swap(all[i], all[i + static_cast<int>(random.below(static_cast<std::size_t>(total - i)))]);
  all.resize(wanted);
  return all;
}

void gather_patch(const Planes& x, int n, int oh, int ow, const Geometry& g, float* row) {
  for (int c = 0; c < x.channels; ++c) {
    const float* plane = x.at(n, c);
    for (int i = 0; i < g.kh; ++i)
      for (int j = 0; j < g.kw; ++j) {
        int h = oh * g.sh - g.pt + i * g.dh, w = ow * g.sw - g.pl + j * g.dw;
        *row++ = h >= 0 && h < x.height && w >= 0 && w < x.width ? plane[h * x.width + w] : 0.0f;
      }
  }
  *row = 1.0f;
}

std::vector<int> column_list(const std::vector<int>& inputs, int taps, const std::vector<int>& of_taps) {
  std::vector<int> columns;
  for (int input : inputs)
    for (int t : of_taps) columns.push_back(input * taps + t);
  return columns;
}

std::vector<int> column_list(const std::vector<int>& inputs, int taps) {
  std::vector<int> all(static_cast<std::size_t>(taps));
  std::iota(all.begin(), all.end(), 0);
  return column_list(inputs, taps, all);
}

double variance(const NormalEquations& e) {
  double sum = 0, rows = std::max(1.0, e.rows);
  for (int o = 0; o < e.outputs; ++o) sum += e.power[o] / rows - (e.total[o] / rows) * (e.total[o] / rows);
  return std::max(sum, 1e-30);
}

// A layer while its blocks are being eliminated. The intercept is an unremovable column.
struct Eliminating {
  Matrix inverse, weights;
  double scale;
  const std::vector<std::vector<int>>& blocks;
  int taps;

  std::vector<int> columns(int block) const { return column_list(blocks[block], taps); }

  double loss(int block) const {
    std::vector<int> c = columns(block);
    if (c.empty()) return 0;
    Matrix p = inverse(c, c), w = weights(c, Eigen::all);
    return (w.array() * p.llt().solve(w).array()).sum() * scale;
  }

  void remove(int block) {
    std::vector<int> c = columns(block);
    if (c.empty()) return;
    Matrix p = inverse(c, c), rows = inverse(c, Eigen::all), w = weights(c, Eigen::all);
    auto solver = p.llt();
    weights -= rows.transpose() * solver.solve(w);
    inverse -= rows.transpose() * solver.solve(rows);
    for (int column : c) {  // exactly gone, so that rounding cannot bring it back
      inverse.row(column).setZero();
      inverse.col(column).setZero();
      weights.row(column).setZero();
    }
  }
};

// f(first, last) on shares of the rows.
template <class F>
void in_shares(std::size_t rows, F f, std::size_t most = 8) {
  std::size_t shares = std::clamp<std::size_t>(rows / 1024, 1, most);
  OneBlasThread one;
  in_parallel(static_cast<int>(shares), [&](int i) {
    auto share = static_cast<std::size_t>(i);
    f(rows * share / shares, rows * (share + 1) / shares);
  });
}

// Sum of f's products of 256 rows each, a matrix: in f32, added up in f64; as fast, and digits are not lost to long
// sums. Shares are added in their order, and how many there are depends on the sizes alone: so does the result.
template <class F>
Matrix sum_of_products(std::size_t rows, Eigen::Index height, Eigen::Index width, F f) {
  constexpr std::size_t kRows = 256, kDoubles = std::size_t{1} << 26;  // of all shares' sums: 512 MB
  std::map<std::size_t, Matrix> sums;
  std::mutex mutex;
  auto share_of = [&](std::size_t begin, std::size_t end) {
    Matrix sum = Matrix::Zero(height, width);
    FloatMatrix part(height, width);
    for (std::size_t first = begin; first < end; first += kRows) {
      f(static_cast<Eigen::Index>(first), static_cast<Eigen::Index>(std::min(kRows, end - first)), part);
      sum += part.cast<double>();
    }
    std::lock_guard lock(mutex);
    sums[begin] = std::move(sum);
  };
  auto size = static_cast<std::size_t>(height * width);
  in_shares(rows, share_of, std::clamp<std::size_t>(kDoubles / std::max<std::size_t>(size, 1), 1, 8));
  Matrix total = std::move(sums.begin()->second);
  for (auto it = std::next(sums.begin()); it != sums.end(); ++it) total += it->second;
  return total;
}

constexpr double kNever =
    1e15;  // what an intercept costs where there can be none: it is then less than a rounding error

Matrix ridged(const NormalEquations& e, double ridge) {
  int n = e.columns();
  ridge = std::max(ridge, e.ridge);
  Matrix gram = View(e.gram.data(), n, n);
  double mean = gram.diagonal().head(n - 1).sum() / std::max(1, n - 1);
  gram.diagonal().head(n - 1).array() += std::max(ridge * mean, 1e-12);
  gram(n - 1, n - 1) += (e.intercept ? 1e-9 : kNever) * std::max(1.0, e.rows);
  return gram;
}

}  // namespace

NormalEquations::NormalEquations(int of_inputs, int of_taps, int of_outputs)
    : inputs(of_inputs), taps(of_taps), outputs(of_outputs) {
  auto n = static_cast<std::size_t>(columns());
  gram.assign(n * n, 0);
  cross.assign(n * static_cast<std::size_t>(outputs), 0);
  power.assign(static_cast<std::size_t>(outputs), 0);
  total.assign(static_cast<std::size_t>(outputs), 0);
}

Patches sample_patches(const Geometry& g, const graph::Tensor& x_tensor, int oh, int ow, int per_sample,
                       std::uint64_t seed) {
  Planes x = planes(x_tensor);
  Patches patches;
  patches.columns = x.channels * g.taps() + 1;
  for (int s = 0; s < x.samples; ++s)
    for (int at :
         sample_positions(oh * ow, std::min(per_sample, oh * ow), seed + static_cast<std::uint64_t>(s)))
      patches.positions.emplace_back(s, at);
  patches.rows = patches.positions.size();
  auto columns = static_cast<std::size_t>(patches.columns);
  patches.values.resize(patches.rows * columns);
  in_shares(patches.rows, [&](std::size_t first, std::size_t last) {
    for (std::size_t row = first; row < last; ++row) {
      auto [s, at] = patches.positions[row];
      gather_patch(x, s, at / ow, at % ow, g, patches.values.data() + row * columns);
    }
  });
  return patches;
}

std::vector<float> sample_outputs(const Patches& patches, const graph::Tensor& y_tensor) {
  Planes y = planes(y_tensor);
  auto channels = static_cast<std::size_t>(y.channels);
  std::vector<float> rows(patches.rows * channels);
  in_shares(patches.rows, [&](std::size_t first, std::size_t last) {
    for (std::size_t row = first; row < last; ++row) {
      auto [s, at] = patches.positions[row];
      for (int c = 0; c < y.channels; ++c)
        rows[row * channels + static_cast<std::size_t>(c)] = y.at(s, c)[at];
    }
  });
  return rows;
}

void replace_outputs(NormalEquations& e, const Patches& patches, const std::vector<float>& wanted) {
  TAILOR_CHECK(patches.columns == e.columns() &&
               wanted.size() == patches.rows * static_cast<std::size_t>(e.outputs));
  auto rows = static_cast<Eigen::Index>(patches.rows);
  Eigen::Map<const FloatMatrix> x(patches.values.data(), rows, e.columns()),
      y(wanted.data(), rows, e.outputs);
  Matrix sums = sum_of_products(
      patches.rows, e.columns() + 2, e.outputs, [&](auto first, auto count, FloatMatrix& part) {
        auto of_y = y.middleRows(first, count);
        part.topRows(e.columns()).noalias() = x.middleRows(first, count).transpose() * of_y;
        part.row(e.columns()) = of_y.colwise().squaredNorm();
        part.row(e.columns() + 1) = of_y.colwise().sum();
      });
  Eigen::Map<Matrix>(e.cross.data(), e.columns(), e.outputs) = sums.topRows(e.columns());
  Eigen::Map<Eigen::RowVectorXd>(e.power.data(), e.outputs) = sums.row(e.columns());
  Eigen::Map<Eigen::RowVectorXd>(e.total.data(), e.outputs) = sums.row(e.columns() + 1);
}

void accumulate(NormalEquations& e, const Patches& patches, const std::vector<float>& wanted) {
  NormalEquations part(e.inputs, e.taps, e.outputs);
  replace_outputs(part, patches, wanted);
  int n = e.columns();
  Eigen::Map<const FloatMatrix> x(patches.values.data(), static_cast<Eigen::Index>(patches.rows), n);
  Eigen::Map<Matrix> total(e.gram.data(), n, n);
  total.triangularView<Eigen::Lower>() +=
      sum_of_products(patches.rows, n, n, [&](auto first, auto count, FloatMatrix& gram) {
        gram.setZero();
        gram.selfadjointView<Eigen::Lower>().rankUpdate(x.middleRows(first, count).transpose());
      });
  total.triangularView<Eigen::StrictlyUpper>() = total.transpose();
  for (std::size_t i = 0; i < e.cross.size(); ++i) e.cross[i] += part.cross[i];
  for (std::size_t o = 0; o < e.power.size(); ++o) e.power[o] += part.power[o], e.total[o] += part.total[o];
  e.rows += static_cast<double>(patches.rows);
}

std::vector<float> predict(const Patches& patches, const Fit& fit) {
  auto rows = static_cast<Eigen::Index>(patches.rows),
       outputs = static_cast<Eigen::Index>(fit.intercept.size());
  Eigen::Map<const FloatMatrix> x(patches.values.data(), rows, patches.columns),
      w(fit.weights.data(), outputs, patches.columns - 1);
  Eigen::Map<const Eigen::RowVectorXf> c(fit.intercept.data(), outputs);
  std::vector<float> result(static_cast<std::size_t>(rows * outputs));
  Eigen::Map<FloatMatrix> y(result.data(), rows, outputs);
  in_shares(patches.rows, [&](std::size_t first, std::size_t last) {
    auto from = static_cast<Eigen::Index>(first), count = static_cast<Eigen::Index>(last - first);
    auto part = y.middleRows(from, count);
    part.noalias() = x.middleRows(from, count).leftCols(patches.columns - 1) * w.transpose();
    part.rowwise() += c;
  });
  return result;
}

namespace {

// Rows of the samples before `sample` (first) or from it on.
struct Part {
  Patches patches;
  std::vector<float> wanted;
};

Part part(const Patches& all, const std::vector<float>& wanted, std::size_t first, std::size_t last,
          std::size_t outputs) {
  Part p;
  p.patches.columns = all.columns, p.patches.rows = last - first;
  auto columns = static_cast<std::size_t>(all.columns);
  auto cut = [&](const auto& values, std::size_t width) {
    return std::vector<float>(values.begin() + static_cast<std::ptrdiff_t>(first * width),
                              values.begin() + static_cast<std::ptrdiff_t>(last * width));
  };
  p.patches.values = cut(all.values, columns), p.wanted = cut(wanted, outputs);
  return p;
}

double squared_distance(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return sum;
}

int samples(const Patches& patches) {
  return patches.positions.empty() ? 0 : patches.positions.back().first + 1;
}

}  // namespace

bool few(const Patches& patches) {
  auto columns = static_cast<std::size_t>(patches.columns);
  return samples(patches) >= 4 &&
         (patches.rows < 8 * columns || 2 * static_cast<std::size_t>(samples(patches)) < columns);
}

double held_out_ridge(const NormalEquations& e, const Patches& patches, const std::vector<float>& wanted,
                      double smallest, const std::vector<float>& prior) {
  int border = samples(patches) * 3 / 4;
  auto at = std::partition_point(patches.positions.begin(), patches.positions.end(),
                                 [&](const auto& position) { return position.first < border; });
  auto split = static_cast<std::size_t>(at - patches.positions.begin()),
       outputs = static_cast<std::size_t>(e.outputs);
  Part seen = part(patches, wanted, 0, split, outputs),
       held = part(patches, wanted, split, patches.rows, outputs);
  NormalEquations of_seen(e.inputs, e.taps, e.outputs);
  of_seen.intercept = e.intercept;
  accumulate(of_seen, seen.patches, seen.wanted);
  std::vector<int> all(static_cast<std::size_t>(e.inputs));
  std::iota(all.begin(), all.end(), 0);
  double best = smallest, least = std::numeric_limits<double>::infinity();
  for (double ridge = smallest; ridge < 200; ridge *= 10) {
    double distance = squared_distance(predict(held.patches, fit(of_seen, all, ridge, prior)), held.wanted);
    if (distance < least) least = distance, best = ridge;
  }
  return best;
}

Fit fit(const NormalEquations& e, const std::vector<int>& kept, double ridge, const std::vector<float>& prior,
        const std::vector<int>& taps) {
  int n = e.columns();
  std::vector<int> columns = taps.empty() ? column_list(kept, e.taps) : column_list(kept, e.taps, taps);
  columns.push_back(n - 1);
  Matrix gram_all = ridged(e, ridge);
  View plain(e.gram.data(), n, n), cross(e.cross.data(), n, e.outputs);
  Matrix right = cross(columns, Eigen::all);
  if (!prior.empty())  // ridge pulls towards the prior: add lambda * prior on the right-hand side
    for (std::size_t i = 0; i + 1 < columns.size(); ++i)
      for (int o = 0; o < e.outputs; ++o)
        right(static_cast<Eigen::Index>(i), o) +=
            (gram_all(columns[i], columns[i]) - plain(columns[i], columns[i])) *
            prior[static_cast<std::size_t>(o) * e.inputs * e.taps + columns[i]];
  Matrix gram = gram_all(columns, columns);
  Matrix w = gram.llt().solve(right);

  Fit result;
  auto used = static_cast<Eigen::Index>(columns.size()) - 1;
  for (int o = 0; o < e.outputs; ++o) {
    for (Eigen::Index i = 0; i < used; ++i) result.weights.push_back(static_cast<float>(w(i, o)));
    result.intercept.push_back(e.intercept ? static_cast<float>(w(used, o)) : 0.0f);
  }
  Matrix plain_kept = plain(columns, columns), cross_kept = cross(columns, Eigen::all),
         product = plain_kept * w;
  for (int o = 0; o < e.outputs; ++o) {
    double squared = e.power[o] - 2 * w.col(o).dot(cross_kept.col(o)) + w.col(o).dot(product.col(o));
    result.error.push_back(std::max(0.0, squared / std::max(1.0, e.rows)));
  }
  return result;
}

Elimination eliminate(const std::vector<const NormalEquations*>& layers,
                      const std::vector<std::vector<std::vector<int>>>& blocks_per_layer, double ridge) {
  TAILOR_CHECK(!layers.empty() && layers.size() == blocks_per_layer.size());
  std::vector<Eliminating> parts;
  double base = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const NormalEquations& e = *layers[i];
    Matrix gram = ridged(e, ridge), inverse = gram.llt().solve(Matrix::Identity(gram.rows(), gram.cols()));
    Matrix weights = inverse * View(e.cross.data(), e.columns(), e.outputs);
    parts.push_back(
        {inverse, weights, 1.0 / (std::max(1.0, e.rows) * variance(e)), blocks_per_layer[i], e.taps});
    std::vector<int> all(e.inputs);
    for (int k = 0; k < e.inputs; ++k) all[k] = k;
    for (double error : fit(e, all, ridge).error) base += error / variance(e);
  }
  std::size_t count = blocks_per_layer[0].size();
  std::vector<bool> gone(count, false);
  Elimination result;
  while (result.order.size() < count) {
    int best = -1;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t b = 0; b < count; ++b) {
      if (gone[b]) continue;
      double loss = 0;
      for (const Eliminating& part : parts) loss += part.loss(static_cast<int>(b));
      if (best < 0 || loss < least) best = static_cast<int>(b), least = loss;
    }
    for (Eliminating& part : parts) part.remove(best);
    gone[best] = true;
    base += std::max(0.0, least);
    result.order.push_back(best);
    result.error.push_back(base);
  }
  return result;
}

}  // namespace tailor::saliency

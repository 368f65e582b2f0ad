// Against loops over every tap and Gaussian elimination in long double.
#include "tailor/saliency/normal_equations.h"

#include "tailor/base/random.h"
#include "tests/testing.h"

#include <cmath>
#include <numeric>

namespace tailor::saliency {
namespace {

using Real = long double;
using Grid = std::vector<std::vector<Real>>;

// Solves a x = b for every column of b, with pivots.
Grid solve(Grid a, Grid b) {
  std::size_t n = a.size();
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k; i < n; ++i)
      if (std::abs(a[i][k]) > std::abs(a[pivot][k])) pivot = i;
    std::swap(a[k], a[pivot]), std::swap(b[k], b[pivot]);
    for (std::size_t i = 0; i < n; ++i) {
      if (i == k || a[i][k] == 0) continue;
      Real factor = a[i][k] / a[k][k];
      for (std::size_t j = k; j < n; ++j) a[i][j] -= factor * a[k][j];
      for (std::size_t j = 0; j < b[i].size(); ++j) b[i][j] -= factor * b[k][j];
    }
  }
  for (std::size_t i = 0; i < n; ++i)
    for (Real& value : b[i]) value /= a[i][i];
  return b;
}

graph::Tensor noise(graph::Shape dims, Random& random, double shift = 0.3) {
  std::vector<float> values(static_cast<std::size_t>(graph::element_count(dims)));
  for (float& v : values) v = static_cast<float>(random.normal() + shift);
  return graph::make_f32(std::move(dims), std::move(values));
}

// A layer seen at every position: rows of patches (with the 1) and wanted outputs.
struct Seen {
  Geometry geometry;
  graph::Tensor x, y;
  int inputs = 0, outputs = 0, oh = 1, ow = 1;
  Patches patches;
  std::vector<float> wanted;
  NormalEquations equations;

  Real patch(std::size_t row, int column) const {
    return patches.values[row * static_cast<std::size_t>(patches.columns) + static_cast<std::size_t>(column)];
  }
};

Seen seen(const Geometry& g, int samples, int inputs, int ih, int iw, int outputs, std::uint64_t seed,
          int per_sample = 1 << 20) {
  Random random(seed);
  Seen s;
  s.geometry = g, s.inputs = inputs, s.outputs = outputs;
  s.oh = (ih + 2 * g.pt - g.dh * (g.kh - 1) - 1) / g.sh + 1;
  s.ow = (iw + 2 * g.pl - g.dw * (g.kw - 1) - 1) / g.sw + 1;
  s.x = noise({samples, inputs, ih, iw}, random);
  s.y = noise({samples, outputs, s.oh, s.ow}, random, -0.5);
  s.patches = sample_patches(g, s.x, s.oh, s.ow, per_sample, seed);
  s.wanted = sample_outputs(s.patches, s.y);
  s.equations = NormalEquations(inputs, g.taps(), outputs);
  accumulate(s.equations, s.patches, s.wanted);
  return s;
}

const std::vector<Geometry> kGeometries = {
    {1, 1, 1, 1, 1, 1, 0, 0}, {3, 3, 1, 1, 1, 1, 1, 1}, {3, 3, 2, 2, 1, 1, 1, 1},
    {3, 3, 1, 1, 2, 2, 2, 2}, {3, 1, 1, 2, 1, 1, 1, 0}, {2, 3, 2, 1, 1, 2, 0, 3},
};

TEST(Patches, AreWhatAConvolutionReads) {
  for (std::size_t k = 0; k < kGeometries.size(); ++k) {
    const Geometry& g = kGeometries[k];
    Seen s = seen(g, 2, 3, 7, 8, 2, k);
    ASSERT_EQ(s.patches.rows, static_cast<std::size_t>(2 * s.oh * s.ow));
    auto x = s.x.values<float>();
    for (std::size_t row = 0; row < s.patches.rows; ++row) {
      auto [n, at] = s.patches.positions[row];
      int column = 0;
      for (int c = 0; c < 3; ++c)
        for (int i = 0; i < g.kh; ++i)
          for (int j = 0; j < g.kw; ++j) {
            int h = at / s.ow * g.sh + i * g.dh - g.pt, w = at % s.ow * g.sw + j * g.dw - g.pl;
            bool inside = h >= 0 && h < 7 && w >= 0 && w < 8;
            float expected = inside ? x[static_cast<std::size_t>(((n * 3 + c) * 7 + h) * 8 + w)] : 0;
            ASSERT_EQ(s.patch(row, column++), expected) << k << " row " << row;
          }
      ASSERT_EQ(s.patch(row, column), 1);
    }
  }
}

TEST(Patches, AreDrawnWithoutRepetitionAndBySeed) {
  Seen a = seen(kGeometries[1], 3, 2, 9, 9, 1, 5, 20), b = seen(kGeometries[1], 3, 2, 9, 9, 1, 5, 20);
  ASSERT_EQ(a.patches.rows, 60u);
  EXPECT_EQ(a.patches.positions, b.patches.positions);
  auto sorted = a.patches.positions;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(std::unique(sorted.begin(), sorted.end()), sorted.end());
  for (std::size_t r = 0; r < a.patches.rows; ++r) {
    auto [n, at] = a.patches.positions[r];
    EXPECT_EQ(a.wanted[r], a.y.values<float>()[static_cast<std::size_t>(n * 81 + at)]);
  }
}

TEST(NormalEquations, AreTheSums) {
  for (std::size_t k = 0; k < kGeometries.size(); ++k) {
    Seen s = seen(kGeometries[k], 2, 3, 7, 8, 4, k);
    accumulate(s.equations, s.patches, s.wanted);  // twice: sums double
    int n = s.equations.columns();
    EXPECT_EQ(s.equations.rows, 2.0 * static_cast<double>(s.patches.rows));
    for (int a = 0; a < n; ++a) {
      for (int b = 0; b < n; ++b) {
        Real sum = 0;
        for (std::size_t r = 0; r < s.patches.rows; ++r) sum += 2 * s.patch(r, a) * s.patch(r, b);
        ASSERT_NEAR(s.equations.gram[static_cast<std::size_t>(a * n + b)], static_cast<double>(sum), 1e-3);
      }
      for (int o = 0; o < 4; ++o) {
        Real sum = 0;
        for (std::size_t r = 0; r < s.patches.rows; ++r)
          sum += 2 * s.patch(r, a) * s.wanted[r * 4 + static_cast<std::size_t>(o)];
        ASSERT_NEAR(s.equations.cross[static_cast<std::size_t>(a * 4 + o)], static_cast<double>(sum), 1e-3);
      }
    }
  }
}

// Minimum of |X w - y|^2 + lambda |w - prior|^2 (the intercept free) by the long way.
struct Reference {
  Grid w;                   // columns x outputs
  std::vector<Real> error;  // mean squared residual per output
  Real objective = 0;       // sum of squares and ridge, all outputs
};

Real ridge_of(const Seen& s, double ridge) {
  Real diagonal = 0;
  for (int c = 0; c + 1 < s.patches.columns; ++c)
    for (std::size_t r = 0; r < s.patches.rows; ++r) diagonal += s.patch(r, c) * s.patch(r, c);
  return ridge * diagonal / (s.patches.columns - 1);
}

Reference reference(const Seen& s, const std::vector<int>& kept, double ridge,
                    const std::vector<float>& prior) {
  int taps = s.geometry.taps();
  std::vector<int> columns;
  for (int input : kept)
    for (int t = 0; t < taps; ++t) columns.push_back(input * taps + t);
  columns.push_back(s.patches.columns - 1);
  std::size_t n = columns.size(), outputs = static_cast<std::size_t>(s.outputs);
  Real lambda = ridge_of(s, ridge);
  auto before = [&](std::size_t i, std::size_t o) -> Real {
    auto row = static_cast<std::size_t>(s.inputs * taps);
    return prior.empty() || i + 1 == n ? 0 : prior[o * row + static_cast<std::size_t>(columns[i])];
  };
  Grid a(n, std::vector<Real>(n)), b(n, std::vector<Real>(outputs));
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t r = 0; r < s.patches.rows; ++r)
        a[i][j] += s.patch(r, columns[i]) * s.patch(r, columns[j]);
    for (std::size_t o = 0; o < outputs; ++o) {
      for (std::size_t r = 0; r < s.patches.rows; ++r)
        b[i][o] += s.patch(r, columns[i]) * s.wanted[r * outputs + o];
      b[i][o] += lambda * before(i, o);
    }
    if (i + 1 < n) a[i][i] += lambda;
  }
  Reference result{solve(a, b), std::vector<Real>(outputs), 0};
  for (std::size_t o = 0; o < outputs; ++o) {
    for (std::size_t r = 0; r < s.patches.rows; ++r) {
      Real y = -s.wanted[r * outputs + o];
      for (std::size_t i = 0; i < n; ++i) y += s.patch(r, columns[i]) * result.w[i][o];
      result.error[o] += y * y;
    }
    result.objective += result.error[o];
    result.error[o] /= static_cast<Real>(s.patches.rows);
    for (std::size_t i = 0; i + 1 < n; ++i)
      result.objective += lambda * (result.w[i][o] - before(i, o)) * (result.w[i][o] - before(i, o));
  }
  return result;
}

TEST(Fit, IsTheMinimum) {
  const std::vector<std::vector<int>> subsets = {{0, 1, 2, 3}, {1, 3}, {2}, {}};
  for (std::size_t k = 0; k < kGeometries.size(); ++k)
    for (double ridge : {1e-6, 1e-2, 10.0})
      for (const std::vector<int>& kept : subsets)
        for (bool with_prior : {false, true}) {
          Seen s = seen(kGeometries[k], 4, 4, 9, 8, 3, 10 + k);
          Random random(99);
          std::vector<float> prior =
              with_prior ? noise({3, 4 * s.geometry.taps()}, random).values<float>() : std::vector<float>{};
          Fit found = fit(s.equations, kept, ridge, prior);
          Reference wanted = reference(s, kept, ridge, prior);
          std::size_t row = kept.size() * static_cast<std::size_t>(s.geometry.taps());
          ASSERT_EQ(found.weights.size(), 3 * row);
          for (std::size_t o = 0; o < 3; ++o) {
            for (std::size_t i = 0; i < row; ++i)
              ASSERT_NEAR(found.weights[o * row + i], static_cast<double>(wanted.w[i][o]), 1e-3)
                  << k << " " << ridge;
            ASSERT_NEAR(found.intercept[o], static_cast<double>(wanted.w[row][o]), 1e-3);
            ASSERT_NEAR(found.error[o], static_cast<double>(wanted.error[o]), 1e-3);
          }
        }
}

// Where nothing can be added, the minimum is that without the column of ones.
TEST(Fit, WithoutInterceptIsTheMinimumOfTheRest) {
  Seen s = seen({}, 40, 5, 3, 3, 2, 7);
  s.equations.intercept = false;
  const Fit found = fit(s.equations, {0, 2, 4}, 1e-9);
  const std::vector<int> columns = {0, 2, 4};
  Grid gram(3, std::vector<Real>(3)), cross(3, std::vector<Real>(2));
  for (std::size_t row = 0; row < s.patches.rows; ++row)
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t j = 0; j < 3; ++j) gram[i][j] += s.patch(row, columns[i]) * s.patch(row, columns[j]);
      for (std::size_t o = 0; o < 2; ++o)
        cross[i][o] += s.patch(row, columns[i]) * static_cast<Real>(s.wanted[row * 2 + o]);
    }
  const Grid w = solve(gram, cross);
  for (std::size_t o = 0; o < 2; ++o) {
    EXPECT_EQ(found.intercept[o], 0);
    for (std::size_t i = 0; i < 3; ++i)
      EXPECT_NEAR(found.weights[o * 3 + i], static_cast<double>(w[i][o]), 1e-5);
  }
}

// A part of a 3x3 kernel sees what a smaller kernel with less padding sees.
TEST(Fit, OfSomeTapsIsThatOfASmallerKernel) {
  struct Part {
    std::vector<int> taps;
    Geometry geometry;
  };
  Seen s = seen({3, 3, 1, 1, 1, 1, 1, 1}, 4, 3, 9, 8, 2, 21);
  for (const Part& part : {Part{{3, 4, 5, 6, 7, 8}, {2, 3, 1, 1, 1, 1, 0, 1}},
                           Part{{1, 4, 7}, {3, 1, 1, 1, 1, 1, 1, 0}}, Part{{4}, {1, 1, 1, 1, 1, 1, 0, 0}}}) {
    NormalEquations smaller(3, part.geometry.taps(), 2);
    Patches patches = sample_patches(part.geometry, s.x, s.oh, s.ow, 1 << 20, 21);
    accumulate(smaller, patches, sample_outputs(patches, s.y));
    for (const std::vector<int>& kept : {std::vector<int>{0, 1, 2}, std::vector<int>{0, 2}}) {
      Fit found = fit(s.equations, kept, 1e-9, {}, part.taps), wanted = fit(smaller, kept, 1e-9);
      ASSERT_EQ(found.weights.size(), wanted.weights.size());
      for (std::size_t i = 0; i < found.weights.size(); ++i)
        EXPECT_NEAR(found.weights[i], wanted.weights[i], 1e-4);
      for (std::size_t o = 0; o < 2; ++o) EXPECT_NEAR(found.error[o], wanted.error[o], 1e-5);
    }
  }
}

TEST(Fit, StrongRidgeKeepsThePriorAndNoRowsToo) {
  Seen s = seen(kGeometries[1], 2, 3, 6, 6, 2, 1);
  std::vector<float> prior(2 * 27);
  std::iota(prior.begin(), prior.end(), 1.0f);
  Fit strong = fit(s.equations, {0, 1, 2}, 1e9, prior);
  Fit blind = fit(NormalEquations(3, 9, 2), {0, 1, 2}, 1e-4, prior);
  for (std::size_t i = 0; i < prior.size(); ++i) {
    EXPECT_NEAR(strong.weights[i], prior[i], 1e-3);
    EXPECT_NEAR(blind.weights[i], prior[i], 1e-3);
  }
  EXPECT_NEAR(blind.intercept[0], 0, 1e-6);
}

TEST(Fit, PredictIsTheLayer) {
  Seen s = seen(kGeometries[2], 2, 3, 7, 7, 2, 3);
  Fit found = fit(s.equations, {0, 1, 2}, 1e-3);
  std::vector<float> now = predict(s.patches, found);
  for (std::size_t r = 0; r < s.patches.rows; ++r)
    for (std::size_t o = 0; o < 2; ++o) {
      Real sum = found.intercept[o];
      for (int c = 0; c < 27; ++c) sum += s.patch(r, c) * found.weights[o * 27 + static_cast<std::size_t>(c)];
      EXPECT_NEAR(now[r * 2 + o], static_cast<double>(sum), 1e-4);
    }
}

TEST(Fit, ReplacedOutputsAreAsIfSeenFirst) {
  Seen a = seen(kGeometries[1], 2, 3, 6, 6, 2, 1), b = seen(kGeometries[1], 2, 3, 6, 6, 2, 2);
  NormalEquations replaced = a.equations;
  replace_outputs(replaced, a.patches, b.wanted);
  NormalEquations direct(3, 9, 2);
  accumulate(direct, a.patches, b.wanted);
  EXPECT_EQ(replaced.cross, direct.cross);
  EXPECT_EQ(replaced.power, direct.power);
  EXPECT_EQ(replaced.total, direct.total);
  EXPECT_EQ(replaced.gram, direct.gram);
}

Real spread_of(const Seen& s) {
  Real sum = 0;
  for (std::size_t o = 0; o < static_cast<std::size_t>(s.outputs); ++o) {
    Real mean = 0, square = 0;
    for (std::size_t r = 0; r < s.patches.rows; ++r) {
      Real y = s.wanted[r * static_cast<std::size_t>(s.outputs) + o];
      mean += y, square += y * y;
    }
    mean /= static_cast<Real>(s.patches.rows), square /= static_cast<Real>(s.patches.rows);
    sum += square - mean * mean;
  }
  return sum;
}

using Blocks = std::vector<std::vector<int>>;

// Every step tries every block, refits, and removes the cheapest.
Elimination brute_force(const std::vector<const Seen*>& layers, const std::vector<Blocks>& blocks,
                        double ridge) {
  Elimination result;
  std::vector<bool> gone(blocks[0].size());
  auto error_without = [&](std::size_t also) {
    Real sum = 0;
    for (std::size_t l = 0; l < layers.size(); ++l) {
      std::vector<int> kept(static_cast<std::size_t>(layers[l]->inputs));
      std::iota(kept.begin(), kept.end(), 0);
      for (std::size_t b = 0; b < gone.size(); ++b)
        if (gone[b] || b == also)
          for (int input : blocks[l][b]) std::erase(kept, input);
      Real rows = static_cast<Real>(layers[l]->patches.rows);
      sum += reference(*layers[l], kept, ridge, {}).objective / rows / spread_of(*layers[l]);
    }
    return static_cast<double>(sum);
  };
  for (std::size_t step = 0; step < gone.size(); ++step) {
    double least = 1e300;
    std::size_t best = 0;
    for (std::size_t b = 0; b < gone.size(); ++b)
      if (double e = gone[b] ? 1e300 : error_without(b); e < least) least = e, best = b;
    gone[best] = true;
    result.order.push_back(static_cast<int>(best));
    result.error.push_back(least);
  }
  return result;
}

// Outputs that do depend on the inputs, each input to its own degree.
Seen dependent(const Geometry& g, int inputs, int outputs, std::uint64_t seed) {
  Seen s = seen(g, 3, inputs, 8, 8, outputs, seed);
  Random random(seed + 100);
  std::vector<float> w = noise({outputs, inputs * g.taps()}, random, 0).values<float>();
  for (std::size_t r = 0; r < s.patches.rows; ++r)
    for (int o = 0; o < outputs; ++o) {
      float& y = s.wanted[r * static_cast<std::size_t>(outputs) + static_cast<std::size_t>(o)];
      y *= 0.3f;
      for (int c = 0; c + 1 < s.patches.columns; ++c)
        y += static_cast<float>(s.patch(r, c)) *
             w[static_cast<std::size_t>(o * (s.patches.columns - 1) + c)] /
             static_cast<float>(1 + (c / g.taps() * 5) % 7);
    }
  s.equations = NormalEquations(inputs, g.taps(), outputs);
  accumulate(s.equations, s.patches, s.wanted);
  return s;
}

void expect_same(const Elimination& found, const Elimination& wanted) {
  EXPECT_EQ(found.order, wanted.order);
  for (std::size_t i = 0; i < wanted.error.size(); ++i)
    EXPECT_NEAR(found.error[i], wanted.error[i], 2e-3) << i;
}

TEST(Eliminate, IsBackwardEliminationByBruteForce) {
  for (std::size_t k = 0; k < 4; ++k) {
    Seen s = dependent(kGeometries[k], 6, 3, 20 + k);
    Blocks blocks = {{0}, {1}, {2}, {3}, {4}, {5}};
    expect_same(eliminate({&s.equations}, {blocks}, 1e-6), brute_force({&s}, {blocks}, 1e-6));
  }
}

TEST(Eliminate, BlocksOwnSeveralInputs) {
  Seen s = dependent(kGeometries[1], 6, 2, 31);
  Blocks blocks = {{0, 3}, {1, 4}, {2, 5}};
  expect_same(eliminate({&s.equations}, {blocks}, 1e-6), brute_force({&s}, {blocks}, 1e-6));
  Blocks some = {{5}, {0, 1, 2}};  // inputs 3 and 4 belong to nobody and stay
  expect_same(eliminate({&s.equations}, {some}, 1e-6), brute_force({&s}, {some}, 1e-6));
}

TEST(Eliminate, LayersTogether) {
  Seen a = dependent(kGeometries[0], 5, 2, 41), b = dependent(kGeometries[1], 4, 3, 42);
  std::vector<Blocks> blocks = {{{0}, {1}, {2}, {3, 4}},
                                {{3}, {2}, {1}, {}}};  // b does not read the last one
  expect_same(eliminate({&a.equations, &b.equations}, blocks, 1e-6), brute_force({&a, &b}, blocks, 1e-6));
}

TEST(Eliminate, CopiesAndDeadInputsGoFirst) {
  Seen s = seen(kGeometries[0], 2, 4, 8, 8, 2, 51);
  for (std::size_t r = 0; r < s.patches.rows; ++r) {
    float* row = s.patches.values.data() + r * 5;
    row[1] = 2 * row[0], row[2] = 0;
    s.wanted[2 * r] = row[0] + row[3], s.wanted[2 * r + 1] = row[3] - row[0];
  }
  s.equations = NormalEquations(4, 1, 2);
  accumulate(s.equations, s.patches, s.wanted);
  Elimination found = eliminate({&s.equations}, {{{0}, {1}, {2}, {3}}}, 1e-6);
  EXPECT_EQ(found.order[0], 2);
  EXPECT_TRUE(found.order[1] == 0 || found.order[1] == 1);
  EXPECT_LT(found.error[1], 1e-3);
  EXPECT_GT(found.error[2], 0.2);
}

TEST(Eliminate, NothingSeenIsNoNumber) {
  NormalEquations empty(3, 1, 2);
  Elimination found = eliminate({&empty}, {{{0}, {1}, {2}}}, 1e-4);
  EXPECT_EQ(found.order.size(), 3u);
  for (double error : found.error) EXPECT_TRUE(std::isfinite(error));
}

// Rows of random inputs and y = W x + noise; what a fit makes of rows that it has not seen.
struct Noisy {
  Patches patches;
  std::vector<float> wanted;
};

Noisy noisy(int samples, int inputs, const std::vector<float>& w, std::uint64_t seed) {
  Random random(seed);
  Noisy n;
  n.patches.columns = inputs + 1, n.patches.rows = static_cast<std::size_t>(samples);
  for (int s = 0; s < samples; ++s) {
    double y = 0.5;
    for (int i = 0; i < inputs; ++i) {
      n.patches.values.push_back(static_cast<float>(random.normal()));
      y += double{w[static_cast<std::size_t>(i)]} * n.patches.values.back();
    }
    n.patches.values.push_back(1);
    n.patches.positions.emplace_back(s, 0);
    n.wanted.push_back(static_cast<float>(y + 0.3 * random.normal()));
  }
  return n;
}

double error_on(const Noisy& fresh, const Fit& fit) {
  std::vector<float> y = predict(fresh.patches, fit);
  double sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i) sum += (y[i] - fresh.wanted[i]) * (y[i] - fresh.wanted[i]);
  return sum / static_cast<double>(y.size());
}

TEST(HeldOutRidge, FewSamplesStayNearWhatWasKnown) {
  constexpr int kInputs = 100;
  std::vector<float> w, near;
  std::vector<int> all(kInputs);
  Random random(4);
  for (int i = 0; i < kInputs; ++i) {
    all[static_cast<std::size_t>(i)] = i;
    w.push_back(static_cast<float>(random.normal()));
    near.push_back(w.back() + static_cast<float>(0.05 * random.normal()));
  }
  Noisy seen = noisy(80, kInputs, w, 5), fresh = noisy(400, kInputs, w, 6);
  ASSERT_TRUE(few(seen.patches));
  NormalEquations equations(kInputs, 1, 1);
  accumulate(equations, seen.patches, seen.wanted);
  double plain = error_on(fresh, fit(equations, all, 1e-4, near));
  equations.ridge = held_out_ridge(equations, seen.patches, seen.wanted, 1e-4, near);
  EXPECT_GE(equations.ridge, 0.1);
  EXPECT_LT(error_on(fresh, fit(equations, all, 1e-4, near)), 0.8 * plain);
}

TEST(HeldOutRidge, ManySamplesMoveAwayFromWhatIsWrong) {
  constexpr int kInputs = 12;
  std::vector<float> w(kInputs, 1.0f), wrong(kInputs, -1.0f);
  Noisy seen = noisy(90, kInputs, w, 7);
  NormalEquations equations(kInputs, 1, 1);
  accumulate(equations, seen.patches, seen.wanted);
  EXPECT_LE(held_out_ridge(equations, seen.patches, seen.wanted, 1e-4, wrong), 0.1);
  EXPECT_FALSE(few(noisy(200, kInputs, w, 8).patches));
  EXPECT_TRUE(few(noisy(90, kInputs, w, 8).patches)) << "fewer rows than eight per column";
}

}  // namespace
}  // namespace tailor::saliency

// The tape against loops in double and against differences of its own values; the fit against what made the goal.
#include "tailor/saliency/joint_fit.h"

#include "tailor/base/random.h"
#include "tests/testing.h"

#include <cmath>

namespace tailor::saliency {
namespace {

using Kind = Step::Kind;

std::vector<float> noise(std::size_t count, Random& random, double size = 1) {
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(size * random.normal());
  return values;
}

graph::Tensor tensor(int samples, const Extent& e, std::vector<float> values) {
  return graph::make_f32({samples, e.channels, e.height, e.width}, std::move(values));
}

using Planes = std::vector<double>;  // of one sample

Planes linear(const Tape& tape, const Step& step, const std::vector<float>& weights, const Planes& a) {
  const TapeLayer& l = tape.layers[static_cast<std::size_t>(step.layer)];
  const Extent &from = tape.values[static_cast<std::size_t>(step.a)],
               &to = tape.values[static_cast<std::size_t>(step.out)];
  const Geometry& g = step.geometry;
  Planes y(static_cast<std::size_t>(to.size()));
  int in = l.inputs / l.groups, out = l.outputs / l.groups;
  for (int o = 0; o < l.outputs; ++o)
    for (int oh = 0; oh < to.height; ++oh)
      for (int ow = 0; ow < to.width; ++ow) {
        const float* row = weights.data() + static_cast<std::ptrdiff_t>(o) * l.columns();
        double sum = row[l.columns() - 1];
        for (int c = 0; c < in; ++c)
          for (int i = 0; i < g.kh; ++i)
            for (int j = 0; j < g.kw; ++j) {
              int h = oh * g.sh - g.pt + i * g.dh, w = ow * g.sw - g.pl + j * g.dw;
              if (h < 0 || h >= from.height || w < 0 || w >= from.width) continue;
              sum += double{row[(c * g.kh + i) * g.kw + j]} *
                     a[static_cast<std::size_t>(((o / out * in + c) * from.height + h) * from.width + w)];
            }
        y[static_cast<std::size_t>((o * to.height + oh) * to.width + ow)] = sum;
      }
  return y;
}

Planes one_step(const Tape& tape, const Step& step, const TapeWeights& weights,
                const std::vector<Planes>& values) {
  const Planes& a = values[static_cast<std::size_t>(step.a)];
  if (step.kind == Kind::linear) return linear(tape, step, weights[static_cast<std::size_t>(step.layer)], a);
  auto plane = static_cast<std::size_t>(tape.values[static_cast<std::size_t>(step.a)].plane());
  Planes y = a;
  if (step.kind == Kind::mean) y.assign(a.size() / plane, 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (step.kind == Kind::affine) y[i] = double{step.scale[i / plane]} * a[i] + step.offset[i / plane];
    if (step.kind == Kind::clip) y[i] = std::clamp(a[i], double{step.low}, double{step.high});
    if (step.kind == Kind::add) y[i] = a[i] + values[static_cast<std::size_t>(step.b)][i];
    if (step.kind == Kind::mean) y[i / plane] += a[i] / static_cast<double>(plane);
  }
  return y;
}

double reference(const Tape& tape, const TapeWeights& weights, const Wanted& wanted, int first, int last) {
  double sum = 0;
  for (int s = first; s < last; ++s) {
    std::vector<Planes> values(tape.values.size());
    auto sample = [&](const graph::Tensor& t, int value) {
      auto size = static_cast<std::ptrdiff_t>(tape.values[static_cast<std::size_t>(value)].size());
      std::vector<float> all = t.values<float>();
      return Planes(all.begin() + s * size, all.begin() + (s + 1) * size);
    };
    for (std::size_t i = 0; i < tape.inputs.size(); ++i)
      values[static_cast<std::size_t>(tape.inputs[i])] = sample(wanted.inputs[i], tape.inputs[i]);
    for (const Step& step : tape.steps)
      values[static_cast<std::size_t>(step.out)] = one_step(tape, step, weights, values);
    Planes goal = sample(wanted.goal, tape.goal), &now = values[static_cast<std::size_t>(tape.goal)];
    for (std::size_t i = 0; i < goal.size(); ++i) {
      bool beyond =
          (goal[i] < wanted.low && now[i] < wanted.low) || (goal[i] > wanted.high && now[i] > wanted.high);
      if (!beyond) sum += (now[i] - goal[i]) * (now[i] - goal[i]);
    }
  }
  return sum;
}

struct Example {
  Tape tape;
  TapeWeights weights;
  Wanted wanted;
};

Example example(Tape tape, int samples, std::uint64_t seed) {
  Random random(seed);
  Example e{std::move(tape), {}, {}};
  for (const TapeLayer& l : e.tape.layers) e.weights.push_back(noise(l.size(), random, 0.4));
  auto values = [&](int value) {
    const Extent& x = e.tape.values[static_cast<std::size_t>(value)];
    return tensor(samples, x, noise(static_cast<std::size_t>(samples * x.size()), random));
  };
  for (int input : e.tape.inputs) e.wanted.inputs.push_back(values(input));
  e.wanted.goal = values(e.tape.goal);
  return e;
}

// x -> 3x3 -> Relu -> 3x3, + x: a residual block.
Tape block(int stream, int inside, int size) {
  Geometry g{3, 3, 1, 1, 1, 1, 1, 1};
  Tape t;
  t.values = {{stream, size, size},
              {inside, size, size},
              {inside, size, size},
              {stream, size, size},
              {stream, size, size}};
  t.inputs = {0};
  t.layers = {{stream, inside, 1, 9}, {inside, stream, 1, 9}};
  t.steps = {{Kind::linear, 0, -1, 1, 0, g},
             {Kind::clip, 1, -1, 2},
             {Kind::linear, 2, -1, 3, 1, g},
             {Kind::add, 3, 0, 4}};
  t.steps[1].low = 0;
  t.goal = 4;
  return t;
}

// x -> 1x1 -> normalised -> 0 to 6 -> depthwise 3x2, stride 2, dilated -> + given -> mean -> Gemm.
Tape inverted() {
  Tape t;
  t.values = {{3, 7, 6}, {4, 7, 6}, {4, 7, 6}, {4, 7, 6}, {4, 3, 3},
              {4, 3, 3}, {4, 3, 3}, {4, 1, 1}, {4, 1, 1}, {5, 1, 1}};
  t.inputs = {0, 5};
  t.layers = {{3, 4, 1, 1}, {4, 4, 4, 6}, {4, 5, 1, 1}};
  t.steps = {{Kind::linear, 0, -1, 1, 0}, {Kind::affine, 1, -1, 2},
             {Kind::clip, 2, -1, 3},      {Kind::linear, 3, -1, 4, 1, {3, 2, 2, 2, 2, 1, 1, 0}},
             {Kind::add, 4, 5, 6},        {Kind::mean, 6, -1, 7},
             {Kind::same, 7, -1, 8},      {Kind::linear, 8, -1, 9, 2}};
  t.steps[1].scale = {1.5f, -0.5f, 2, 1}, t.steps[1].offset = {0.1f, 0.2f, -0.3f, 0};
  t.steps[2].low = 0, t.steps[2].high = 1.5f;
  t.goal = 9;
  return t;
}

void expect_gradient(Example e) {
  TapeWeights gradient;
  double at = squared_distance(e.tape, e.weights, e.wanted, 1, 6, &gradient);
  EXPECT_NEAR(at, reference(e.tape, e.weights, e.wanted, 1, 6), 1e-4 * at);
  EXPECT_EQ(at, squared_distance(e.tape, e.weights, e.wanted, 1, 6));
  Random random(3);
  for (int i = 0; i < 40; ++i) {
    std::size_t l = random.below(e.weights.size()), k = random.below(e.weights[l].size());
    TapeWeights up = e.weights, down = e.weights;
    const float step = 1e-3f;
    up[l][k] += step, down[l][k] -= step;
    double slope = (reference(e.tape, up, e.wanted, 1, 6) - reference(e.tape, down, e.wanted, 1, 6)) /
                   (double{up[l][k]} - double{down[l][k]});
    EXPECT_NEAR(gradient[l][k], slope, 2e-2 * std::abs(slope) + 2e-3 * at)
        << "layer " << l << " weight " << k;
  }
}

// Steps of all kinds in any order over values that several may read, as long as sizes fit; the last value is the goal.
Tape random_tape(std::uint64_t seed) {
  Random random(seed);
  auto below = [&](int n) { return static_cast<int>(random.below(static_cast<std::size_t>(n))); };
  Tape t;
  t.values = {{2 + below(2), 5, 4}, {2 + below(2), 5, 4}};
  t.inputs = {0, 1};
  auto push = [&](Step step, Extent out) {
    step.out = static_cast<int>(t.values.size());
    t.values.push_back(out), t.steps.push_back(step);
  };
  auto linear = [&](int a, int outputs, int groups, Geometry g, Extent out) {
    const int inputs = t.values[static_cast<std::size_t>(a)].channels;
    Step step{Kind::linear, a};
    step.layer = static_cast<int>(t.layers.size()), step.geometry = g;
    t.layers.push_back({inputs, outputs, groups, g.taps()});
    out.channels = outputs;
    push(step, out);
  };
  const int count = 3 + below(6);
  for (int i = 0; i < count; ++i) {
    // Rather what was made last: chains.
    const int last = static_cast<int>(t.values.size()) - 1, a = below(3) ? last : below(last + 1);
    const Extent e = t.values[static_cast<std::size_t>(a)];
    Step step{Kind::affine, a};
    switch (below(8)) {
      case 0:
        linear(a, 1 + below(4), 1, {}, e);
        break;
      case 1:
        linear(a, e.channels, e.channels, {3, 3, 1, 1, 1, 1, 1, 1}, e);
        break;
      case 2:
        linear(a, 1 + below(3), 1, {3, 3, 1, 1, 1, 1, 1, 1}, e);
        break;
      case 3:
        linear(a, e.channels, e.channels, {2, 2, 2, 2, 1, 1, 0, 0},
               {0, (e.height + 1) / 2, (e.width + 1) / 2});
        break;
      case 4:
        for (int c = 0; c < e.channels; ++c)
          step.scale.push_back(static_cast<float>(1 + random.normal() / 4)), step.offset.push_back(0.1f);
        push(step, e);
        break;
      case 5:
        step.kind = Kind::clip, step.low = -0.5f, step.high = 1.5f;
        push(step, e);
        break;
      case 6:
        step.kind = Kind::same;
        push(step, e);
        break;
      default:
        step.kind = Kind::add, step.b = below(last + 1);
        if (t.values[static_cast<std::size_t>(step.b)].size() == e.size() &&
            t.values[static_cast<std::size_t>(step.b)].channels == e.channels)
          push(step, e);
    }
  }
  linear(static_cast<int>(t.values.size()) - 1, 2, 1, {}, t.values.back());
  t.goal = static_cast<int>(t.values.size()) - 1;
  return t;
}

// Along the gradient the distance rises by the gradient's length; along any other vector taken for it, it does not.
void expect_steepest(const Example& e) {
  TapeWeights gradient;
  const double at = squared_distance(e.tape, e.weights, e.wanted, 1, 6, &gradient);
  EXPECT_NEAR(at, reference(e.tape, e.weights, e.wanted, 1, 6), 1e-4 * at);
  double squares = 0;
  for (const auto& layer : gradient)
    for (float g : layer) squares += double{g} * g;
  const double length = std::sqrt(squares), step = 1e-3 / std::max(1.0, length);
  auto moved = [&](double by) {
    TapeWeights weights = e.weights;
    for (std::size_t l = 0; l < weights.size(); ++l)
      for (std::size_t k = 0; k < weights[l].size(); ++k)
        weights[l][k] += static_cast<float>(by * gradient[l][k]);
    return reference(e.tape, weights, e.wanted, 1, 6);
  };
  EXPECT_NEAR((moved(step) - moved(-step)) / (2 * step), squares, 1e-2 * squares + 1e-6 * at);
}

TEST(Tape, GradientIsTheSlopeWhoeverReadsWhat) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    expect_steepest(example(random_tape(seed), 7, seed));
  }
}

TEST(Tape, GradientIsTheSlope) {
  expect_gradient(example(block(4, 3, 6), 7, 1));
  expect_gradient(example(inverted(), 7, 2));
  Example bounded = example(block(3, 5, 5), 7, 4);
  bounded.wanted.low = 0, bounded.wanted.high = 1;
  expect_gradient(bounded);
}

TEST(Tape, WorkIsCounted) { EXPECT_EQ(block(4, 3, 6).macs(), 36.0 * (3 * 37 + 4 * 28)); }

TEST(Tape, CurvatureOfOneLayerIsThatOfLeastSquares) {
  Tape t;
  t.values = {{2, 4, 4}, {3, 4, 4}};
  t.inputs = {0}, t.goal = 1;
  t.layers = {{2, 3, 1, 1}};
  t.steps = {{Kind::linear, 0, -1, 1, 0}};
  Example e = example(t, 50, 9);
  Curvature c = curvature(e.tape, e.weights, e.wanted, 0, 50, 1);
  std::vector<float> x = e.wanted.inputs[0].values<float>();
  double first = 0;
  for (std::size_t s = 0; s < 50; ++s)
    for (std::size_t p = 0; p < 16; ++p) first += double{x[s * 32 + p]} * x[s * 32 + p] / 800;
  EXPECT_NEAR(c.inputs[0][0][0], first, 1e-4);
  EXPECT_NEAR(c.inputs[0][0][8], 1, 1e-6);
  for (double v : c.outputs[0]) EXPECT_NEAR(v, 1, 1e-9);
}

Wanted made_by(const Tape& tape, const TapeWeights& weights, Example e) {
  int samples = static_cast<int>(e.wanted.goal.dims[0]);
  std::vector<float> goal;
  for (int s = 0; s < samples; ++s) {
    std::vector<Planes> values(tape.values.size());
    auto size = static_cast<std::ptrdiff_t>(tape.values[0].size());
    std::vector<float> all = e.wanted.inputs[0].values<float>();
    values[0] = Planes(all.begin() + s * size, all.begin() + (s + 1) * size);
    for (const Step& step : tape.steps)
      values[static_cast<std::size_t>(step.out)] = one_step(tape, step, weights, values);
    const Planes& y = values[static_cast<std::size_t>(tape.goal)];
    goal.insert(goal.end(), y.begin(), y.end());
  }
  e.wanted.goal = tensor(samples, tape.values[static_cast<std::size_t>(tape.goal)], std::move(goal));
  return e.wanted;
}

TEST(FitJointly, ComesBackToWhatMadeTheGoal) {
  Example e = example(block(4, 6, 6), 160, 21);
  Wanted wanted = made_by(e.tape, e.weights, e);
  Random random(5);
  TapeWeights start = e.weights;
  for (auto& layer : start)
    for (float& v : layer) v += static_cast<float>(0.1 * random.normal());
  JointOptions options;
  options.steps = 100;
  JointFit fit = fit_jointly(e.tape, wanted, start, options);
  EXPECT_GT(fit.before, 0.01);
  EXPECT_LT(fit.after, 0.02 * fit.before);
  EXPECT_LT(fit.evaluations, 150);
}

// Half of the inner channels gone: what is left does better by doing something else than what it did.
TEST(FitJointly, ANarrowLayerServesBetterByBeingSomethingElse) {
  Example whole = example(block(4, 8, 6), 200, 31), narrow = example(block(4, 4, 6), 200, 31);
  Wanted wanted = made_by(whole.tape, whole.weights, whole);
  TapeWeights start = narrow.weights;
  std::copy_n(whole.weights[0].begin(), start[0].size(), start[0].begin());
  for (int o = 0; o < 4; ++o) {
    auto from = whole.weights[1].begin() + o * 73, to = start[1].begin() + o * 37;
    std::copy_n(from, 36, to);
    to[36] = from[72];
  }
  JointFit both = fit_jointly(narrow.tape, wanted, start, {});
  EXPECT_LT(both.after, 0.8 * both.before);
  EXPECT_NEAR(squared_distance(narrow.tape, both.weights, wanted, 160, 200) / (40 * 144), both.after,
              1e-6 + 1e-4 * both.after);
}

// What is learned by heart is worth nothing on samples that were held out: the weights stay.
TEST(FitJointly, NeverGoesAwayFromSamplesThatWereHeldOut) {
  Example e = example(block(4, 8, 6), 5, 77);
  JointFit fit = fit_jointly(e.tape, e.wanted, e.weights, {});
  EXPECT_LE(fit.after, fit.before);
  EXPECT_NEAR(squared_distance(e.tape, fit.weights, e.wanted, 4, 5) / 144, fit.after, 1e-4 * fit.after);
}

TEST(FitJointly, LeavesWhatIsRight) {
  Example e = example(block(3, 3, 5), 10, 8);
  Wanted wanted = made_by(e.tape, e.weights, e);
  JointFit fit = fit_jointly(e.tape, wanted, e.weights, {});
  EXPECT_LT(fit.after, 1e-8);
}

TEST(FitJointly, StopsWhenAsked) {
  Example e = example(block(3, 3, 5), 10, 8);
  JointOptions options;
  options.stop = [] { return true; };
  EXPECT_LE(fit_jointly(e.tape, e.wanted, e.weights, options).evaluations, 12);
}

}  // namespace
}  // namespace tailor::saliency

// Value and gradient of what `optimize --joint` fits together: blocks of MobileNetV2 and of ResNets, per sample, on one thread.
#include "tailor/base/random.h"
#include "tailor/saliency/tape.h"

#include <benchmark/benchmark.h>

#include <cstdint>

namespace tailor::saliency {
namespace {

using Kind = Step::Kind;

struct Block {
  int inputs, plane, inside, outputs, stride;
  bool inverted;  // 1x1, depthwise 3x3, 1x1; else 3x3, 3x3
};

class Builder {
 public:
  explicit Builder(const Block& block) {
    int at = value({block.inputs, block.plane, block.plane});
    tape.inputs = {at};
    if (block.inverted) {
      at = clip(affine(linear(at, block.inside, 1, 1, 1)));
      at = clip(affine(linear(at, block.inside, 3, block.stride, block.inside)));
      at = affine(linear(at, block.outputs, 1, 1, 1));
    } else {
      at = clip(affine(linear(at, block.inside, 3, block.stride, 1)));
      at = affine(linear(at, block.outputs, 3, 1, 1));
    }
    tape.goal = at;
  }

  Tape tape;

 private:
  const Extent& extent(int v) const { return tape.values[static_cast<std::size_t>(v)]; }
  int value(Extent extent) {
    tape.values.push_back(extent);
    return static_cast<int>(tape.values.size()) - 1;
  }
  int push(Step step, Extent out) {
    step.out = value(out);
    tape.steps.push_back(step);
    return step.out;
  }
  int linear(int a, int outputs, int kernel, int stride, int groups) {
    const Extent from = extent(a);
    Step step{Kind::linear, a};
    Geometry& g = step.geometry;
    g.kh = g.kw = kernel, g.sh = g.sw = stride, g.pt = g.pl = kernel / 2;
    step.layer = static_cast<int>(tape.layers.size());
    tape.layers.push_back({from.channels, outputs, groups, g.taps()});
    return push(step, {outputs, (from.height + stride - 1) / stride, (from.width + stride - 1) / stride});
  }
  int affine(int a) {
    Step step{Kind::affine, a};
    const auto channels = static_cast<std::size_t>(extent(a).channels);
    step.scale.assign(channels, 1.1f), step.offset.assign(channels, 0.1f);
    return push(step, extent(a));
  }
  int clip(int a) {
    Step step{Kind::clip, a};
    step.low = 0, step.high = 6;
    return push(step, extent(a));
  }
};

graph::Tensor noise(int samples, const Extent& e, Random& random) {
  std::vector<float> values(static_cast<std::size_t>(samples) * static_cast<std::size_t>(e.size()));
  for (float& v : values) v = static_cast<float>(random.normal());
  return graph::make_f32({samples, e.channels, e.height, e.width}, std::move(values));
}

void value_and_gradient(benchmark::State& state, Block block) {
  const Tape tape = Builder(block).tape;
  Random random(1);
  TapeWeights weights, gradient;
  for (const TapeLayer& layer : tape.layers) {
    weights.emplace_back(layer.size());
    for (float& w : weights.back()) w = static_cast<float>(0.1 * random.normal());
  }
  const int samples = std::max(16, 100000 / (block.plane * block.plane));
  Wanted wanted;
  wanted.inputs = {noise(samples, tape.values[0], random)};
  wanted.goal = noise(samples, tape.values[static_cast<std::size_t>(tape.goal)], random);
  for (auto _ : state)
    benchmark::DoNotOptimize(squared_distance(tape, weights, wanted, 0, samples, &gradient));
  state.SetItemsProcessed(state.iterations() * samples);
}

BENCHMARK_CAPTURE(value_and_gradient, mobilenet_112_stride_2, Block{16, 112, 96, 24, 2, true})
    ->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(value_and_gradient, mobilenet_56, Block{24, 56, 144, 24, 1, true})->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(value_and_gradient, mobilenet_14, Block{64, 14, 384, 64, 1, true})->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(value_and_gradient, mobilenet_7, Block{160, 7, 960, 160, 1, true})->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(value_and_gradient, resnet_32, Block{16, 32, 16, 16, 1, false})->MeasureProcessCPUTime();
BENCHMARK_CAPTURE(value_and_gradient, resnet_8, Block{64, 8, 64, 64, 1, false})->MeasureProcessCPUTime();

}  // namespace
}  // namespace tailor::saliency

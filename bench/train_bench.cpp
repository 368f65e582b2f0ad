// bench_train RESNET20.onnx [ROUNDS [THREADS]]: images a second in training, of the graph as it is run here and of the same
// network written for libtorch by hand, in turns. Ours reads its samples from a file, by the way that users go; the other
// finds its batch in memory. Both: batch 128, f32, SGD with momentum and weight decay, cross entropy.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/random.h"
#include "tailor/learn/network.h"
#include "tailor/learn/train.h"
#include "tailor/onnx/onnx.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>

namespace tailor {
namespace {

constexpr int kBatch = 128, kSteps = 6;
constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();

struct BlockImpl : torch::nn::Module {
  BlockImpl(std::int64_t in, std::int64_t out, std::int64_t by) : stride(by), extra(out - in) {
    using torch::nn::Conv2dOptions;
    conv1 = register_module("conv1",
                            torch::nn::Conv2d(Conv2dOptions(in, out, 3).stride(by).padding(1).bias(false)));
    bn1 = register_module("bn1", torch::nn::BatchNorm2d(out));
    conv2 = register_module("conv2", torch::nn::Conv2d(Conv2dOptions(out, out, 3).padding(1).bias(false)));
    bn2 = register_module("bn2", torch::nn::BatchNorm2d(out));
  }
  torch::Tensor forward(torch::Tensor x) {
    torch::Tensor y = bn2(conv2(torch::relu(bn1(conv1(x)))));
    if (stride > 1) x = x.slice(2, 0, kEnd, 2).slice(3, 0, kEnd, 2);
    if (extra > 0) x = torch::constant_pad_nd(x, {0, 0, 0, 0, extra / 2, extra / 2});
    return torch::relu(x + y);
  }
  std::int64_t stride, extra;
  torch::nn::Conv2d conv1{nullptr}, conv2{nullptr};
  torch::nn::BatchNorm2d bn1{nullptr}, bn2{nullptr};
};
TORCH_MODULE(Block);

struct ResNet20Impl : torch::nn::Module {
  ResNet20Impl() {
    conv =
        register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 16, 3).padding(1).bias(false)));
    bn = register_module("bn", torch::nn::BatchNorm2d(16));
    std::int64_t in = 16;
    for (std::int64_t out : {16, 16, 16, 32, 32, 32, 64, 64, 64}) {
      blocks->push_back(Block(in, out, in == out ? 1 : 2));
      in = out;
    }
    register_module("blocks", blocks);
    last = register_module("last", torch::nn::Linear(64, 10));
  }
  torch::Tensor forward(torch::Tensor x) {
    x = torch::relu(bn(conv(x)));
    return last(blocks->forward(x).mean({2, 3}));
  }
  torch::nn::Conv2d conv{nullptr};
  torch::nn::BatchNorm2d bn{nullptr};
  torch::nn::Sequential blocks;
  torch::nn::Linear last{nullptr};
};
TORCH_MODULE(ResNet20);

// The network written by hand, and kSteps of its training.
struct ByHand {
  ResNet20 net;
  torch::optim::SGD rule{net->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9).weight_decay(5e-4)};
  torch::Tensor images = torch::randn({kBatch, 3, 32, 32}),
                labels = torch::randint(10, {kBatch}, torch::kLong);

  double images_per_s() {
    auto start = std::chrono::steady_clock::now();
    for (int step = 0; step < kSteps; ++step) {
      rule.zero_grad();
      torch::Tensor loss = torch::nn::functional::cross_entropy(net(images), labels);
      loss.backward();
      rule.step();
      loss.item();
    }
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    return kBatch * kSteps / took.count();
  }
};

std::filesystem::path write_samples(const std::filesystem::path& folder) {
  Random random(1);
  std::string bytes;
  for (int n = 0; n < kBatch * kSteps; ++n) {
    bytes += static_cast<char>(random.below(10));
    for (int i = 0; i < 3 * 32 * 32; ++i) bytes += static_cast<char>(random.below(256));
  }
  write_file(folder / "data.bin", bytes);
  return folder / "data.bin";
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(const char* path, int rounds, int threads) {
  TemporaryFolder folder;
  learn::set_threads(threads);
  graph::Model model = onnx::read(path);
  data::Dataset data = data::read_dataset(write_samples(folder.path()));
  learn::Recipe recipe{.augmentation = {.flip = true, .crop = 4}, .epochs = 1, .batch = kBatch};
  ByHand by_hand;
  std::vector<double> ours, theirs, ratios;
  for (int round = -1; round < rounds; ++round) {
    double a = learn::train(model, {&data}, recipe).images_per_s, b = by_hand.images_per_s();
    if (round < 0) continue;  // the first one finds caches cold and memory unfetched
    ours.push_back(a), theirs.push_back(b), ratios.push_back(a / b);
    fmt::print("round {:2}: {:7.1f} {:7.1f} images/s, {:.3f}\n", round + 1, a, b, a / b);
  }
  fmt::print("{} threads: {:.1f} images/s here, {:.1f} by hand; ratio {:.3f}, median of {} rounds\n", threads,
             median(ours), median(theirs), median(ratios), rounds);
  return 0;
}

}  // namespace
}  // namespace tailor

int main(int count, char** arguments) {
  if (count < 2) return fmt::print(stderr, "bench_train RESNET20.onnx [ROUNDS [THREADS]]\n"), 2;
  try {
    return tailor::run(arguments[1], count > 2 ? std::atoi(arguments[2]) : 9,
                       count > 3 ? std::atoi(arguments[3]) : 2);
  } catch (const tailor::Error& error) {
    fmt::print(stderr, "{}: {}\n", tailor::spelling(error.code()), error.what());
    return tailor::exit_code(error.code());
  }
}

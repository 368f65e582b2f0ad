// What no library fuses: one kernel of this program's own, which is told the operations by number.
#include "runners/cuda/operation.h"
#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tailor::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr std::size_t kMostWords = 8;  // eight bits each in one argument

// The order of `Word` in kernels.cu.
std::uint64_t number_of(const std::string& word) {
  constexpr std::array names = {"",        "bias", "add",         "relu",      "clip", "leakyrelu",
                                "sigmoid", "tanh", "hardsigmoid", "hardswish", "gelu", "mul"};
  if (word == "bn") return 1;
  for (std::size_t i = 1; i < names.size(); ++i)
    if (word == names[i]) return i;
  throw Error(Code::runtime_refused, fmt::format("'{}' is not computed by this runner", word.substr(0, 40)));
}

std::uint64_t numbers_of(const Words& words) {
  if (words.size() > kMostWords)
    throw Error(Code::runtime_refused, fmt::format("more than {} operations after one layer", kMostWords));
  std::uint64_t numbers = 0;
  for (std::size_t i = 0; i < words.size(); ++i) numbers |= number_of(words[i]) << (8 * i);
  return numbers;
}

// Eight blocks per multiprocessor keep enough reads in flight.
unsigned blocks_for(const Gpu& gpu, std::int64_t n) {
  const std::int64_t wanted = (n + kThreads - 1) / kThreads;
  return static_cast<unsigned>(std::clamp<std::int64_t>(wanted, 1, 8 * gpu.facts().multiprocessors));
}

}  // namespace

std::function<void(Address, const Operands&)> elementwise(Gpu& gpu, const Elementwise& what) {
  const Function kernel = gpu.kernel(fmt::format("tailor_elementwise_{}", graph::name(what.type)));
  const std::uint64_t words = numbers_of(what.words);
  const unsigned blocks = blocks_for(gpu, what.n);
  const long long n = what.n, channels = what.channels;
  return [&gpu, kernel, words, blocks, n, channels](Address x, const Operands& operands) {
    // The driver copies the arguments during the call; they are only passed as non-const.
    Address from = x, other = operands.residual, bias = operands.bias, to = operands.y;
    long long count = n, width = channels;
    unsigned long long numbers = words;
    std::array<void*, 7> arguments = {&from, &other, &bias, &to, &count, &width, &numbers};
    gpu.libraries().check(gpu.libraries().driver().launch(kernel, blocks, 1, 1, kThreads, 1, 1, 0,
                                                          gpu.stream(), arguments.data(), nullptr),
                          "cuLaunchKernel");
  };
}

Operation prepare_elementwise(Gpu& gpu, const Layer& layer) {
  auto kernel = elementwise(gpu, {layer.sizes.mb, 1, layer.sizes.type, layer.post});
  return {operand_sizes(layer), "own", "", 0, [kernel](const Operands& o) { kernel(o.x, o); }};
}

Operation prepare(Gpu& gpu, const Layer& layer) {
  switch (layer.kind) {
    case LayerKind::gemm:
    case LayerKind::batched_gemm:
      return prepare_gemm(gpu, layer);
    case LayerKind::conv:
      return prepare_convolution(gpu, layer);
    case LayerKind::elementwise:
      return prepare_elementwise(gpu, layer);
    default:
      return prepare_pooling(gpu, layer);
  }
}

}  // namespace tailor::cuda

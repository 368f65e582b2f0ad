// EmulatedKernels: the shim once, each text in a namespace of its own, its kernels as C functions. half_layer: loops.
// run_emulated: memory with guards around it, both launches, comparison.
#include "tests/tune/emulated_kernels.h"

#include "tailor/tune/kernel_bench.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace tailor::testing {

device::Device small_gpu() {
  device::Device device = device::find_device("h200");
  device.sm.count = 3;
  return device;
}

EmulatedKernels::EmulatedKernels(const std::vector<EmulatedText>& texts) {
  std::string source = "#define EMULATED_TEXT\n#include \"tests/tune/emulated_cuda.h\"\n";
  const std::string product =
      "(const unsigned short* a, const unsigned short* b, const float* c, const unsigned short* d, "
      "float* e, unsigned short* f)";
  const std::string finish = "(const float* a, const float* b, const unsigned short* c, unsigned short* d)";
  for (std::size_t i = 0; i < texts.size(); ++i) {
    source += fmt::format(
        "namespace text_{0} {{\n{1}\n}}\nextern \"C\" void product_{0}{2} {{ text_{0}::product(a, b, c, d, "
        "e, f); }}\n",
        i, texts[i].text, product);
    if (texts[i].launch.split > 1)
      source +=
          fmt::format("extern \"C\" void finish_{0}{1} {{ text_{0}::finish(a, b, c, d); }}\n", i, finish);
  }
  const tune::Compiled compiled = tune::compile_kernel(
      source, folder_.fresh(".so"), {.flags = "-O1 -I'" TAILOR_SOURCE_DIR "'", .timeout_s = 120});
  EXPECT_EQ(compiled.outcome, tune::Outcome::ok) << compiled.message;
  if (compiled.outcome != tune::Outcome::ok) return;
  library_ = ::dlopen(compiled.library.c_str(), RTLD_NOW | RTLD_LOCAL);
  EXPECT_TRUE(library_) << ::dlerror();
  if (library_)
    reinterpret_cast<void (*)(const emulated::Machine*)>(::dlsym(library_, "use"))(&emulated_machine());
}
EmulatedKernels::Product EmulatedKernels::product(std::size_t text) const {
  return reinterpret_cast<Product>(::dlsym(library_, fmt::format("product_{}", text).c_str()));
}
EmulatedKernels::Finish EmulatedKernels::finish(std::size_t text) const {
  return reinterpret_cast<Finish>(::dlsym(library_, fmt::format("finish_{}", text).c_str()));
}

namespace {

bool has(const latency::Workload& w, const char* word) {
  return ("+" + w.post + "+").find(fmt::format("+{}+", word)) != std::string::npos;
}

std::vector<std::uint16_t> random_halves(std::int64_t count, Random& random) {
  std::vector<std::uint16_t> values(static_cast<std::size_t>(count));
  for (std::uint16_t& value : values) value = half_of(static_cast<float>(random.normal()));
  return values;
}

// Sum and sum of magnitudes of one output.
struct Sum {
  double sum = 0, size = 0;
};
Sum loop(const HalfLayer& l, std::int64_t image, std::int64_t y, std::int64_t x, std::int64_t channel) {
  const latency::Workload& w = l.workload;
  Sum s;
  for (std::int64_t i = 0; i < w.kh; ++i)
    for (std::int64_t j = 0; j < w.kw; ++j) {
      const std::int64_t from_y = y * w.sh - w.pt + i * w.dh, from_x = x * w.sw - w.pl + j * w.dw;
      if (from_y < 0 || from_y >= w.ih || from_x < 0 || from_x >= w.iw) continue;
      for (std::int64_t c = 0; c < w.ic; ++c) {
        const auto at = static_cast<std::size_t>(((image * w.ih + from_y) * w.iw + from_x) * w.ic + c);
        const auto weight = static_cast<std::size_t>(((i * w.kw + j) * w.ic + c) * w.oc + channel);
        const double product = static_cast<double>(float_of(l.input[at])) * float_of(l.weights[weight]);
        s.sum += product, s.size += std::abs(product);
      }
    }
  return s;
}

double finished(const HalfLayer& l, double value, std::size_t at, std::size_t channel) {
  const latency::Workload& w = l.workload;
  if (has(w, "bias") || has(w, "bn")) value += l.bias[channel];
  if (has(w, "add")) value += float_of(l.residual[at]);
  if (has(w, "relu") || has(w, "clip")) value = std::max(value, 0.0);
  return has(w, "clip") ? std::min(value, 6.0) : value;
}

// Memory with a border of NaN on both sides.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::size_t count, T fill) : all_(count + 2 * kBorder, fill), count_(count) {}
  Guarded(const std::vector<T>& values, T fill) : Guarded(values.size(), fill) {
    std::copy(values.begin(), values.end(), begin());
  }
  T* begin() { return all_.data() + kBorder; }
  Readable readable() { return {begin(), count_ * sizeof(T)}; }
  bool intact() const {
    auto same = [&](auto from) {
      return std::all_of(from, from + kBorder,
                         [&](const T& value) { return std::memcmp(&value, &all_[0], sizeof(T)) == 0; });
    };
    return same(all_.begin()) && same(all_.end() - kBorder);
  }

 private:
  static constexpr std::ptrdiff_t kBorder = 64;
  std::vector<T> all_;
  std::size_t count_;
};

constexpr std::uint16_t kNan = 0xffff;

std::string first_difference(const HalfLayer& layer, std::uint16_t* out) {
  for (std::size_t i = 0; i < layer.expected.size(); ++i) {
    if (!std::isfinite(layer.expected[i])) continue;
    if (const float value = float_of(out[i]); !(std::abs(value - layer.expected[i]) <= layer.tolerance[i]))
      return fmt::format("at pixel {}, channel {}: {} instead of {}",
                         i / static_cast<std::size_t>(layer.workload.oc),
                         i % static_cast<std::size_t>(layer.workload.oc), value, layer.expected[i]);
  }
  return {};
}

}  // namespace

HalfLayer half_layer(const latency::Workload& w, std::uint64_t seed) {
  Random random(seed);
  HalfLayer l;
  l.workload = w;
  l.input = random_halves(w.mb * w.ih * w.iw * w.ic, random);
  l.weights = random_halves(w.kh * w.kw * w.ic * w.oc, random);
  l.residual = random_halves(w.mb * w.oh * w.ow * w.oc, random);
  for (std::int64_t c = 0; c < w.oc; ++c) l.bias.push_back(static_cast<float>(random.normal()));
  for (std::int64_t pixel = 0; pixel < w.mb * w.oh * w.ow; ++pixel)
    for (std::int64_t c = 0; c < w.oc; ++c) {
      const Sum s = loop(l, pixel / (w.oh * w.ow), pixel / w.ow % w.oh, pixel % w.ow, c);
      l.expected.push_back(finished(l, s.sum, l.expected.size(), static_cast<std::size_t>(c)));
      l.tolerance.push_back(std::abs(l.expected.back()) / 1024 + s.size * 1e-5 + 1e-6);
    }
  return l;
}

ComparedRun run_emulated(const EmulatedKernels& kernels, std::size_t number, const tune::CudaLaunch& launch,
                         const HalfLayer& layer, bool at_once, unsigned grid) {
  Guarded<std::uint16_t> input(layer.input, kNan), weights(layer.weights, kNan),
      residual(layer.residual, kNan), out(layer.expected.size(), kNan);
  Guarded<float> bias(layer.bias, NAN);
  Guarded<float> partial(
      launch.split > 1 ? layer.expected.size() * static_cast<std::size_t>(launch.split) : 0, NAN);
  const auto blocks = static_cast<unsigned>(launch.blocks());
  EmulatedLaunch how;
  how.grid = launch.persistent ? std::min(grid, blocks) : blocks,
  how.block = static_cast<unsigned>(launch.threads);
  how.shared_bytes = launch.shared_bytes, how.at_once = at_once, how.seed = number + 1;
  const EmulatedKernels::Product product = kernels.product(number);
  const Emulated ran = emulate(how, {input.readable(), weights.readable()}, [&] {
    product(input.begin(), weights.begin(), bias.begin(), residual.begin(), partial.begin(), out.begin());
  });
  ComparedRun result{ran.fault, ran.bank_conflicts, ran.products};
  if (launch.split > 1 && result.fault.empty()) {
    const EmulatedKernels::Finish finish = kernels.finish(number);
    how.grid = static_cast<unsigned>((layer.expected.size() + 255) / 256), how.block = 256,
    how.shared_bytes = 0;
    result.fault =
        emulate(how, {}, [&] { finish(partial.begin(), bias.begin(), residual.begin(), out.begin()); }).fault;
  }
  if (result.fault.empty() && !(out.intact() && partial.intact()))
    result.fault = "a write beyond the results";
  if (result.fault.empty()) result.fault = first_difference(layer, out.begin());
  return result;
}

}  // namespace tailor::testing

/// \file Texts of cuda_source.h made for a processor, and layers for them to compute.
#pragma once

#include "tailor/base/file.h"
#include "tailor/tune/cuda_source.h"
#include "tests/tune/emulated_gpu.h"

#include <string>
#include <vector>

namespace tailor::testing {

/// The device that the spaces are of: an H200 with three multiprocessors, so small layers fill several waves.
device::Device small_gpu();

/// One text to run. `text` is that of cuda_source, or what a test made of it.
struct EmulatedText {
  tune::CudaLaunch launch;
  std::string text;
};

/// Texts compiled together by the system's compiler and loaded; they stay loaded.
class EmulatedKernels {
 public:
  /// Fails the test if the compiler refuses.
  explicit EmulatedKernels(const std::vector<EmulatedText>& texts);
  bool good() const { return library_ != nullptr; }

  using Product = void (*)(const std::uint16_t*, const std::uint16_t*, const float*, const std::uint16_t*,
                           float*, std::uint16_t*);
  using Finish = void (*)(const float*, const float*, const std::uint16_t*, std::uint16_t*);
  Product product(std::size_t text) const;
  Finish finish(std::size_t text) const;  // nullptr: it has none

 private:
  TemporaryFolder folder_;
  void* library_ = nullptr;
};

/// Random operands of a layer, and what loops in double precision make of them.
struct HalfLayer {
  latency::Workload workload;
  std::vector<std::uint16_t> input, weights, residual;
  std::vector<float> bias;
  std::vector<double> expected, tolerance;  // [pixels][channels]; what is not finite is not compared
};
HalfLayer half_layer(const latency::Workload& workload, std::uint64_t seed);

struct ComparedRun {
  std::string
      fault;  // of the emulation, or what differs first, or a write beyond the results; "": all is right
  std::int64_t bank_conflicts = 0, products = 0;
};
/// Both kernels of a text on a layer. @param grid blocks of a persistent launch
ComparedRun run_emulated(const EmulatedKernels& kernels, std::size_t number, const tune::CudaLaunch& launch,
                         const HalfLayer& layer, bool at_once = false, unsigned grid = 3);

}  // namespace tailor::testing

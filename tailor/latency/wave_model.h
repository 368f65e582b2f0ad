/// \file How long a layer takes on a GPU that is only described: the wave model.
///
/// A layer is a matrix product (a convolution by implicit GEMM) that a kernel cuts into tiles, one block each:
///   rounds   what the busiest multiprocessor works through, whole blocks (waves.h)
///   compute  rounds x the tile's multiply-accumulates at the multiprocessor's share of the peak x work(tile)
///   operands what the tiles read, over the L2's bandwidth
///   memory   each byte once, over the memory's bandwidth, x 1.4
///   latency  launch + (compute^3 + operands^3 + memory^3)^(1/3), and where reductions are split a kernel that adds
///            the parts
/// The form was found on 120,000 timings of f32 products on five GPUs, its constants on four of them (wave_bench,
/// docs/results.md); a device adds one number of its own, Device::work, fitted or 1. Of the plausible kernels the fastest is taken, as
/// libraries' heuristics try to. What the model does not know: Winograd and FFT kernels, fusion of several layers,
/// clocks that change under load (as far as `work` does not contain them).
#pragma once

#include "tailor/device/device.h"
#include "tailor/latency/oracle.h"
#include "tailor/latency/waves.h"
#include "tailor/latency/workload.h"

#include <string>
#include <vector>

namespace tailor::latency {

/// A layer as `groups` products of m x k by k x n. A transposed convolution: n = outputs x kernel, summed afterwards.
struct Product {
  std::int64_t groups = 1, m = 1, n = 1, k = 1;
};
Product product_of(const Workload& workload);

/// How a kernel works: tile of the output per block, parts of the reduction that are blocks of their own.
struct GpuKernel {
  enum class Path { vector, matrix, direct };  // lanes; matrix units (tensor cores); one thread per output
  Path path = Path::vector;
  Tile tile;
  int split = 1;
  bool shares = false;  // stream-K: the reductions of the last waves are shared out, there is no tail

  friend bool operator==(const GpuKernel&, const GpuKernel&) = default;
};
/// "128x64", "64x64 split 4", "128x128 stream-K", "direct"
std::string to_string(const GpuKernel& kernel);

/// Precisions: "f32" (lanes), "tf32", "f16", "bf16", "i8" (matrix units where the device has them).
/// @throws Error bad_value if the device does not state a peak for it
void check_precision(const device::Device& device, const std::string& precision);

/// What libraries offer for a layer. Layers with fewer than 8 outputs or inputs per group go the direct way; products
/// of few rows may.
std::vector<GpuKernel> plausible_kernels(const device::Device& device, const Workload& workload,
                                         const std::string& precision);

struct ModelledLayer {
  GpuKernel kernel;
  Waves waves;  // of one block per multiprocessor
  std::int64_t rounds = 0;
  double paid_rounds = 0;  // that are paid for: fewer than `rounds` where the kernel shares its tail out
  double us = 0, launch_us = 0, compute_us = 0, operand_us = 0, memory_us = 0;
  double adding_us = 0;        // of the kernel that adds the parts of a split reduction
  double tile_efficiency = 1;  // share of the tiles that is output
  bool aligned = true;         // channels fill the 16 bytes that matrix units load; else they are padded
};

/// One layer with one kernel. O(1).
ModelledLayer model_layer(const device::Device& device, const Workload& workload,
                          const std::string& precision, const GpuKernel& kernel);
/// With the fastest plausible kernel.
ModelledLayer model_layer(const device::Device& device, const Workload& workload,
                          const std::string& precision);

/// Constants of the form, the same for every device.
struct WaveForm {
  double operands = 8;  // of lanes: how much 1/tile_m + 1/tile_n adds to the time of the arithmetic
  double memory = 1.4;  // bytes over those at full bandwidth
  double exponent =
      3;  // with which compute, operands and memory join: 1 adds them, a large one takes the largest
};

/// The model's arithmetic for an f32 launch of which tile, blocks, reduction per block and bytes are known, without
/// what the launch itself costs: what `work` is fitted with.
double vector_launch_us(const device::Device& device, Tile tile, std::int64_t blocks, std::int64_t k,
                        std::int64_t bytes, double work, const WaveForm& form = {});

/// The model as an oracle: everything it says is stamped modelled.
class WaveModel final : public LatencyOracle {
 public:
  /// @throws Error bad_value as check_precision
  WaveModel(device::Device device, std::string precision);
  std::vector<Estimate> evaluate(std::span<const Workload> workloads) override;
  Context context() const override;

 private:
  device::Device device_;
  std::string precision_;
};

}  // namespace tailor::latency

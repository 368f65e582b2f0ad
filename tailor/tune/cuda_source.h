/// \file Kernels of our own in CUDA C++ for tensor cores, out of a workload and a configuration.
///
/// As in kernel_source.h products and dense convolutions are one text (kernels/product.cu) behind constants: an implicit
/// GEMM (Chetlur et al., arXiv:1410.0759) of f16 operands with f32 sums, whose rows are output pixels. The text's first line says
/// how it is launched. It is compiled (cuda_compiler.h), ranked by arithmetic (cuda_rank.h) or tried in shares of a GPU
/// (cuda_bench.h). None of it has run on hardware so far; it computes what loops compute where tests run it on a processor.
#pragma once

#include "tailor/device/device.h"
#include "tailor/latency/workload.h"
#include "tailor/tune/space.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor::tune {

/// Why there is no kernel for a workload ("grouped convolution"); "" if there is one: dense convolutions and products in
/// f16, with any of bias, bn, add, relu and clip (0 to 6) behind them, of at most 2^30 elements per tensor, unrolled image
/// and sums of a split reduction aside.
std::string no_cuda_kernel(const latency::Workload& workload);

/// What compilers call the device: "sm_90a". The `a` of compute capability 9.0 is that of the device itself; other devices
/// have none. @throws Error bad_value: not NVIDIA's, or below compute capability 7.5 (no tensor cores that the text knows)
std::string cuda_architecture(const device::Device& device);

/// Tile of a block (bm x bn, bk steps of the reduction at a time), stages of the ring in shared memory, warps of a block (wm x
/// wn), parts of the reduction (split_k), rows of tiles that are dealt out together (raster), and whether a block takes
/// several tiles (persistent). Conditions: whole products of 16 x 16 per warp, at most 128 sums per thread, 4 or 8 warps, the
/// device's shared memory of a block; no tile, stage, part or row that the workload has nothing for. Every size of every
/// supported workload has configurations: borders are cut off in the kernel.
/// @pre no_cuda_kernel(workload) == ""
Space cuda_space(const latency::Workload& workload, const device::Device& device);

/// A configuration that is seldom bad, by rule: 128 x 128 tiles where the layer fills them, halved until there is a block for
/// every multiprocessor, or none smaller. @pre as cuda_space
Configuration usual_cuda_configuration(const latency::Workload& workload, const Space& space,
                                       const device::Device& device);

/// How a kernel is cut and launched: what its text's first line and its constants say.
struct CudaLaunch {
  std::int64_t m = 0, n = 0, k = 0;  // of the product
  int bm = 0, bn = 0, bk = 0, stages = 0, wm = 0, wn = 0, split = 1, raster = 1;
  bool persistent = false;
  int threads = 0;                // of a block
  std::int64_t shared_bytes = 0;  // of a block; above 48 KiB all of it is asked for at the launch
  std::int64_t tiles_m = 0, tiles_n = 0;
  int left_grain = 8, right_grain = 8;  // elements of a row that are moved at a time: 8, 4, 2 or 1

  std::int64_t blocks() const { return tiles_m * tiles_n * split; }  // of work; a persistent launch has fewer
  std::int64_t steps() const { return (k + bk - 1) / bk; }           // of all parts together
  std::int64_t dynamic_bytes() const { return shared_bytes > 49152 ? shared_bytes : 0; }
  std::int64_t static_bytes() const { return shared_bytes > 49152 ? 0 : shared_bytes; }
};
/// @pre `configuration` is of cuda_space(workload, some device)
CudaLaunch cuda_launch(const latency::Workload& workload, const Space& space,
                       const Configuration& configuration);

/// The whole text. It exports the kernels `product` (input, weights, bias, residual, partial, out) and, where the reduction
/// is split, `finish` (partial, bias, residual, out), which is launched behind it. Its first line is "// tailor " and an object:
/// `workspace` (floats of `partial`), `persistent` (the grid is cut to what the device holds at a time) and `run`, the launches:
/// {"kernel", "grid", "block", "shared" (bytes to ask for)}. Same arguments, same text. @pre as cuda_launch
std::string cuda_source(const latency::Workload& workload, const Space& space,
                        const Configuration& configuration);

/// SHA-256 of the text behind the constants.
std::string cuda_hash();

/// Name and text of every .cu in kernels/.
const std::vector<std::pair<std::string_view, std::string_view>>& cuda_texts();

}  // namespace tailor::tune

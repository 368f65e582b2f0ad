/// \file Kernels of our own: C++ text out of a workload and a configuration.
///
/// A dense convolution is a product of weights and the unrolled image (implicit GEMM; Chetlur et al., arXiv:1410.0759),
/// so both kinds of layer are one text (kernels/product.cc) behind constants. The compiler of the system makes a shared
/// object of it, which runners/kernels loads.
#pragma once

#include "tailor/latency/workload.h"
#include "tailor/tune/space.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor::tune {

/// What bounds the tiles of this processor: floats of a vector and vectors that fit its registers.
struct VectorUnit {
  int floats = 4, registers = 16;
  std::string name = "sse";
};
/// Of the processor that runs this: AVX-512, AVX2 or SSE on x86, else 128 bits and 32 registers.
VectorUnit vector_unit();

/// Why there is no kernel for a workload ("grouped convolution"); "" if there is one: dense convolutions and products in
/// f32, with any of bias, bn, add, relu and clip behind them. Clip is that between 0 and 6.
std::string no_kernel(const latency::Workload& workload);

/// Tile of registers (mr x nv vectors), blocks (kc, mc, nc), unrolling, packing of the left operand (products only).
/// @pre no_kernel(workload) == ""
Space kernel_space(const latency::Workload& workload, const VectorUnit& unit);

/// The whole text of one kernel. It exports kernel_sizes, kernel_prepare and kernel_run.
/// @pre `configuration` is of kernel_space(workload, unit)
std::string kernel_source(const latency::Workload& workload, const VectorUnit& unit, const Space& space,
                          const Configuration& configuration);

/// A kernel whose text holds nothing of a layer but its tile of registers, unrolling and packing: all layers and blocks with
/// the same have the same text, so it is compiled once. It also exports kernel_shape, which takes `shape`. Slower than
/// kernel_source by what the compiler makes of constants: good to rank configurations of one layer by.
/// (Of a product whose rows are read where they lie, their length is in the text.)
struct ShapelessKernel {
  std::string text;
  std::vector<std::int64_t> shape;
};
/// @pre as kernel_source
ShapelessKernel shapeless_kernel(const latency::Workload& workload, const VectorUnit& unit,
                                 const Space& space, const Configuration& configuration);

/// How a kernel's output is cut: `images` of m x n, in blocks of rows and columns, in tiles of registers.
struct Blocks {
  std::int64_t images = 1, m = 0, n = 0, rows = 0, columns = 0, tile_rows = 0, tile_columns = 0;
};
/// As kernels/product.cc cuts it. @pre as kernel_source
Blocks blocks_of(const latency::Workload& workload, const VectorUnit& unit, const Space& space,
                 const Configuration& configuration);

/// SHA-256 of the text behind the constants: part of a record's key.
std::string kernel_hash();

/// Name and text of every file in kernels/.
const std::vector<std::pair<std::string_view, std::string_view>>& kernel_texts();

}  // namespace tailor::tune

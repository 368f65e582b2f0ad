/// \file CUDA kernels ranked without a GPU: what the compiler says of registers and memory, occupancy, waves, and a simple model
/// of time. Nothing of it was ever measured on hardware: it orders variants of one kernel for one layer, and a time is only
/// as good as the constants in cuda_rank.cpp, of which most are of data sheets and the rest assumed.
///
/// A variant cuts its layer into blocks (tiles x parts of the reduction). A wave is what runs at a time:
///   waves = ceil(blocks / (multiprocessors x blocks that one holds))        (latency/waves.h, device/occupancy.h)
///   tail  = 1 - blocks / (waves x capacity): the share of the paid slots that idles (Yu et al., arXiv:2011.03897)
/// The busiest multiprocessor has c blocks at a time (all of a full wave, its share of the last one). Each step of their
/// reductions takes five times, in clocks, that overlap:
///   mma       c x 2 bm bn bk operations at the multiprocessor's share of the f16 peak; from compute capability 9 on x 1 / 0.629,
///             what mma.sync reaches of the peak on Hopper on average (Luo et al., arXiv:2402.13499)
///   shared    c x what ldmatrix reads for all warps, at 128 bytes a clock
///   operands  c x the step's tiles (bm + bn) bk, at 64 bytes a clock from the L2 (assumed, as wave_model.h has it)
///   pieces    c x the pieces in which these are moved (16 bytes, or less where rows are odd), 8 a clock (assumed)
///   latency   700 clocks (assumed) over the stages - 1 that are on their way
/// joined as (sum of cubes)^(1/3), as in wave_model.h; and a wave 700 clocks to fill the ring, its steps, and the writing of
/// its tiles at 64 bytes a clock per multiprocessor.
/// Beside that, each byte once from memory (wave_model.h: x 1.4); where both operands together exceed half of the L2
/// (assumed), those that a wave touches once per wave: there `raster` counts. Both join likewise. A split
/// reduction writes and reads f32 parts and pays for another launch. What the model does not know: clocks that fall under
/// load, bank conflicts, that stages hide less before compute capability 8, who else reads the L2, what a persistent launch saves.
#pragma once

#include "tailor/device/occupancy.h"
#include "tailor/tune/cuda_compiler.h"
#include "tailor/tune/cuda_source.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tailor::tune {

/// Which of the five is the longest in a full wave.
enum class Pace { mma, shared, operands, pieces, latency };
const char* name(Pace pace);

struct CudaEstimate {
  device::Occupancy occupancy;  // blocks 0: it cannot run there
  std::int64_t blocks = 0;      // of work
  std::int64_t capacity = 0;    // blocks of a wave
  std::int64_t waves = 0;       // that are paid for
  double tail = 0;              // share of the paid slots that idles, 0..1
  double tile_efficiency = 1;   // share of the tiles that is output
  Pace pace = Pace::mma;
  double compute_us = 0, memory_us = 0,
         finish_us = 0;  // finish: of the kernel that adds parts, with its launch
  double us = 0;         // all together, with the launch; modelled; 0 if it cannot run
};
/// @param registers of a thread of the kernel @param multiprocessors of the share, 1 to the device's
/// @throws Error bad_value: no such share, or a device without a peak for f16. O(1)
CudaEstimate estimate_cuda(const device::Device& device, const latency::Workload& workload,
                           const CudaLaunch& launch, int registers, int multiprocessors);

/// Registers of a thread before anything is compiled: sums, fragments, addresses, and 40 more, within a quarter of what
/// NVRTC takes (docs/results.md). They only choose what is compiled.
int guessed_registers(const CudaLaunch& launch);

struct CudaVariant {
  Configuration configuration;
  CudaLaunch launch;
  CudaBuild build;
  CudaEstimate
      estimate;  // with the registers that the compiler took; of one that did not compile: with guessed ones
};

struct CudaRankOptions {
  int multiprocessors = 0;  // of the share; 0: the whole device
  int variants = 64;        // compiled at most; 0: all
  int jobs = 1;             // compilers at a time
  std::function<void(int done, int of)> on_progress = {};
};

struct CudaRanking {
  latency::Workload workload;
  std::string architecture;
  int multiprocessors = 0;
  std::uint64_t space = 0;  // configurations
  /// Best first by modelled time, equal ones in the order of the space; behind them those whose registers spill, those that do
  /// not fit a multiprocessor, and those that did not compile.
  std::vector<CudaVariant> variants;
  double compile_s = 0, seconds = 0;  // sum over the compilers; on the clock
};

/// Which configurations are compiled: the `most` best by the model with guessed registers, the usual one among them. Of those
/// that differ in raster and persistent only, which hardly touch registers, the best one. 0: all of the space.
std::vector<Configuration> chosen_to_compile(const latency::Workload& workload, const Space& space,
                                             const device::Device& device, int multiprocessors, int most);

/// @throws Error as estimate_cuda, cuda_architecture, compile_cuda; nothing_to_tune: no_cuda_kernel; runtime_refused: not one
/// variant compiled
CudaRanking rank_cuda(const latency::Workload& workload, const device::Device& device,
                      const CudaCompiler& compiler, const CudaRankOptions& options);

}  // namespace tailor::tune

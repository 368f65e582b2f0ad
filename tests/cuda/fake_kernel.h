/// \file Kernels of cuda_source.h on the fake device: what the fake NVRTC makes of a text, how a launch of it computes, and how
/// long it takes.
///
/// A fake cubin is text: "FAKE CUBIN", the file of the text compiled for the processor, and the text's "#define NAME NUMBER".
/// A block's time follows from its tile: multiply-accumulates at 1024 a clock of 1.98 GHz for all blocks of a multiprocessor, and
/// for each step of the reduction 0.35 us over the stages that hide it.
#pragma once

#include "tests/cuda/fake_device.h"

#include <string>
#include <string_view>

namespace fake {

bool is_fake_cubin(std::string_view image);
/// False if its file is gone or lacks a kernel.
bool load_cubin(std::string_view image, LoadedModule& module);
bool has_kernel(const LoadedModule& module, const std::string& name);

/// The cubin of a text; "" and why in `log` where the processor's compiler refuses it. `log` else says what ptxas would.
std::string make_cubin(const std::string& text, std::string& log);

/// By threads, registers (sums and 40 more) and shared memory of a multiprocessor of compute capability 9.
int blocks_at_a_time(const LoadedModule& module, int threads, int dynamic_shared);

/// Runs it now, on the contents of memory, and takes its time on the stream.
tailor::cuda::Status launch_emulated(const LoadedFunction& function, unsigned grid, unsigned threads,
                                     unsigned shared, tailor::cuda::Stream stream, void** arguments);

}  // namespace fake

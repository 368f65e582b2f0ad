/// \file Texts of cuda_source.h compiled by NVRTC, in processes of their own (runners/cuda, op "compile"): a compiler that
/// crashes or hangs costs one text. Neither a driver nor a GPU is needed.
#pragma once

#include "tailor/tune/trial.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace tailor::tune {

/// What the assembler says of one kernel; bytes of a block's static shared memory, of a thread's stack and spills.
struct CudaKernelFacts {
  std::string name;
  int registers = 0;  // of a thread
  std::int64_t shared_bytes = 0, stack_bytes = 0, spill_stores = 0, spill_loads = 0;
  bool spills() const { return spill_stores > 0 || spill_loads > 0; }
};

/// What became of one text. `outcome`: ok; compile (the compiler's no); invalid (it crashed); timeout.
struct CudaBuild {
  Outcome outcome = Outcome::ok;
  std::string message;  // unless ok
  double seconds = 0;   // of the compiler, on the clock; of one that did not answer: 0
  std::int64_t cubin_bytes = 0;
  std::vector<CudaKernelFacts> kernels;  // if ok: "product" is among them
  /// nullptr: there is none of that name.
  const CudaKernelFacts* find(const std::string& kernel) const;
};

/// A compiler that answers.
struct CudaCompiler {
  std::string command;             // of the runner, for a shell
  std::string version, library;    // "13.0", where it was found
  std::vector<int> architectures;  // 90: sm_90
  double timeout_s = 60;           // for one text
};
/// @param command of a runner; empty: tailor-runner-cuda beside this program
/// @throws Error runtime_missing: no NVRTC; runner_failed: the runner does not start, or answers nonsense
CudaCompiler find_cuda_compiler(const std::string& command = {});

/// Compiles all texts by `jobs` processes at a time; builds in the order of the texts.
/// @param files where the cubins are written, one for each text; none: nowhere
/// @param architecture "sm_90a" @param on_done called with how many are done, never twice at once
/// @throws Error runtime_refused: the compiler does not know the architecture; runtime_missing, bad_value as the runner says
/// so; runner_failed: answers that are none; interrupted within 0.2 s of Ctrl-C, with no process left behind
/// @pre 1 <= jobs <= 32
std::vector<CudaBuild> compile_cuda(const std::vector<std::string>& texts, const std::string& architecture,
                                    const CudaCompiler& compiler, int jobs,
                                    const std::function<void(int)>& on_done = {},
                                    const std::vector<std::filesystem::path>& files = {});

}  // namespace tailor::tune

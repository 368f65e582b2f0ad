/// \file A GPU to tune on, and kernels tried in its shares by a runner process (runners/cuda, op "trials") that may die of them.
#pragma once

#include "tailor/device/device.h"
#include "tailor/latency/workload.h"
#include "tailor/tune/backend.h"
#include "tailor/tune/cuda_compiler.h"
#include "tailor/tune/trial.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace tailor::tune {

/// A device, its driver, and the compiler for it.
struct CudaPlace {
  device::Device device;  // as its driver describes it
  int driver = 0;         // 13000
  int least = 0,
      alignment = 0;   // multiprocessors of the smallest share, and the step; 0: the driver has no shares
  std::string runner;  // shell command
  std::string architecture;  // "sm_90a"
  CudaCompiler compiler;
};
/// Asks the runner for a device. @param number as nvidia-smi counts @param runner command; empty: tailor-runner-cuda beside this
/// program. It must see the files of this one. @throws Error runtime_missing: no driver, device or NVRTC; runner_failed; bad_value: a
/// device without tensor cores that the kernels know
CudaPlace find_cuda(int number = 0, const std::string& runner = {});

/// A share of the device that its driver hands out, nearest to the one that is asked for: a multiple of its step, or all.
/// @throws Error bad_value: not above 0 and at most 1; a part of a device whose driver has no shares
double cuda_share(const CudaPlace& place, double share);
/// Shares of so many multiprocessors that there are at a time.
int cuda_shares_at_once(const CudaPlace& place, int multiprocessors);

/// Kernels in CUDA C++ for a device. Spaces are of a share: as if the device had no more multiprocessors.
Backend cuda_backend(const CudaPlace& place);
/// The object in the first line of a text, which says how it is launched.
std::string cuda_launch_line(const std::string& text);

struct CudaTrial {
  int share = 0;  // its index among those of one split
  std::filesystem::path cubin;
  std::string launch;  // cuda_launch_line of its text
  latency::Workload workload;
};
struct CudaTiming {
  Outcome outcome = Outcome::ok;
  std::vector<double> us;  // of one run; empty unless ok
  std::string message;
  double before_us = 0, after_us = 0;  // of the kernel that never changes, in its share; 0: unknown
  bool alone = false;                  // nothing ran beside it
  int multiprocessors = 0;             // of its share, as the driver provisioned it; 0: unknown
};

/// A runner process, replaced after it died. Movable, not thread-safe.
class CudaBench {
 public:
  /// @param timeout_s longest silence @throws Error as runtime::Runner
  explicit CudaBench(const std::string& command, double timeout_s = 60);
  ~CudaBench();
  CudaBench(CudaBench&&) noexcept;
  CudaBench& operator=(CudaBench&&) noexcept;

  /// Each trial alone and checked, then all at the same time. Where the process dies or falls silent over several of them, each
  /// is tried again alone in a process of its own, so the guilty one has the outcome and the others have times; where it was
  /// killed from outside (signal 9) all are tried again, three times at most.
  /// @param multiprocessors of a share; 0: the whole device, for one trial @pre the shares are different
  /// @returns as many as there are trials, in their order
  /// @throws Error interrupted; runtime_refused: shares that overlap; runtime_missing, runner_failed: no new runner starts, or it
  /// answers nonsense
  std::vector<CudaTiming> run(int multiprocessors, const std::vector<CudaTrial>& trials, int samples,
                              double min_sample_us = 500);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tailor::tune

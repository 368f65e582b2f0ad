/// \file One configuration tried: text, compiler, runner, samples. Whatever goes wrong is an outcome, not an error.
#pragma once

#include "tailor/base/json.h"
#include "tailor/latency/workload.h"
#include "tailor/tune/kernel_source.h"
#include "tailor/tune/trial.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tailor::tune {

struct CompilerOptions {
  std::string command = {};  // empty: $CXX, else c++
  std::string flags = "-O3 -march=native";
  double timeout_s = 30;
  std::vector<int> cores = {};  // where it may run; empty: anywhere
};

/// What the compiler made of a text.
struct Compiled {
  Outcome outcome = Outcome::ok;  // ok, compile or timeout
  std::filesystem::path library;
  double seconds = 0;   // on the clock
  std::string message;  // the compiler's last words if it refused
};
/// Compiles `source` to `library`, in a process of its own with little priority.
/// @throws Error interrupted, runner_failed if no process can be made, write_failed
Compiled compile_kernel(const std::string& source, const std::filesystem::path& library,
                        const CompilerOptions& options = {});
/// "c++ (Debian 12.2.0-14) 12.2.0": the first line of the compiler's own words. @throws Error runtime_missing
std::string compiler_version(const CompilerOptions& options = {});

struct KernelTiming {
  Outcome outcome = Outcome::ok;  // ok, invalid, timeout or wrong_result; of a runner that compiles any
  std::vector<double> us;         // per run
  std::string message;
  std::string kernel = {};  // of a library: its version and what it chose
  double compile_s = 0;     // on the clock, of a runner that compiles
};

/// The shell command of a runner's program that lies beside this one. @throws Error runtime_missing
std::string runner_beside(const std::string& program);
/// One word of a shell command.
std::string shell_quoted(const std::string& word);

/// The runner was killed by somebody else (signal 9): an administrator, or a system short of memory. That says nothing of the
/// kernel.
bool was_killed(const KernelTiming& timing);

/// Runs of a kernel during a window, in the order taken.
struct KernelWindow {
  std::vector<double> us;                // processor time of one run, of the thread that takes longest
  std::vector<double> begin_us, end_us;  // of each sample, on a clock that all runners of a machine share
};

/// A runner process on one core, replaced after each crash. Movable, not thread-safe.
class KernelRunner {
 public:
  /// @param core -1: any @param command shell command; empty: tailor-runner-kernels beside this program
  /// @throws Error runtime_missing (also the runner's word that its device or library is), runner_failed
  explicit KernelRunner(int core = -1, std::string command = {}, double timeout_s = 60);
  ~KernelRunner();
  KernelRunner(KernelRunner&&) noexcept;
  KernelRunner& operator=(KernelRunner&&) noexcept;

  /// What the runner that is there, or was last, says of itself.
  const Json& hello() const;

  /// Checks the kernel against loops in double precision, then times it: `samples` times a run of all `workers` one
  /// after the other, of which the longest counts, repeated until a sample takes `min_sample_us`. Thread CPU clock.
  /// @param shape of a kernel for any shape (ShapelessKernel) @throws Error interrupted; runner_failed if no new runner starts
  KernelTiming time(const std::filesystem::path& library, const latency::Workload& workload, int workers,
                    int samples, double min_sample_us = 1000, const std::vector<std::int64_t>& shape = {});
  /// The same of oneDNN's kernel for the layer, on one thread. Where the library is not there, is of another version or
  /// has nothing for the layer the outcome is invalid, and the message says which.
  /// @param file of the library; empty: as the system finds it @throws as time()
  KernelTiming time_onednn(const std::string& file, const latency::Workload& workload, int samples,
                           double min_sample_us = 1000);
  /// Microseconds of a kernel that never changes; 0 if the runner died over it.
  double sentinel_us();

  /// Keeps a checked kernel under a name, to be run in windows by so many threads at once; `us` is one run of one thread
  /// after the other.
  KernelTiming load(const std::string& name, const std::filesystem::path& library,
                    const latency::Workload& workload, int workers);
  /// The same with work that uses one thing up: "spin", "cache" or "memory".
  KernelTiming load_stressor(const std::string& name, int workers);
  /// Begins to run what was loaded on one thread per core, and returns at once; take_window waits for the end. Nothing
  /// else may be asked in between. @throws Error interrupted; runner_failed: nothing of that name, or the runner died
  void begin_window(const std::string& name, const std::vector<int>& cores, double seconds);
  KernelWindow take_window();

 private:
  struct Process;
  KernelTiming ask_times(Json request);
  std::unique_ptr<Process> process_;
};

}  // namespace tailor::tune

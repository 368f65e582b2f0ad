/// \file Kernels run beside each other on two sets of cores: the bench of interference.h on this machine.
#pragma once

#include "tailor/tune/interference.h"
#include "tailor/tune/kernel_bench.h"
#include "tailor/tune/partition.h"
#include "tailor/tune/records.h"

#include <array>
#include <memory>
#include <string>
#include <vector>

namespace tailor::tune {

/// Two neighbouring sets of cores, the first from the front. @param shares of all `cores`, each above 0
/// @throws Error bad_value: a share that is no whole number of cores, or more than all of them together
std::array<Partition, 2> two_parts(const std::vector<int>& cores, const std::array<double, 2>& shares);

/// A kernel of the matrix: a layer's, or a stressor that uses one thing up.
struct Rival {
  std::string name;  // the workload's text, or "spin", "cache", "memory"
  int layers = 0;    // of the network that are this one; 0: a stressor
  struct Choice {
    std::string configuration;  // "" of a stressor
    bool tuned = false;         // it is the best of records of this machine at this share; else the usual one
    double us = 0;              // one run of one thread's part after the other, on loading
  };
  std::array<Choice, 2> in;  // each part
};
inline constexpr const char* kStressors[] = {"spin", "cache", "memory"};

/// Two runners, one per part, with the same kernels loaded. A kernel has as many threads as its part has cores. The
/// clock is the processor's, of the thread that takes longest, so other programs on the cores do not count, but what
/// they do to caches and memory does.
class CoreBench {
 public:
  /// @param parts disjoint @param runner command; empty: tailor-runner-kernels beside this program
  /// @throws Error runtime_missing, runner_failed
  CoreBench(const std::array<Partition, 2>& parts, const std::array<double, 2>& shares,
            const std::string& runner = {}, const CompilerOptions& compiler = {});
  ~CoreBench();
  CoreBench(CoreBench&&) noexcept;
  CoreBench& operator=(CoreBench&&) noexcept;

  /// Compiles and loads the kernel of a layer in both parts: the best of `records` with its key (without the library's),
  /// else tune::usual_configuration. @pre no_kernel(workload) == ""
  /// @throws Error runner_failed if it does not compile, or computes something else than loops do
  void add(const latency::Workload& workload, int layers, const std::vector<Record>& records);
  void add_stressor(const std::string& name);
  const std::vector<Rival>& rivals() const;

  /// Windows of `seconds`, or of eight times the slowest loaded kernel's run where that is longer. Refers to this.
  InterferenceBench bench(double seconds);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tailor::tune

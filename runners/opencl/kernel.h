/// \file A kernel's text, built for a part of a device, with the memory of one layer.
///
/// The text says itself how it is to be run: its first line is "// tailor " and a JSON object with `packed` and `scratch`
/// (floats that it wants), `prepare` (launches that pack the weights, once) and `run` (launches of one run), each
/// {"kernel": name, "global": [1 to 3 sizes], "local": [as many]}; without `local` the driver chooses. Every kernel has the
/// same arguments: input, weights, packed, bias, residual, scratch, out.
#pragma once

#include "runners/kernels/layer.h"
#include "runners/opencl/part.h"

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::opencl {

struct Launch {
  std::string kernel;
  std::vector<std::size_t> global, local;  // local: empty, or as long as global
};
struct LaunchPlan {
  std::size_t packed = 0, scratch = 0;  // floats, at most 2^28 each
  std::vector<Launch> prepare, run;     // at most 16 each
};
/// Of the text's first line. @throws Error bad_json: no such line, sizes that are none or that make no sense
LaunchPlan launch_plan(std::string_view text, const std::string& place);

/// A kernel that could not be made or run. `outcome`: "compile", "device_limit" or "invalid"; what(): why, with the
/// compiler's words.
class Refused : public std::runtime_error {
 public:
  Refused(std::string outcome, const std::string& why)
      : std::runtime_error(why), outcome_(std::move(outcome)) {}
  const std::string& outcome() const { return outcome_; }

 private:
  std::string outcome_;
};

/// Neither copied nor moved; `part` must outlive it.
class Kernel {
 public:
  /// Builds the text, copies the layer's operands, packs the weights. @throws Refused; Error as launch_plan
  Kernel(Part& part, const kernels::Layer& layer, const std::string& text, const std::string& place);
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  /// Seconds until the first run was over, on the clock: drivers compile what is left when a kernel is first launched.
  double compile_s() const { return compile_s_; }
  /// What one run writes over a result of NaN. @throws Refused
  std::vector<float> result();
  /// Microseconds of one run, the mean of `repeats`: on a processor the time of the thread that takes longest, else the
  /// device's clock from begin to end of each launch. @throws Refused
  double time_us(int repeats);
  /// Runs `repeats` times and waits. @throws Refused
  void run(int repeats);

 private:
  struct Step {
    KernelId kernel = nullptr;
    Launch launch;
  };
  void build(const std::string& text);
  MemoryId memory(const std::vector<float>& values, std::size_t floats);
  std::vector<Step> steps(const std::vector<Launch>& launches);
  void enqueue(const Step& step, EventId* event);
  double device_us(int repeats);
  void release();

  Part& part_;
  const Library& library_;
  std::size_t outputs_;
  double compile_s_ = 0;
  ProgramId program_ = nullptr;
  std::array<MemoryId, 7> memory_ = {};  // in the order of the arguments
  std::vector<Step> prepare_, run_;
};

}  // namespace tailor::opencl

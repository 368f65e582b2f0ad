/// \file One kernel of `tailor tune` on a share of the device: its cubin, the memory of one layer, its launches.
///
/// How it is launched says the first line of its text (tailor/tune/cuda_source.h): `workspace` (floats), `persistent`, and
/// `run`, one or two launches {"kernel", "grid": [n], "block": [n], "shared": bytes}. product has the arguments (input, weights,
/// bias, residual, partial, out), finish (partial, bias, residual, out). Activations lie pixel by pixel, weights as
/// [kh][kw][ic][oc] ([k][n] of a product); all are f16 but the bias and the sums of parts, which are f32.
#pragma once

#include "runners/cuda/gpu.h"
#include "runners/kernels/layer.h"
#include "tailor/base/json.h"

#include <cstddef>
#include <string>
#include <vector>

namespace tailor::cuda {

struct KernelLaunchPlan {
  struct Launch {
    std::string kernel;  // "product" or "finish"
    unsigned grid = 1, block = 32;
    std::size_t shared = 0;  // bytes to ask for
  };
  std::size_t workspace = 0;  // floats
  bool persistent = false;    // the grid of product is cut to what the share holds at a time
  std::vector<Launch> run;
};
/// @throws Error bad_json: another form, sizes that no kernel has
KernelLaunchPlan kernel_launch_plan(const Json& json, const std::string& place);

/// A kernel that cannot be run here. `outcome`: "device_limit" (more than a multiprocessor or the memory has) or "invalid" (the
/// driver takes it for no program of this device); what(): why.
class CannotRun : public std::exception {
 public:
  CannotRun(std::string outcome, std::string why) : outcome_(std::move(outcome)), why_(std::move(why)) {}
  const char* what() const noexcept override { return why_.c_str(); }
  const std::string& outcome() const { return outcome_; }

 private:
  std::string outcome_, why_;
};

/// A loaded module with its operands on the device; it outlives what it enqueues. Neither copied nor moved.
class TunedKernel {
 public:
  /// @param cubin the bytes of the file @param multiprocessors of the share that it will run in
  /// @pre layer.workload is in f16 @throws CannotRun; CallFailed
  TunedKernel(Gpu& gpu, const kernels::Layer& layer, const std::string& cubin, const KernelLaunchPlan& plan,
              int multiprocessors);
  ~TunedKernel();
  TunedKernel(const TunedKernel&) = delete;
  TunedKernel& operator=(const TunedKernel&) = delete;

  /// One run; not waited for. @throws CallFailed
  void enqueue(Stream stream) const;
  /// Of `product`: as planned, or cut to what the share holds at a time.
  unsigned blocks() const { return steps_.front().launch.grid; }
  /// Calls of the driver that one run is.
  std::size_t launches() const { return steps_.size(); }
  /// Fills the result with NaN; runs; waits. Then the largest error of the elements that the layer knows, in units of what
  /// rounding to f16 and the order of the sums may make: |expected| / 1024 + 1e-5 of the sum of absolute products. Up to 1 is right;
  /// 1e30 where one is no number. @throws CallFailed
  double error(Stream stream, const kernels::Layer& layer);

 private:
  struct Step {
    Function function = nullptr;
    KernelLaunchPlan::Launch launch;
    std::vector<Address> arguments;
  };
  void add_step(const KernelLaunchPlan::Launch& launch, bool persistent, int multiprocessors);
  void load(const std::string& cubin);
  Buffer upload(const void* from, std::size_t bytes);

  Gpu& gpu_;
  Module module_ = nullptr;
  Buffer input_, weights_, bias_, residual_, partial_, out_;
  std::vector<Step> steps_;
};

}  // namespace tailor::cuda

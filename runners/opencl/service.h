/// \file The requests of the OpenCL runner (docs/runner-protocol.md, "OpenCL").
#pragma once

#include "runners/kernels/recent_layers.h"
#include "runners/opencl/kernel.h"
#include "tailor/base/json.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tailor::opencl {

struct ServiceOptions {
  std::string library;       // OpenCL's loader; "": libOpenCL.so.1 as the system finds it
  int device = 0;            // in the order of the loader
  std::string cache;         // folder where PoCL may write; "": its own
  int first = 0, units = 0;  // compute units that are this runner's own; 0: all behind the first
};

/// Loads OpenCL when a request first needs it. Not thread-safe.
class Service {
 public:
  explicit Service(ServiceOptions options) : options_(std::move(options)) {}
  /// The members of an answer. @throws Error, serving::Failure
  Json answer(const Json& request);

 private:
  void open();
  Part& part(int units);
  Kernel& kernel(int units, const kernels::Layer& layer, const std::string& file);
  Json hello();
  Json sentinel();
  Json time(const Json& request);
  Json partitions(const Json& request);

  ServiceOptions options_;
  std::unique_ptr<Library> library_;
  Device device_;
  std::size_t devices_ = 0;
  std::map<int, std::unique_ptr<Part>> parts_;  // by compute units
  struct Made {
    int units = 0;
    std::string workload, text;
    std::unique_ptr<Kernel> kernel;
  };
  std::vector<Made> made_;  // the one asked for last comes first
  kernels::RecentLayers layers_;
  std::optional<kernels::Layer> sentinel_layer_;
  std::unique_ptr<Kernel> sentinel_;
};

}  // namespace tailor::opencl

/// \file The question that every planner asks: how long does this layer take there?
#pragma once

#include "tailor/base/units.h"
#include "tailor/latency/workload.h"

#include <span>
#include <string>
#include <vector>

namespace tailor::latency {

/// A latency and what it is worth. lo..hi is the interval in which repeated measurements fall (quartiles of
/// the samples) or the model's error; equal to value if nothing is known.
struct Estimate {
  Microseconds value, lo, hi;
  How how = How::measured;
  std::string kernel;  // what the runtime ran or would run, if known
};

/// What a number belongs to. Profiles of different contexts are never mixed.
struct Context {
  std::string runtime;    // "onnxruntime"
  std::string version;    // "1.30.0"
  std::string isa;        // "avx512_core_bf16" ...
  std::string processor;  // model name
  int threads = 1;
  std::string cache_mode = "evicted";  // "warm", "evicted", "in place"
  friend bool operator==(const Context&, const Context&) = default;
};

/// One batched call: an implementation may measure, look up or model, and may do so in any order.
class LatencyOracle {
 public:
  virtual ~LatencyOracle() = default;
  /// One estimate per workload, in their order. @throws Error runner_failed, not_trustworthy, unknown_name
  /// (no such entry)
  virtual std::vector<Estimate> evaluate(std::span<const Workload> workloads) = 0;
  virtual Context context() const = 0;
};

}  // namespace tailor::latency

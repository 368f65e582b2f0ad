/// \file Kernels of `tailor tune` tried in shares of the device: each alone and checked, then all at the same time.
///
/// Without a daemon (NVIDIA's MPS) processes do not run side by side on one GPU, so the shares are green contexts of this one
/// process: one split, one stream each, and all kernels of a request enqueued before
/// any is waited for. A kernel that faults loses the context, and with it this process: who asks blames by asking again.
#pragma once

#include "runners/cuda/partition.h"
#include "runners/kernels/recent_layers.h"
#include "tailor/base/json.h"

#include <functional>
#include <memory>

namespace tailor::cuda {

/// Keeps the split between requests for as long as they ask for shares of the same size, and the layers' operands.
class TrialBench {
 public:
  explicit TrialBench(Gpu& gpu);

  /// Members of the answer to "trials" (docs/runner-protocol.md). @param progress told now and then, 0 to 1
  /// @throws Error bad_json, bad_value: a request that makes no sense; file_missing: a cubin; runtime_missing: no green
  /// contexts; runtime_refused: shares of one split overlap; CallFailed
  Json run(const Json& request, const std::function<void(double)>& progress);

 private:
  struct Shares;
  void split(int least);

  Gpu& gpu_;
  kernels::RecentLayers layers_;
  Buffer notes_;  // of the probe kernel, which nobody reads
  int least_ = -1;
  std::unique_ptr<Partitions> partitions_;  // none: the whole device
};

}  // namespace tailor::cuda

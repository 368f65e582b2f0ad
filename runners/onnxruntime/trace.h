/// \file The runtime's own profiler: runs under it, its trace, and what it costs.
#pragma once

#include "runners/onnxruntime/session.h"
#include "runners/onnxruntime/timing.h"
#include "tailor/base/file.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace tailor::ort {

/// One run between two looks at the clocks.
struct Turn {
  double wall = 0, cpu = 0;
  /// With one thread: the run was not preempted, so its wall time is its CPU time.
  bool clean(int threads) const { return threads > 1 || wall <= cpu * 1.03 + 5; }
};
Turn timed_run(Prepared& model);

struct NodeEvent {
  std::string name, op, shapes;
  double start = 0, us = 0;
};
struct TracedRun {
  std::vector<NodeEvent> nodes;  // in the order of their ends; bodies of control flow are part of their node
  double us = 0;                 // the whole run
};

/// A model whose runs are traced. The trace can be read once; afterwards the model must not be run any more.
class TracedModel {
 public:
  /// @param node_overhead_us subtracted from every node's time
  TracedModel(const Api& api, const std::filesystem::path& path, int threads, double node_overhead_us);

  std::shared_ptr<const LoadedModel> model() const { return model_; }
  std::vector<TracedRun> read_trace() const;

 private:
  std::unique_ptr<TemporaryFolder> folder_;
  std::shared_ptr<const LoadedModel> model_;
  double overhead_;
};

/// What profiling costs, found by timing two chains of trivial nodes with and without profiler, in turns.
struct ProfilerCost {
  double node_us =
      0;  // added to the time of a node that it reports, less what it leaves out between nodes; here, where
          // all stays in the caches. Sums of nodes less this are comparable with whole runs.
  double inside_share =
      0;  // of what it adds to a whole run, that part; 0..1. In a network, whose weights and
          // activations push the profiler out of the caches, the cost is several times
          // as large, but it is shared out alike.
};
ProfilerCost profiler_cost(const Api& api);

}  // namespace tailor::ort

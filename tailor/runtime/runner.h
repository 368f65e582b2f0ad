/// \file The runner protocol: a device is a program that answers JSON lines on stdin and stdout.
///
/// One request is one line {"op": ..., "id": n, ...}; one answer is one line {"id": n, "ok": true, ...} or
/// {"id": n, "ok": false, "kind": "refused|usage|device|memory|internal", "message": "..."};
/// docs/runner-protocol.md is the specification. A crash of a kernel kills a runner and not the job: the
/// caller gets Error runner_failed.
#pragma once

#include "tailor/base/json.h"
#include "tailor/graph/model.h"
#include "tailor/latency/oracle.h"
#include "tailor/latency/workload.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tailor::runtime {

using NamedTensors = std::vector<std::pair<std::string, graph::Tensor>>;

/// What a runner says it is.
struct Hello {
  std::string runtime, version, isa, processor;
  std::string library;  // file of the runtime
  int cores = 1;
  std::string clock;                         // of one-thread work: "thread cpu" or "wall"
  bool workloads = false, profiles = false;  // what it can do besides running models
};

struct RunnerOptions {
  std::string command = {};  // shell command line; empty: `program` beside this program
  std::string program = "tailor-runner-onnxruntime", arguments = {};
  std::string library = {};  // --ort-library; empty: TAILOR_ORT_LIBRARY, the build's own copy, the system's
  double start_timeout_s = 30;
  /// Longest silence during a call; the ONNX Runtime runner tells its progress every second. Loading a large
  /// model is silent.
  double silence_timeout_s = 300;
  /// Called with 0..1 while a call runs, if set.
  std::function<void(double)> on_progress = {};
};

/// One thing to be timed: a model file with the shapes of its inputs (random values in it), a workload, or a network as
/// a list of layers, for runners that read no models.
struct Job {
  std::filesystem::path model = {};                               // empty: `workload` is timed
  std::vector<std::pair<std::string, graph::Shape>> inputs = {};  // free dimensions resolved
  std::optional<latency::Workload> workload = {};
  std::string network = {};  // if not empty: JSON text, timed in the place of `model`
};

struct TimingOptions {
  int threads = 1;
  int rounds = 15;              // every job once a round, in a fresh random order
  double min_sample_us = 1500;  // a sample repeats the job until it lasts this long
  bool evict =
      false;  // caches evicted before each run of a sample (2x L2 per thread); then every run is timed alone
  std::uint64_t seed = 0;
  double time_limit_s = 0;  // 0: none; else rounds end early, and the answer says how many were done
};

/// Samples of one job: microseconds per run, one per round, in the order taken; sample i of all jobs was
/// taken in round i.
struct Samples {
  std::vector<double> us;
  std::string clock;   // "thread cpu" or "wall"
  std::string kernel;  // what ran, if the runtime says so
};

/// One node of a model as the runtime executed it.
struct NodeTime {
  std::string name, op;      // as the runtime calls them after its own fusions
  std::vector<double> us;    // per run
  std::string input_shapes;  // JSON text of the runtime, may be empty
};
/// A profile of a whole network: nodes timed in place, and the whole timed in the same minute, profiling off.
struct InPlaceProfile {
  std::vector<NodeTime> nodes;
  std::vector<double> run_us;         // whole run under the profiler
  std::vector<double> unprofiled_us;  // whole run without; the i-th was taken beside the i-th of run_us
  double inside_share =
      0;  // of what profiling adds to a run, the part that the times of the nodes contain; 0..1
};

/// A live runner process. Movable; the destructor ends it. Not thread-safe. After runner_failed or
/// interrupted the process is gone, and every later call throws runner_failed.
class Runner {
 public:
  /// @throws Error runner_failed (does not start, dies, answers nonsense or not in time), runtime_missing
  /// (the program
  ///         or the runtime's library is not there)
  explicit Runner(const RunnerOptions& options = {});
  ~Runner();
  Runner(Runner&&) noexcept;
  Runner& operator=(Runner&&) noexcept;

  const Hello& hello() const;
  const RunnerOptions& options() const;  // with the command that was run
  latency::Context context(const TimingOptions& options) const;

  /// One Samples per job. A job that the runtime refuses fails the whole call. Ctrl-C ends it (Error
  /// interrupted).
  /// @throws Error runner_failed, runtime_refused; file_missing, shape_unknown, bad_shape, unknown_name for a
  /// job that
  ///         makes no sense
  std::vector<Samples> time(std::span<const Job> jobs, const TimingOptions& options);

  /// In-place profile. @throws as time()
  InPlaceProfile profile(const Job& job, const TimingOptions& options);

  /// A request that only some kinds of runners know: "op" and its members; the answer with all of its own.
  /// @throws as time()
  Json ask(const Json& request);

  /// Runs a model on tensors. The leading dimension of the inputs is the number of samples; they go through
  /// in chunks of `chunk` (or of the model's own fixed batch), and the outputs are joined along axis 0.
  /// @param outputs names wanted; empty: all @param once the model will not be asked for again
  /// @param exact eight-bit products whose sums never saturate, for comparing models on processors without VNNI
  /// @throws as time(), dataset_mismatch if the inputs do not fit the model or the outputs have no batch axis
  /// to be
  ///         joined along
  NamedTensors run(const std::filesystem::path& model, const NamedTensors& inputs,
                   const std::vector<std::string>& outputs = {}, int chunk = 64, int threads = 1,
                   bool once = false, bool exact = false);

 private:
  struct Process;
  std::unique_ptr<Process> process_;
};

}  // namespace tailor::runtime

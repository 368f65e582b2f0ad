// Request -> TrialText; load_and_check: one after the other, alone; time_together: all at once, by Rounds behind a gate, with the
// sentinel, a probe of a fixed number of clocks in each used share, before and after.
#include "runners/cuda/trials.h"

#include "runners/cuda/stream_clock.h"
#include "runners/cuda/tuned_kernel.h"
#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace tailor::cuda {
namespace {

constexpr std::size_t kMostTrials = 64,
                      kMostLaunches = 900;                 // on their way at a time: queues hold about 1000
constexpr std::int64_t kMostMacs = std::int64_t{1} << 28;  // that loops compute of a layer
constexpr std::uint64_t kSentinelCycles = 400000;
constexpr double kEnqueueUs = 5;  // of the processor, for one launch, at most

struct TrialText {
  std::size_t share = 0;
  std::string cubin, workload;  // cubin: file
  KernelLaunchPlan plan;
};

struct Request {
  int least = 0, samples = 5;
  double min_sample_us = 500;
  std::vector<TrialText> trials;
};

// What has become of a trial.
struct Tried {
  std::string outcome = "ok", message;
  double error = 0, once_us = 0;
  std::size_t repeats = 1;
  unsigned blocks = 0;
  std::vector<double> us;
  std::unique_ptr<TunedKernel> kernel;  // while it is right
};

std::int64_t in_range(const Json& json, const char* key, std::int64_t least, std::int64_t most) {
  const std::int64_t value = integer(json, key, "request");
  if (value < least || value > most)
    throw Error(Code::bad_value, fmt::format("\"{}\" must be {} to {}, not {}", key, least, most, value),
                "request");
  return value;
}

TrialText trial_from(const Json& json) {
  TrialText trial;
  trial.share = static_cast<std::size_t>(in_range(json, "share", 0, kMostTrials - 1));
  trial.cubin = text(json, "cubin", "trial");
  trial.plan = kernel_launch_plan(member(json, "launch", "trial"), "launch");
  const latency::Workload w = latency::parse_workload(text(json, "workload", "trial"));
  if (w.type != graph::DataType::f16)
    throw Error(Code::bad_value, "only layers in f16 are tried", latency::to_string(w));
  trial.workload = latency::to_string(w);
  return trial;
}

Request request_from(const Json& json) {
  Request request;
  request.least = static_cast<int>(in_range(json, "least", 0, 4096));
  request.samples = static_cast<int>(in_range(json, "samples", 1, 1000));
  request.min_sample_us = number(json, "min_sample_us", "request");
  if (!(request.min_sample_us >= 1 && request.min_sample_us <= 1e6))
    throw Error(Code::bad_value, "\"min_sample_us\" must be 1 to 1000000", "request");
  const Json& trials = member(json, "trials", "request");
  if (!trials.is_array() || trials.empty() || trials.size() > kMostTrials)
    throw Error(Code::bad_value, fmt::format("\"trials\" must be 1 to {}", kMostTrials), "request");
  std::set<std::size_t> taken;
  for (const Json& trial : trials) {
    request.trials.push_back(trial_from(trial));
    if (!taken.insert(request.trials.back().share).second)
      throw Error(Code::bad_value, "two trials in one share", "request");
  }
  return request;
}

// Several streams at once.
class Rounds {
 public:
  Rounds(Gpu& gpu, Address notes, std::vector<Stream> streams)
      : gpu_(gpu), notes_(notes), streams_(std::move(streams)), clock_(gpu, streams_.size()) {}

  // Microseconds of the probe on each stream, all at once.
  std::vector<double> sentinel() {
    return timed(0, [&](std::size_t i) { enqueue_spin(gpu_, notes_, 1, kSentinelCycles, streams_[i]); });
  }
  // Microseconds of so many runs of each kernel, all at once.
  std::vector<double> run(const std::vector<Tried*>& tried) {
    std::size_t launches = 0;
    for (const Tried* one : tried) launches += one->repeats * one->kernel->launches() + 2;
    return timed(launches, [&](std::size_t i) {
      for (std::size_t n = 0; n < tried[i]->repeats; ++n) tried[i]->kernel->enqueue(streams_[i]);
    });
  }

 private:
  // A probe in front of each stream's work holds it back until the processor has enqueued all of it: else a share would wait
  // for the launches of the others, and its time would be theirs.
  template <class Enqueue>
  std::vector<double> timed(std::size_t launches, const Enqueue& enqueue) {
    constexpr double kFastClock = 2000;  // per microsecond, where the driver does not say
    const int khz = gpu_.facts().clock_khz;
    const double clocks_per_us = khz > 0 ? khz * 1e-3 : kFastClock;
    const auto cycles =
        static_cast<std::uint64_t>(kEnqueueUs * static_cast<double>(launches) * clocks_per_us);
    if (launches > 0)
      for (Stream stream : streams_) enqueue_spin(gpu_, notes_, 1, cycles, stream);
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      clock_.mark(i, false, streams_[i]);
      enqueue(i);
      clock_.mark(i, true, streams_[i]);
    }
    gpu_.synchronize();
    std::vector<double> us;
    for (std::size_t i = 0; i < streams_.size(); ++i) us.push_back(clock_.us(i));
    return us;
  }

  Gpu& gpu_;
  Address notes_;
  std::vector<Stream> streams_;
  StreamClock clock_;
};

// As many runs that all shares are busy for about the same time, and no more than fit the queues.
void choose_repeats(const std::vector<Tried*>& tried, double min_sample_us) {
  double window = min_sample_us;
  for (const Tried* one : tried) window = std::max(window, one->once_us);
  const std::size_t most = std::max<std::size_t>(1, kMostLaunches / tried.size());
  for (Tried* one : tried) {
    const double wanted = std::ceil(window / std::max(one->once_us, 0.1));
    one->repeats = std::clamp<std::size_t>(static_cast<std::size_t>(wanted), 1,
                                           std::max<std::size_t>(1, most / one->kernel->launches()));
  }
}

std::string bytes_of(const std::string& file) {
  const Bytes bytes = map_file(file);
  return std::string(bytes.view());
}

Json trial_json(const Tried& tried) {
  return {{"outcome", tried.outcome}, {"us", tried.us},         {"error", tried.error},
          {"repeats", tried.repeats}, {"blocks", tried.blocks}, {"message", tried.message}};
}

// The second of two runs, because the first one loads.
double once_us(Gpu& gpu, const TunedKernel& kernel, Stream stream) {
  StreamClock clock(gpu, 1);
  clock.mark(0, false, stream);
  kernel.enqueue(stream);
  clock.mark(0, true, stream);
  gpu.synchronize();
  return clock.us(0);
}

// Loaded, run alone and compared with the loops.
Tried load_and_check(Gpu& gpu, const TrialText& text, const kernels::Layer& layer, int multiprocessors,
                     Stream stream) {
  Tried tried;
  try {
    tried.kernel =
        std::make_unique<TunedKernel>(gpu, layer, bytes_of(text.cubin), text.plan, multiprocessors);
    tried.blocks = tried.kernel->blocks();
    tried.error = tried.kernel->error(stream, layer);
    if (tried.error <= 1) {
      tried.once_us = once_us(gpu, *tried.kernel, stream);
      return tried;
    }
    tried.outcome = "wrong_result";
    tried.message = fmt::format("an error of {:.3g} times what rounding may make", tried.error);
  } catch (const CannotRun& refused) {
    tried.outcome = refused.outcome(), tried.message = refused.what();
  }
  tried.kernel.reset();
  return tried;
}

// Samples of the trials that are `live`, all at once, the i-th on streams[i]. Returns what the sentinels said.
Json time_together(Gpu& gpu, Address notes, const Request& request, std::vector<Stream> streams,
                   const std::vector<std::size_t>& live, std::vector<Tried>& all,
                   const std::function<void(double)>& progress) {
  Json sentinels = Json::array();
  if (live.empty()) return sentinels;
  std::vector<Tried*> tried;
  for (std::size_t i : live) tried.push_back(&all[i]);
  Rounds rounds(gpu, notes, std::move(streams));
  choose_repeats(tried, request.min_sample_us);
  // Caches and clocks are then as they will be, and times are without what a launch takes by itself.
  const std::vector<double> warm = rounds.run(tried);
  for (std::size_t i = 0; i < warm.size(); ++i)
    tried[i]->once_us = warm[i] / static_cast<double>(tried[i]->repeats);
  choose_repeats(tried, request.min_sample_us);
  const std::vector<double> before = rounds.sentinel();
  for (int sample = 0; sample < request.samples; ++sample) {
    const std::vector<double> us = rounds.run(tried);
    for (std::size_t i = 0; i < us.size(); ++i)
      tried[i]->us.push_back(us[i] / static_cast<double>(tried[i]->repeats));
    progress(0.5 + 0.5 * (sample + 1) / request.samples);
  }
  const std::vector<double> after = rounds.sentinel();
  for (std::size_t i = 0; i < live.size(); ++i)
    sentinels.push_back(
        {{"share", request.trials[live[i]].share}, {"before_us", before[i]}, {"after_us", after[i]}});
  return sentinels;
}

}  // namespace

// The whole device is one share, on the device's own stream.
struct TrialBench::Shares {
  const Partitions* parts;
  Gpu& gpu;
  std::size_t size() const { return parts ? parts->size() : 1; }
  int multiprocessors(std::size_t i) const {
    return parts ? parts->multiprocessors(i) : gpu.facts().multiprocessors;
  }
  Stream stream(std::size_t i) const { return parts ? parts->stream(i) : gpu.stream(); }
  Json to_json() const {
    Json list = Json::array();
    for (std::size_t i = 0; i < size(); ++i)
      list.push_back({{"multiprocessors", multiprocessors(i)}, {"remainder", parts && parts->remainder(i)}});
    return list;
  }
};

TrialBench::TrialBench(Gpu& gpu) : gpu_(gpu), layers_(kMostMacs), notes_(gpu, 4 * sizeof(std::uint64_t)) {}

void TrialBench::split(int least) {
  if (least == least_) return;
  least_ = -1;
  partitions_.reset();
  if (least > 0) {
    partitions_ = std::make_unique<Partitions>(gpu_, least);
    if (const int shared = multiprocessors_shared(gpu_, *partitions_); shared > 0) {
      partitions_.reset();
      throw Error(Code::runtime_refused,
                  fmt::format("shares of one split overlap: {} multiprocessors are in several", shared),
                  gpu_.facts().name, "nothing is timed beside each other there; tune with --share 100");
    }
  }
  least_ = least;
}

Json TrialBench::run(const Json& json, const std::function<void(double)>& progress) {
  const Request request = request_from(json);
  split(request.least);
  const Shares shares{partitions_.get(), gpu_};
  std::vector<Tried> all;
  std::vector<std::size_t> live;
  for (const TrialText& trial : request.trials) {
    if (trial.share >= shares.size())
      throw Error(Code::bad_value, fmt::format("there is no share {}, only {}", trial.share, shares.size()),
                  "request");
    all.push_back(load_and_check(gpu_, trial, layers_.of(trial.workload), shares.multiprocessors(trial.share),
                                 shares.stream(trial.share)));
    if (all.back().kernel) live.push_back(all.size() - 1);
    progress(0.5 * static_cast<double>(all.size()) / static_cast<double>(request.trials.size()));
  }
  std::vector<Stream> streams;
  for (std::size_t i : live) streams.push_back(shares.stream(request.trials[i].share));
  Json sentinels = time_together(gpu_, notes_.address(), request, std::move(streams), live, all, progress);
  Json trials = Json::array();
  for (const Tried& tried : all) trials.push_back(trial_json(tried));
  return {{"shares", shares.to_json()}, {"trials", std::move(trials)}, {"sentinel", std::move(sentinels)}};
}

}  // namespace tailor::cuda

// Jobs are prepared (all of them: scratch memory must not move once a graph knows where it lies), run once, traced,
// then calibrated; only then do the rounds begin. Layers share two stretches of memory, one that is read and one that is
// written, through which each run's operands move on.
#include "runners/cuda/timing.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

namespace tailor::cuda {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr int kMostRuns = 512, kFirstRuns = 4;

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

template <class T>
void read_number(const Json& request, const char* key, T& value, double most) {
  if (!request.contains(key)) return;
  const double found = number(request, key, "request");
  if (!(found >= 0) || found > most || (std::is_integral_v<T> && found != std::floor(found)))
    throw Error(Code::bad_value, fmt::format("\"{}\" must be in 0..{}, not {}", key, most, found), "request");
  value = static_cast<T>(found);
}

// Memory that the operands of single layers lie in.
struct Arena {
  Arena(Gpu& gpu, std::size_t read_bytes, std::size_t written_bytes, std::uint64_t seed)
      : read(gpu, read_bytes), written(gpu, written_bytes) {
    fill(gpu, read, seed);
    fill(gpu, written, seed + 1);
  }
  Buffer read, written;
};

struct Needs {
  std::size_t read = 0, written = 0;
};
Needs needs_of(const OperandSizes& s) {
  return {aligned(s.x) + aligned(s.weights) + aligned(s.bias) + aligned(s.residual), aligned(s.y)};
}

// How often operands can move on before they come back.
std::size_t windows(std::size_t arena, std::size_t need) {
  return need == 0 ? 1 : std::max<std::size_t>(1, arena / need);
}

Operands operands_at(const Arena& arena, const OperandSizes& sizes, std::size_t turn) {
  const Needs needs = needs_of(sizes);
  Address at = arena.read.address() + turn % windows(arena.read.size(), needs.read) * needs.read;
  auto next = [&](std::size_t bytes) {
    const Address here = bytes == 0 ? 0 : at;
    at += aligned(bytes);
    return here;
  };
  Operands o;
  o.x = next(sizes.x), o.weights = next(sizes.weights), o.bias = next(sizes.bias),
  o.residual = next(sizes.residual);
  o.y = arena.written.address() + turn % windows(arena.written.size(), needs.written) * needs.written;
  return o;
}

// One job between its preparation and its samples.
class Sampler {
 public:
  Sampler(Gpu& gpu, const Job& job, const Measurement& how) : gpu_(gpu), how_(how) {
    if (const Layer* layer = std::get_if<Layer>(&job)) {
      operation_ = prepare(gpu, *layer);
      samples_.choice = operation_.library + (operation_.choice.empty() ? "" : ": " + operation_.choice);
    } else {
      network_ = std::make_unique<Network>(gpu, std::get<NetworkText>(job), how.seed);
    }
  }

  std::size_t workspace() const { return network_ ? network_->workspace() : operation_.workspace; }
  Needs needs() const { return network_ ? Needs{} : needs_of(operation_.sizes); }
  void use(const Arena& arena) { arena_ = &arena; }

  void warm_up(bool traced) {
    enqueue();
    gpu_.synchronize();
    if (traced) samples_.kernels = trace(gpu_, [&] { enqueue(); });
    calibrate();
  }
  void sample() {
    const double us = gpu_.timed_us([&] {
      for (int i = 0; i < launches_; ++i) graph_->launch();
    });
    samples_.us.push_back(std::max(us / (static_cast<double>(runs_) * launches_), 1e-3));
  }
  JobSamples finish() {
    samples_.runs = runs_ * launches_;
    return std::move(samples_);
  }

 private:
  void enqueue() {
    if (network_) return network_->enqueue();
    operation_.enqueue(operands_at(*arena_, operation_.sizes, how_.evict ? turn_++ : 0));
  }
  CapturedGraph captured(int runs) {
    return gpu_.capture([&] {
      for (int i = 0; i < runs; ++i) enqueue();
    });
  }
  // A sample must last `min_sample_us`; a graph holds at most kMostRuns runs, and of a network about as many kernels.
  void calibrate() {
    graph_ = std::make_unique<CapturedGraph>(captured(kFirstRuns));
    double us = 0;
    for (int i = 0; i < 3; ++i) us = gpu_.timed_us([&] { graph_->launch(); }) / kFirstRuns;
    const double wanted = std::ceil(how_.min_sample_us / std::max(us, 0.1));
    const int most = network_ ? std::max(1, kMostRuns / static_cast<int>(network_->layers())) : kMostRuns;
    runs_ = static_cast<int>(std::clamp(wanted, 1.0, static_cast<double>(most)));
    launches_ = static_cast<int>(std::clamp(std::ceil(wanted / runs_), 1.0, 10000.0));
    graph_ = std::make_unique<CapturedGraph>(captured(runs_));
    gpu_.timed_us([&] { graph_->launch(); });
  }

  Gpu& gpu_;
  const Measurement& how_;
  Operation operation_;
  std::unique_ptr<Network> network_;
  const Arena* arena_ = nullptr;
  std::unique_ptr<CapturedGraph> graph_;
  int runs_ = 1, launches_ = 1;
  std::size_t turn_ = 0;
  JobSamples samples_;
};

Arena arena_for(Gpu& gpu, const std::vector<Sampler>& samplers, const Measurement& how) {
  const std::size_t rotation = how.evict ? rotation_bytes(gpu.facts()) : 0;
  Needs most;
  for (const Sampler& sampler : samplers) {
    most.read = std::max(most.read, sampler.needs().read);
    most.written = std::max(most.written, sampler.needs().written);
  }
  // What does not divide the stretch leaves a rest unused: a second one makes up for it.
  auto size = [&](std::size_t need) {
    return need == 0 ? 0 : need + std::max(rotation, how.evict ? need : 0);
  };
  return {gpu, size(most.read), size(most.written), how.seed};
}

void run_rounds(std::vector<Sampler>& samplers, const Measurement& how, const Progress& progress) {
  std::vector<std::size_t> order(samplers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  Random random(how.seed);
  const auto start = std::chrono::steady_clock::now();
  for (int round = 0; round < how.rounds; ++round) {
    random.shuffle(order);
    for (std::size_t i = 0; i < order.size(); ++i) {
      samplers[order[i]].sample();
      progress((round + static_cast<double>(i) / static_cast<double>(order.size())) / how.rounds);
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    if (how.time_limit_s > 0 && spent.count() > how.time_limit_s) break;
  }
}

// Traced kernels handed out to the layers by how many each launches.
void hand_out(InPlace& all, const std::vector<std::size_t>& counts,
              const std::vector<KernelLaunch>& kernels) {
  if (std::accumulate(counts.begin(), counts.end(), std::size_t{0}) != kernels.size())
    throw Error(Code::runner_failed, "a traced run has another number of kernels than its layers", "profile");
  auto next = kernels.begin();
  double sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto end = next + static_cast<std::ptrdiff_t>(counts[i]);
    double us = 0;
    for (auto k = next; k != end; ++k) us += k->us;
    if (all.layers[i].us.empty()) all.layers[i].kernels.assign(next, end);
    all.layers[i].us.push_back(us);
    sum += us, next = end;
  }
  all.traced_us.push_back(sum);
}

}  // namespace

Measurement parse_measurement(const Json& request) {
  Measurement how;
  int threads = 1;
  read_number(request, "threads", threads, 1024);
  read_number(request, "rounds", how.rounds, 1000000);
  read_number(request, "min_sample_us", how.min_sample_us, 1e9);
  read_number(request, "seed", how.seed, 9007199254740992.0);
  read_number(request, "time_limit_s", how.time_limit_s, 1e7);
  if (request.contains("evict")) how.evict = boolean(request, "evict", "request");
  if (threads > 1) throw Error(Code::bad_value, "a GPU is measured with one thread", "--threads");
  how.rounds = std::max(1, how.rounds);
  return how;
}

std::size_t rotation_bytes(const Facts& facts) {
  constexpr std::size_t kLeast = std::size_t{64} << 20;
  return std::max(kLeast, 2 * static_cast<std::size_t>(std::max(0, facts.l2_bytes)));
}

std::vector<JobSamples> measure(Gpu& gpu, const std::vector<Job>& jobs, const Measurement& how, bool traced,
                                const Progress& progress) {
  std::vector<Sampler> samplers;
  samplers.reserve(jobs.size());
  std::size_t workspace = 0;
  for (const Job& job : jobs) {
    samplers.emplace_back(gpu, job, how);
    workspace = std::max(workspace, samplers.back().workspace());
    progress(0);
  }
  gpu.workspace(workspace);
  const Arena arena = arena_for(gpu, samplers, how);
  for (Sampler& sampler : samplers) {
    sampler.use(arena);
    sampler.warm_up(traced);
    progress(0);
  }
  run_rounds(samplers, how, progress);
  std::vector<JobSamples> results;
  for (Sampler& sampler : samplers) results.push_back(sampler.finish());
  return results;
}

InPlace measure_in_place(Gpu& gpu, const NetworkText& text, const Measurement& how,
                         const Progress& progress) {
  const Network network(gpu, text, how.seed);
  gpu.workspace(network.workspace());
  InPlace all;
  std::vector<std::size_t> counts;
  for (std::size_t i = 0; i < network.layers(); ++i) {
    network.enqueue_layer(i);
    all.layers.push_back({network.line(i), {}, {}});
    counts.push_back(trace(gpu, [&] { network.enqueue_layer(i); }).size());
    progress(0);
  }
  const CapturedGraph graph = gpu.capture([&] { network.enqueue(); });
  gpu.timed_us([&] { graph.launch(); });
  const auto start = std::chrono::steady_clock::now();
  for (int round = 0; round < how.rounds; ++round) {
    all.untraced_us.push_back(std::max(1e-3, gpu.timed_us([&] { graph.launch(); })));
    hand_out(all, counts, trace(gpu, [&] { network.enqueue(); }));
    progress(static_cast<double>(round) / how.rounds);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    if (how.time_limit_s > 0 && spent.count() > how.time_limit_s) break;
  }
  return all;
}

}  // namespace tailor::cuda

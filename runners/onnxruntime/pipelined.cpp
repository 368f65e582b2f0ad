// Slot      the values of one sample on its way: made by a first run of all stages, written over by later ones
// Belt      slots in a ring; stage i works on sample n once stage i-1 has done it, stage 0 once its slot is free again
// difference  what leaves the last stage against what the whole network gives
#include "runners/onnxruntime/pipelined.h"

#include "runners/onnxruntime/host.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

namespace tailor::ort {
namespace {

using Loaded = std::shared_ptr<const LoadedModel>;

double now_us() { return StopWatch(CLOCK_MONOTONIC).now_us(); }

// A stage's operands in one slot.
struct Bound {
  std::vector<const char*> in_names, out_names;
  std::vector<const Value*> in;
  std::vector<Value*> out;
};

class Slot {
 public:
  // Runs all stages once.
  Slot(const std::vector<Loaded>& stages, const std::map<std::string, const Tensor*>& inputs)
      : known_(inputs) {
    for (const Loaded& stage : stages) bound_.push_back(first_run(*stage));
  }

  void run(const std::vector<Loaded>& stages, std::size_t i) {
    Bound& b = bound_[i];
    stages[i]->api().call(slot::run, stages[i]->session(), nullptr, b.in_names.data(), b.in.data(),
                          b.in.size(), b.out_names.data(), b.out_names.size(), b.out.data());
  }

  const Tensor* find(const std::string& name) const {
    auto it = known_.find(name);
    return it == known_.end() ? nullptr : it->second;
  }

 private:
  Bound first_run(const LoadedModel& stage) {
    Bound b;
    for (const Port& port : stage.inputs()) {
      const Tensor* value = find(port.name);
      if (!value)
        throw Error(Code::usage,
                    fmt::format("a stage reads '{}', which neither the network nor an earlier stage gives",
                                port.name));
      b.in_names.push_back(port.name.c_str());
      b.in.push_back(value->value());
    }
    for (const Port& port : stage.outputs()) b.out_names.push_back(port.name.c_str());
    b.out.assign(b.out_names.size(), nullptr);
    stage.api().call(slot::run, stage.session(), nullptr, b.in_names.data(), b.in.data(), b.in.size(),
                     b.out_names.data(), b.out_names.size(), b.out.data());
    for (std::size_t i = 0; i < b.out.size(); ++i) keep(stage, i, b.out[i]);
    return b;
  }
  void keep(const LoadedModel& stage, std::size_t output, Value* value) {
    made_.push_back(std::make_unique<Tensor>(Handle<Value>(value, {&stage.api(), slot::release_value})));
    if (!made_.back()->data())
      throw Error(Code::runtime_refused, "stages can hand on tensors only", stage.outputs()[output].name);
    known_[stage.outputs()[output].name] = made_.back().get();
  }

  std::map<std::string, const Tensor*> known_;
  std::vector<std::unique_ptr<Tensor>> made_;
  std::vector<Bound> bound_;
};

// The `core`-th of those that this process may use.
bool keep_to_core(int core) {
  cpu_set_t all, one;
  if (::sched_getaffinity(0, sizeof all, &all) != 0) return false;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &all) && core-- == 0) {
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      return ::sched_setaffinity(0, sizeof one, &one) == 0;
    }
  return false;
}

// Waits until `count` is more than `n`, at first without sleeping: a sleeper takes tens of microseconds to wake.
bool wait_for_more(const std::atomic<std::int64_t>& count, std::int64_t n, const std::atomic<bool>& failed) {
  const double patience = now_us() + 200;
  while (count.load(std::memory_order_acquire) <= n) {
    if (failed) return false;
    if (now_us() < patience) continue;
    std::int64_t seen = count.load(std::memory_order_acquire);
    if (seen <= n) count.wait(seen, std::memory_order_acquire);
  }
  return !failed;
}

class Belt {
 public:
  Belt(const std::vector<Loaded>& stages, const std::map<std::string, const Tensor*>& inputs)
      : stages_(stages), done_(stages.size()) {
    for (std::size_t i = 0; i < 2 * stages.size(); ++i)
      slots_.push_back(std::make_unique<Slot>(stages, inputs));
  }

  // Microseconds between samples that leave, and each stage's busy ones.
  double round(int samples, std::vector<double>& busy) {
    for (auto& count : done_) count = 0;
    failed_ = false, error_ = nullptr;
    std::vector<double> left(static_cast<std::size_t>(samples));
    {
      std::vector<std::jthread> threads;
      for (std::size_t i = 0; i < stages_.size(); ++i)
        threads.emplace_back([&, i] { work(i, samples, busy[i], left); });
    }
    if (error_) std::rethrow_exception(error_);
    const std::size_t full = stages_.size();  // samples until all stages are at work
    return (left.back() - left[full - 1]) / static_cast<double>(left.size() - full);
  }
  bool pinned() const { return pinned_; }
  const Slot& slot() const { return *slots_.front(); }

 private:
  void work(std::size_t stage, int samples, double& busy, std::vector<double>& left) {
    if (!keep_to_core(static_cast<int>(stage))) pinned_ = false;
    try {
      double computing = 0;
      for (std::int64_t n = 0; n < samples; ++n) {
        if (!ready(stage, n)) return;
        const double start = now_us();
        slots_[static_cast<std::size_t>(n) % slots_.size()]->run(stages_, stage);
        const double end = now_us();
        computing += end - start;
        if (stage + 1 == stages_.size()) left[static_cast<std::size_t>(n)] = end;
        tell(stage, n + 1);
      }
      busy = computing / samples;
    } catch (...) {
      fail();
    }
  }
  bool ready(std::size_t stage, std::int64_t n) const {
    if (stage > 0) return wait_for_more(done_[stage - 1], n, failed_);
    const auto ring = static_cast<std::int64_t>(slots_.size());
    return n < ring || wait_for_more(done_.back(), n - ring, failed_);
  }
  void tell(std::size_t stage, std::int64_t count) {
    done_[stage].store(count, std::memory_order_release);
    done_[stage].notify_all();
  }
  void fail() {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::current_exception();
    failed_ = true;
    for (auto& count : done_) count = std::int64_t{1} << 40, count.notify_all();
  }

  const std::vector<Loaded>& stages_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::atomic<std::int64_t>> done_;
  std::atomic<bool> failed_ = false, pinned_ = true;
  std::exception_ptr error_;
  std::mutex mutex_;
};

double difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.type() != b.type()) return std::numeric_limits<double>::infinity();
  if (a.type() != graph::DataType::f32) return std::memcmp(a.data(), b.data(), a.size()) == 0 ? 0 : 1;
  const auto *x = reinterpret_cast<const float*>(a.data()), *y = reinterpret_cast<const float*>(b.data());
  double largest = 0, apart = 0;
  for (std::size_t i = 0; i < a.size() / sizeof(float); ++i)
    largest = std::max(largest, std::abs(double{y[i]})),
    apart = std::max(apart, std::abs(double{x[i]} - double{y[i]}));
  return largest > 0 ? apart / largest : apart;
}

double difference(const Slot& slot, const Prepared& whole) {
  double most = 0;
  for (std::size_t i = 0; i < whole.output_names().size(); ++i) {
    const Tensor* staged = slot.find(whole.output_names()[i]);
    if (!staged)
      throw Error(Code::usage, fmt::format("no stage gives the output '{}'", whole.output_names()[i]));
    most = std::max(most, difference(*staged, whole.outputs()[i]));
  }
  return most;
}

// One core, as a stage has.
double timed_whole(Prepared& whole, int samples) {
  double us = 0;
  std::jthread([&] {
    keep_to_core(0);
    const double start = now_us();
    for (int i = 0; i < samples; ++i) whole.run();
    us = (now_us() - start) / samples;
  }).join();
  return us;
}

}  // namespace

Pipelined run_pipelined(ModelCache& models, const Pipelining& what, const Json& shapes,
                        const Progress& progress) {
  Loaded network = models.get(what.whole, Loading{});
  std::vector<Loaded> stages;
  for (const std::string& path : what.stages) stages.push_back(models.get(path, Loading{}));
  const auto make_inputs = [&] {
    return random_inputs(*network, resolve_shapes(*network, shapes), what.seed);
  };
  const std::vector<Tensor> inputs = make_inputs();
  std::map<std::string, const Tensor*> named;
  for (std::size_t i = 0; i < inputs.size(); ++i) named[network->inputs()[i].name] = &inputs[i];
  Prepared whole(network, make_inputs());
  Belt belt(stages, named);
  whole.run();
  Pipelined result;
  result.difference = difference(belt.slot(), whole);
  result.busy_us.resize(stages.size());
  std::vector<double> busy(stages.size());
  belt.round(what.samples, busy), timed_whole(whole, what.samples / 2);  // warm
  for (int round = 0; round < what.rounds; ++round) {
    result.us.push_back(belt.round(what.samples, busy));
    for (std::size_t i = 0; i < busy.size(); ++i) result.busy_us[i].push_back(busy[i]);
    result.whole_us.push_back(timed_whole(whole, std::max(1, what.samples / 2)));
    progress((round + 1.0) / what.rounds);
  }
  result.pinned = belt.pinned() && this_host().cores >= static_cast<int>(stages.size());
  return result;
}

}  // namespace tailor::ort

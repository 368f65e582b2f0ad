/// \file A worker of the farm: compiles on its own host, measures in a runner process that may die, and knows neither the
/// model nor the records. What it is to do comes in messages.
#pragma once

#include "tailor/farm/message.h"
#include "tailor/tune/compiled_once.h"

#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tailor::farm {

class Worker {
 public:
  /// @param runner command; empty: tailor-runner-kernels beside this program
  explicit Worker(std::string runner = {});
  /// The first message. @throws Error runtime_missing (no compiler)
  std::string hello() const;
  /// A message of the master; an order begins to be compiled. @throws Error bad_json, bad_value
  void take(std::string_view line);
  /// Nothing has been ordered that is not done.
  bool idle() const { return orders_.empty(); }
  bool stopped() const { return stopped_; }
  /// Carries the oldest order out and returns the answer. A runner that dies of its kernel is an outcome; one that cannot
  /// even start is tried three times. @pre !idle()
  /// @throws Error interrupted; runner_failed, runtime_missing, write_failed: this worker is of no more use
  std::string work();

 private:
  struct PendingTrial {
    TrialOrder order;
    std::vector<std::int64_t> shape;
    std::shared_ptr<tune::CompiledOnce> once;  // whose the file is
    std::future<tune::Compiled> compiled;
  };
  using Order = std::variant<PendingTrial, ContestOrder>;

  void handle(const Place& place);
  void handle(const TrialOrder& order);
  void handle(const ContestOrder& order);
  void handle(const Wait& wait);
  void handle(const Stop& stop);
  TrialAnswer carry_out(PendingTrial& trial);
  ContestAnswer carry_out(const ContestOrder& order);

  tune::KernelRunner& runner();
  void with_runner(const std::function<void(tune::KernelRunner&)>& act);
  const tune::Space& space_of(const latency::Workload& workload);

  std::string command_;
  Place place_;
  tune::VectorUnit unit_;
  tune::CompilerOptions compiler_;
  std::shared_ptr<tune::CompiledOnce> compiled_;  // by `compiler_`
  std::map<latency::Workload, tune::Space> spaces_;
  std::optional<tune::KernelRunner> runner_;
  double first_sentinel_us_ = 0;
  std::deque<Order> orders_;  // after what they use, so that compilers end before the folder goes
  bool stopped_ = false;
};

}  // namespace tailor::farm

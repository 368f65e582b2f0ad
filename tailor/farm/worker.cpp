// take: orders queue up, and kernels of trials compile meanwhile. work: the oldest is measured.
#include "tailor/farm/worker.h"

#include "tailor/base/error.h"
#include "tailor/tune/measure_trial.h"
#include "tailor/tune/partition.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>

namespace tailor::farm {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kStarts = 3;  // of a runner, over one order

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown host";
}

tune::Configuration place_in(const tune::Space& space, const Named& named) {
  if (std::optional<tune::Configuration> at = place_of(space, named)) return *at;
  throw Error(Code::bad_value, "no configuration of this layer: " + tune::to_string(named),
              "message of the master");
}

}  // namespace

Worker::Worker(std::string runner) : command_(std::move(runner)), unit_(tune::vector_unit()) {}

std::string Worker::hello() const {
  return to_text(FromWorker(
      Hello{kProtocol, host_name(), tune::usable_cores(), tune::class_of_this_machine(compiler_), unit_}));
}

void Worker::take(std::string_view line) {
  const ToWorker message = read_to_worker(line);
  std::visit([this](const auto& m) { handle(m); }, message);
}

void Worker::handle(const Place& place) {
  if (place.core != place_.core) runner_.reset();
  if (place.compile_cores != compiler_.cores) compiled_.reset();
  place_ = place, compiler_.cores = place.compile_cores;
}

void Worker::handle(const TrialOrder& order) {
  const tune::Space& space = space_of(order.task.workload);
  tune::ShapelessKernel kernel =
      shapeless_kernel(order.task.workload, unit_, space, place_in(space, order.configuration));
  if (!compiled_)
    compiled_ = std::make_shared<tune::CompiledOnce>(
        [how = compiler_](const std::string& text, const std::filesystem::path& library) {
          return compile_kernel(text, library, how);
        },
        ".so");
  auto compile = [text = std::move(kernel.text), once = compiled_] { return once->of(text); };
  orders_.push_back(
      PendingTrial{order, std::move(kernel.shape), compiled_, std::async(std::launch::async, compile)});
}

void Worker::handle(const ContestOrder& order) { orders_.push_back(order); }
void Worker::handle(const Wait&) { orders_.clear(); }
void Worker::handle(const Stop&) { stopped_ = true; }

std::string Worker::work() {
  TAILOR_CHECK(!idle());
  Order order = std::move(orders_.front());
  orders_.pop_front();
  return std::visit([this](auto& o) { return to_text(FromWorker(carry_out(o))); }, order);
}

TrialAnswer Worker::carry_out(PendingTrial& trial) {
  const tune::Compiled compiled = trial.compiled.get();
  TrialAnswer answer{trial.order.ticket, {}, 0, 0};
  tune::Record& record = answer.record;
  record.key.op = latency::to_string(trial.order.task.workload), record.key.share = trial.order.task.share;
  record.configuration = trial.order.configuration;
  record.outcome = compiled.outcome, record.message = compiled.message, record.compile_s = compiled.seconds;
  record.clock = "thread cpu", record.partition = to_string(tune::Partition{{place_.core}});
  record.neighbours = place_.neighbours;
  const auto start = Clock::now();
  if (compiled.outcome == tune::Outcome::ok)
    with_runner([&](tune::KernelRunner& runner) {
      const tune::TrialCare care{trial.order.samples, trial.order.drift, first_sentinel_us_};
      answer.repeated +=
          measure_trial(runner, {compiled.library, trial.shape}, trial.order.task, care, record);
    });
  answer.measure_s = std::chrono::duration<double>(Clock::now() - start).count();
  record.when = tune::now_text();
  return answer;
}

ContestAnswer Worker::carry_out(const ContestOrder& order) {
  const tune::Space& space = space_of(order.task.workload);
  std::vector<tune::Configuration> configurations;
  for (const Named& named : order.configurations) configurations.push_back(place_in(space, named));
  tune::RecordKey key;
  key.op = latency::to_string(order.task.workload), key.share = order.task.share;
  tune::Contest contest;
  with_runner([&](tune::KernelRunner& runner) {
    contest = time_contest(order.task, key, space, configurations, runner, {{place_.core}}, order.how,
                           compiler_, order.onednn);
  });
  return {order.ticket, std::move(contest.records), std::move(contest.refused)};
}

tune::KernelRunner& Worker::runner() {
  if (!runner_) {
    runner_.emplace(place_.core, command_);
    if (first_sentinel_us_ == 0) first_sentinel_us_ = runner_->sentinel_us();
  }
  return *runner_;
}

// Somebody may kill a runner just when it starts: that is no reason to lose the worker.
void Worker::with_runner(const std::function<void(tune::KernelRunner&)>& act) {
  for (int start = 1;; ++start) try {
      return act(runner());
    } catch (const Error& error) {
      runner_.reset();
      if (error.code() != Code::runner_failed || start == kStarts) throw;
    }
}

// Layers of a network take turns, so their spaces are kept.
const tune::Space& Worker::space_of(const latency::Workload& workload) {
  const auto known = spaces_.find(workload);
  if (known != spaces_.end()) return known->second;
  return spaces_.emplace(workload, kernel_space(workload, unit_)).first->second;
}

}  // namespace tailor::farm

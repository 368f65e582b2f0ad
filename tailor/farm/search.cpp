// Trials: put back ones first, then whichever desk promises most. Contests: rounds 0..n-1 are the desks' finalists, rounds
// n..2n-1 winners of the same operator at other shares.
#include "tailor/farm/search.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tailor::farm {
namespace {

constexpr double kForFinalists = 0.15;  // of the time
constexpr int kMostLost = 3;            // workers over one job

}  // namespace

Search::Search(const std::vector<Portion>& portions, const tune::MachineClass& machine,
               const tune::VectorUnit& unit, tune::RecordFile& file, const FarmOptions& options)
    : machine_(machine), unit_(unit), file_(file), options_(options) {
  for (std::size_t i = 0; i < portions.size(); ++i) {
    const Portion& p = portions[i];
    std::optional<tune::Space> space = part_of(kernel_space(p.task.workload, unit), p.part, p.parts);
    if (!space) continue;
    desks_.push_back(make_desk(p.task, key_of(p.task, machine), std::move(*space), options.searcher,
                               options.seed + i, file.records()));
  }
  asked_.resize(desks_.size(), 0);
}

bool Search::over(double now_s) const {
  return now_s >= options_.seconds * (options_.finalists > 0 ? 1 - kForFinalists : 1);
}

// Whether one more trial of it may be asked for.
bool Search::open(std::size_t desk) const {
  const tune::Desk& d = desks_[desk];
  return d.stopped.empty() &&
         (options_.trials == 0 || d.before + d.state.trials + asked_[desk] < options_.trials);
}

bool Search::searching(double now_s) const {
  if (running_ > 0) return true;
  if (over(now_s)) return false;
  if (!waiting_.empty()) return true;
  for (std::size_t i = 0; i < desks_.size(); ++i)
    if (open(i)) return true;
  return false;
}

std::optional<TrialJob> Search::next_trial(double now_s) {
  if (over(now_s)) return std::nullopt;
  if (!waiting_.empty()) {
    TrialJob job = std::move(waiting_.front());
    waiting_.pop_front();
    ++running_;
    return job;
  }
  while (const std::optional<std::size_t> at = most_promising(desks_, [this](auto i) { return open(i); })) {
    const std::optional<tune::Configuration> configuration = ask(desks_[*at]);
    if (!configuration) continue;
    ++asked_[*at], ++running_;
    return TrialJob{*at, *configuration};
  }
  return std::nullopt;
}

void Search::append(const TrialJob& job, tune::Record record, double now_s) {
  tune::Desk& d = desks_[job.desk];
  record.key = d.key, record.configuration = named(*d.space, job.configuration);
  record.tier = tune::Tier::parallel;
  file_.append(record);
  tell(d, job.configuration, record);
  --asked_[job.desk], ++trials_, ++d.state.trials, d.state.seconds = now_s;
  if (d.stopped.empty()) d.stopped = reason_to_stop({.gain = options_.gain}, d.state);
}

void Search::done(const TrialJob& job, tune::Record record, double now_s) {
  append(job, std::move(record), now_s);
  --running_;
}

void Search::put_back(TrialJob job, double now_s) {
  --running_;
  if (++job.lost < kMostLost) return waiting_.push_back(std::move(job));
  tune::Record record;
  record.outcome = tune::Outcome::invalid, record.when = tune::now_text();
  record.message = fmt::format("{} workers were lost over it", job.lost);
  append(job, std::move(record), now_s);
}

std::vector<tune::Configuration> Search::contestants(std::size_t round) const {
  const std::size_t index = round % desks_.size();
  if (round >= desks_.size()) return guests_of(desks_, index, file_.records());
  return contestants_of(desks_[index], file_.records(), options_.finalists);
}

std::optional<ContestJob> Search::next_contest(double now_s) {
  if (contest_ || options_.finalists == 0 || searching(now_s)) return std::nullopt;
  for (; round_ < 2 * desks_.size(); ++round_) {
    std::vector<tune::Configuration> list = contestants(round_);
    if (list.empty()) continue;
    contest_ = true;
    return ContestJob{round_ % desks_.size(), std::move(list), round_ < desks_.size()};
  }
  return std::nullopt;
}

void Search::done(const ContestJob& job, const std::vector<tune::Record>& records) {
  for (tune::Record record : records) {
    record.key = desks_[job.desk].key, record.tier = tune::Tier::exclusive;
    file_.append(record);
  }
  contest_ = false, contest_lost_ = 0, ++round_;
}

void Search::put_back(const ContestJob&) {
  contest_ = false;
  if (++contest_lost_ >= kMostLost) contest_lost_ = 0, ++round_;
}

bool Search::finished(double now_s) const {
  return !searching(now_s) && !contest_ && (options_.finalists == 0 || round_ >= 2 * desks_.size());
}

std::vector<tune::TaskResult> Search::results(const std::string& unfinished) const {
  std::vector<tune::TaskResult> list;
  for (const tune::Desk& d : desks_) {
    tune::TaskResult result{d.task,       d.key,    d.state.trials, d.before, best_of(file_.records(), d.key),
                            std::nullopt, d.stopped};
    const std::uint64_t known = d.before + d.state.trials;
    if (result.stopped.empty() && options_.trials > 0 && known >= options_.trials)
      result.stopped = fmt::format("{} trials", known);
    if (result.stopped.empty()) result.stopped = unfinished;
    result.gain_left = d.searcher->expected_gain();
    list.push_back(std::move(result));
  }
  return list;
}

}  // namespace tailor::farm

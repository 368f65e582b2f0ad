// receive: a message is handled, then work is assigned anew (go_on). Orders are kept by ticket; a ticket that is not there
// any more belonged to a worker who was given up, and its answer is passed over.
#include "tailor/farm/master.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace tailor::farm {
namespace {

// An answer that no worker of ours gives: thrown to the one place that dismisses him.
[[noreturn]] void nonsense(const std::string& what) {
  throw Error(Code::bad_json, what, "message of a worker");
}

// What reading and checking a message throws; a bad space comes of registers that no processor has.
bool is_nonsense(Code code) {
  return code == Code::bad_json || code == Code::bad_value || code == Code::bad_space;
}

bool is_library(const Named& named) { return named.size() == 1 && named.front().first == "library"; }

// Each at most once, and nobody who was not asked for.
void check_contest(const ContestAnswer& answer, const ContestJob& job, const tune::Space& space) {
  std::set<std::string> left;
  for (const tune::Configuration& configuration : job.configurations)
    left.insert(tune::to_string(named(space, configuration)));
  bool library = job.library;
  for (const tune::Record& record : answer.records) {
    if (record.outcome != tune::Outcome::ok) nonsense("a contestant without a time");
    const bool known = is_library(record.configuration)
                           ? std::exchange(library, false)
                           : left.erase(tune::to_string(record.configuration)) == 1;
    if (!known) nonsense("a contestant who was not asked for");
  }
}

}  // namespace

Master::Master(std::vector<Portion> portions, tune::RecordFile& file, FarmOptions options, int workers)
    : portions_(std::move(portions)),
      file_(file),
      options_(std::move(options)),
      workers_(static_cast<std::size_t>(workers)) {
  TAILOR_CHECK(workers >= 1 && options_.ahead >= 1 && options_.samples >= 1 && options_.finalists >= 0);
  // A searcher that does not exist is found before anybody says hello.
  const tune::Space any({{"x", {std::int64_t{1}}}}, {});
  tune::make_searcher(options_.searcher, any, options_.seed);
}

std::vector<Letter> Master::receive(int rank, std::string_view line, double now_s) {
  if (rank < 1 || rank > count()) return {};
  Worker& worker = at(rank);
  if (worker.state == State::dismissed || worker.state == State::gone) return {};
  worker.heard_s = now_s;
  if (worker.state == State::silent) {
    worker.state = State::working;
    remarks_.push_back(fmt::format("rank {} is back", rank));
  }
  std::optional<Error> wrong;
  try {
    const FromWorker message = read_from_worker(line);
    std::visit([&](const auto& m) { handle(rank, m, now_s); }, message);
  } catch (const Error& error) {
    if (!is_nonsense(error.code())) throw;
    wrong = error;
  }
  if (wrong) take_away(rank, State::dismissed, fmt::format("it answers nonsense: {}", wrong->what()), now_s);
  return go_on(now_s);
}

std::vector<Letter> Master::tick(double now_s) {
  look_for_silent(now_s);
  return go_on(now_s);
}

std::vector<Letter> Master::lose(int rank, const std::string& why, double now_s) {
  if (rank >= 1 && rank <= count() && at(rank).state != State::gone) take_away(rank, State::gone, why, now_s);
  return go_on(now_s);
}

std::vector<Letter> Master::go_on(double now_s) {
  assign_trials(now_s);
  assign_contests(now_s);
  return std::exchange(outbox_, {});
}

// ---- what workers say

void Master::handle(int rank, const Hello& hello, double now_s) {
  Worker& worker = at(rank);
  if (worker.state == State::working && worker.core >= 0)  // it was started anew
    take_away(rank, State::expected, "it said hello again", now_s);
  if (hello.protocol != kProtocol || hello.machine.source != tune::kernel_hash())
    return refuse(rank, "it is another build than the master");
  worker.host = hello.host, worker.cores = hello.cores;
  const int core = free_core(rank, hello);
  if (core < 0)
    return refuse(rank, fmt::format("{} has no core for it: {} usable, each with a rank that measures",
                                    hello.host, hello.cores.size()));
  worker.search = search_of(hello);
  if (const tune::VectorUnit& unit = searches_[worker.search]->unit();
      unit.floats != hello.unit.floats || unit.registers != hello.unit.registers)
    nonsense("the same processor with other registers");
  worker.core = core, worker.state = State::working;
  place_all(worker.host);
}

void Master::handle(int rank, const TrialAnswer& answer, double now_s) {
  const auto order = order_of(rank, answer.ticket);
  if (order == orders_.end()) return;  // late, or a second time
  const TrialJob* job = std::get_if<TrialJob>(&order->second.job);
  if (!job) nonsense("a trial's answer to a contest");
  Search& search = *searches_[at(rank).search];
  const Named asked = named(*search.desk(job->desk).space, job->configuration);
  if (answer.record.configuration != asked) nonsense("another configuration than was asked for");
  const TrialJob finished = *job;
  search.done(finished, answer.record, now_s);
  orders_.erase(order), --at(rank).orders;
  ++counts_.trials, counts_.repeated += answer.repeated;
  counts_.compile_s += answer.record.compile_s, counts_.measure_s += answer.measure_s;
}

void Master::handle(int rank, const ContestAnswer& answer, double) {
  const auto order = order_of(rank, answer.ticket);
  if (order == orders_.end()) return;
  const ContestJob* job = std::get_if<ContestJob>(&order->second.job);
  if (!job) nonsense("a contest's answer to a trial");
  Search& search = *searches_[at(rank).search];
  check_contest(answer, *job, *search.desk(job->desk).space);
  const ContestJob finished = *job;
  search.done(finished, answer.records);
  orders_.erase(order), --at(rank).orders;
  if (!answer.refused.empty()) counts_.library = answer.refused;
}

void Master::handle(int rank, const GiveUp& message, double now_s) {
  take_away(rank, State::dismissed, message.why, now_s);
}

std::map<std::int64_t, Master::Order>::iterator Master::order_of(int rank, std::int64_t ticket) {
  const auto found = orders_.find(ticket);
  return found != orders_.end() && found->second.rank == rank ? found : orders_.end();
}

// ---- who works

void Master::refuse(int rank, const std::string& why) {
  at(rank).state = State::dismissed, at(rank).core = -1;
  last_loss_ = fmt::format("rank {} is refused: {}", rank, why);
  remarks_.push_back(last_loss_);
  outbox_.push_back({rank, to_text(ToWorker(Wait{why}))});
}

// Its orders go back; who is alive forgets them.
void Master::take_away(int rank, State state, const std::string& why, double now_s) {
  Worker& worker = at(rank);
  worker.state = state;
  last_loss_ = fmt::format("rank {} is lost: {}", rank, why);
  remarks_.push_back(last_loss_);
  std::vector<Order> back;
  std::erase_if(orders_, [&](auto& entry) {
    if (entry.second.rank != rank) return false;
    back.push_back(std::move(entry.second));
    return true;
  });
  worker.orders = 0;
  Search* search = back.empty() ? nullptr : searches_[worker.search].get();
  for (Order& order : back) {
    if (TrialJob* job = std::get_if<TrialJob>(&order.job)) search->put_back(std::move(*job), now_s);
    if (ContestJob* job = std::get_if<ContestJob>(&order.job)) search->put_back(*job);
  }
  if (state == State::dismissed) outbox_.push_back({rank, to_text(ToWorker(Wait{why}))});
}

// That of his kind of machine; the first of a kind opens one.
std::size_t Master::search_of(const Hello& hello) {
  for (std::size_t i = 0; i < searches_.size(); ++i)
    if (searches_[i]->machine() == hello.machine) return i;
  if (!searches_.empty())
    remarks_.push_back(fmt::format("{} is another kind of machine ({}; {}): it gets a search of its own",
                                   hello.host, hello.machine.device, hello.machine.versions));
  searches_.push_back(std::make_unique<Search>(portions_, hello.machine, hello.unit, file_, options_));
  return searches_.size() - 1;
}

// The first of its cores that nobody else on the host measures on; -1 if there is none.
int Master::free_core(int rank, const Hello& hello) const {
  for (const int core : hello.cores) {
    bool taken = false;
    for (int other = 1; other <= count(); ++other)
      taken = taken || (other != rank && at(other).host == hello.host && at(other).core == core);
    if (!taken) return core;
  }
  return -1;
}

// Everybody on a host learns which cores are left to compile on.
void Master::place_all(const std::string& host) {
  std::vector<int> measuring;
  for (const Worker& worker : workers_)
    if (worker.host == host && worker.core >= 0) measuring.push_back(worker.core);
  for (int rank = 1; rank <= count(); ++rank) {
    const Worker& worker = at(rank);
    if (worker.host != host || worker.state != State::working) continue;
    Place place{worker.core, worker.cores, measuring.size() > 1 ? "busy" : "compiler"};
    for (const int core : measuring) std::erase(place.compile_cores, core);
    outbox_.push_back({rank, to_text(ToWorker(place))});
  }
}

double Master::patience(const Order& order) const {
  const auto* contest = std::get_if<ContestJob>(&order.job);
  return options_.silence_s * static_cast<double>(contest ? 1 + contest->configurations.size() : 1);
}

void Master::look_for_silent(double now_s) {
  std::set<int> silent;
  for (const auto& [ticket, order] : orders_)
    if (now_s - std::max(at(order.rank).heard_s, order.sent_s) > patience(order)) silent.insert(order.rank);
  for (int rank = 1; rank <= count(); ++rank)
    if (at(rank).state == State::expected && now_s > options_.silence_s) silent.insert(rank);
  for (const int rank : silent)
    take_away(rank, State::silent, fmt::format("silent for {:.0f} s", options_.silence_s), now_s);
}

// ---- who gets what

void Master::give(int rank, TrialJob job, double now_s) {
  const tune::Desk& desk = searches_[at(rank).search]->desk(job.desk);
  const TrialOrder order{next_ticket_, desk.task, named(*desk.space, job.configuration), options_.samples,
                         options_.drift};
  outbox_.push_back({rank, to_text(ToWorker(order))});
  orders_[next_ticket_++] = {rank, std::move(job), now_s};
  ++at(rank).orders;
}

void Master::give(int rank, ContestJob job, double now_s) {
  const tune::Desk& desk = searches_[at(rank).search]->desk(job.desk);
  ContestOrder order{next_ticket_, desk.task, {}, {}, {}};
  for (const tune::Configuration& configuration : job.configurations)
    order.configurations.push_back(named(*desk.space, configuration));
  order.how = {.first = 5, .finalists = options_.finalists, .last = 20, .seed = options_.seed};
  job.library = job.library && options_.onednn && desk.task.workers == 1;
  if (job.library) order.onednn = options_.onednn;
  outbox_.push_back({rank, to_text(ToWorker(order))});
  orders_[next_ticket_++] = {rank, std::move(job), now_s};
  ++at(rank).orders;
}

bool Master::contest_on(const std::string& host) const {
  return std::any_of(orders_.begin(), orders_.end(), [&](const auto& entry) {
    return at(entry.second.rank).host == host && std::holds_alternative<ContestJob>(entry.second.job);
  });
}

bool Master::idle(const std::string& host) const {
  return std::none_of(orders_.begin(), orders_.end(),
                      [&](const auto& entry) { return at(entry.second.rank).host == host; });
}

// Everybody gets one order before anybody gets a second.
void Master::assign_trials(double now_s) {
  for (std::size_t depth = 1; depth <= static_cast<std::size_t>(options_.ahead); ++depth)
    for (int rank = 1; rank <= count(); ++rank) {
      const Worker& worker = at(rank);
      if (worker.state != State::working || worker.core < 0 || worker.orders >= depth) continue;
      if (contest_on(worker.host)) continue;
      if (std::optional<TrialJob> job = searches_[worker.search]->next_trial(now_s))
        give(rank, std::move(*job), now_s);
    }
}

// A contest goes to the first of its kind on whose host nobody does anything.
void Master::assign_contests(double now_s) {
  for (int rank = 1; rank <= count(); ++rank) {
    const Worker& worker = at(rank);
    if (worker.state != State::working || worker.core < 0 || !idle(worker.host)) continue;
    if (std::optional<ContestJob> job = searches_[worker.search]->next_contest(now_s))
      give(rank, std::move(*job), now_s);
  }
}

// ---- the end

bool Master::anybody_for(std::size_t search) const {
  return std::any_of(workers_.begin(), workers_.end(), [&](const Worker& worker) {
    return worker.state == State::working && worker.core >= 0 && worker.search == search;
  });
}

bool Master::done(double now_s) const {
  for (const Worker& worker : workers_)
    if (worker.state == State::expected) return false;
  for (std::size_t i = 0; i < searches_.size(); ++i)
    if (!searches_[i]->finished(now_s) && anybody_for(i)) return false;
  return true;
}

std::vector<Letter> Master::farewell() const {
  std::vector<Letter> letters;
  for (int rank = 1; rank <= count(); ++rank)
    if (at(rank).state != State::gone) letters.push_back({rank, to_text(ToWorker(Stop{}))});
  return letters;
}

std::string Master::unfinished(double now_s) const {
  bool all = !searches_.empty();
  for (const auto& search : searches_) all = all && search->finished(now_s);
  if (all) return {};
  return last_loss_.empty() ? "no worker said hello" : last_loss_;
}

std::vector<int> Master::lost() const {
  std::vector<int> ranks;
  for (int rank = 1; rank <= count(); ++rank)
    if (const State state = at(rank).state; state == State::silent || state == State::gone)
      ranks.push_back(rank);
  return ranks;
}

std::vector<std::string> Master::take_remarks() { return std::exchange(remarks_, {}); }

tune::TuneResult Master::result(double now_s) const {
  tune::TuneResult result;
  for (const auto& search : searches_) {
    const bool left = !search->finished(now_s);
    for (tune::TaskResult& task : search->results(left ? "no worker is left" : "the time is over"))
      result.tasks.push_back(std::move(task));
  }
  result.seconds = now_s, result.trials = counts_.trials, result.repeated = counts_.repeated;
  result.compile_seconds = counts_.compile_s, result.measure_seconds = counts_.measure_s;
  result.library = counts_.library;
  return result;
}

}  // namespace tailor::farm

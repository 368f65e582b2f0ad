/// \file The master of the farm as a state machine: messages of workers and the clock in, messages to workers out. It
/// knows neither MPI nor threads, so that every order of events can be tried in one process.
///
/// A worker has at most FarmOptions::ahead orders. One who is silent for too long, gives up, or answers nonsense is asked
/// no more, and his orders go to somebody else; an answer that comes after that is passed over. So each configuration
/// gets exactly one record, and the file that only the master writes is the whole state.
#pragma once

#include "tailor/farm/message.h"
#include "tailor/farm/search.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tailor::farm {

/// A message with the rank that it goes to, or comes from.
struct Letter {
  int rank = 0;
  std::string line;
};

class Master {
 public:
  /// @param workers how many there will be: ranks 1..workers @pre workers >= 1
  /// @throws Error unknown_name (no such searcher)
  Master(std::vector<Portion> portions, tune::RecordFile& file, FarmOptions options, int workers);

  /// What a rank said, `now_s` seconds after the start; times never fall. Returns what is to be sent.
  /// @throws Error write_failed: no record is half-written, and nothing that was recorded is lost
  std::vector<Letter> receive(int rank, std::string_view line, double now_s);
  /// Nobody said anything: to be called now and then. @throws as receive
  std::vector<Letter> tick(double now_s);
  /// A rank is known to be gone. @throws as receive
  std::vector<Letter> lose(int rank, const std::string& why, double now_s);

  /// Nothing is left to do, or nobody is left to do it.
  bool done(double now_s) const;
  /// Stop for everybody.
  std::vector<Letter> farewell() const;

  /// What became of each task, on each kind of machine that there was. library: why the library has no time.
  tune::TuneResult result(double now_s) const;
  /// Something was left undone because no worker was left: why the last one was lost; "" if all is done.
  std::string unfinished(double now_s) const;
  /// Ranks that may not answer any more, so that nobody waits for them at the end.
  std::vector<int> lost() const;
  /// Remarks for people since the last call: who was lost or refused, and why.
  std::vector<std::string> take_remarks();
  std::uint64_t trials() const { return counts_.trials; }
  /// Kinds of machine so far.
  std::size_t kinds() const { return searches_.size(); }

 private:
  enum class State {
    expected,   // has not said hello yet
    working,    // gets orders
    silent,     // said nothing for too long; comes back when it does
    dismissed,  // refused, gave up or answered nonsense
    gone
  };
  struct Worker {
    State state = State::expected;
    std::string host;
    std::vector<int> cores;  // that it may run on
    int core = -1;           // that it measures on
    std::size_t search = 0;
    std::size_t orders = 0;
    double heard_s = 0;
  };
  struct Order {
    int rank = 0;
    std::variant<TrialJob, ContestJob> job;
    double sent_s = 0;
  };
  struct Counts {
    std::uint64_t trials = 0;
    std::size_t repeated = 0;
    double compile_s = 0, measure_s = 0;
    std::string library;
  };

  Worker& at(int rank) { return workers_[static_cast<std::size_t>(rank) - 1]; }
  const Worker& at(int rank) const { return workers_[static_cast<std::size_t>(rank) - 1]; }
  int count() const { return static_cast<int>(workers_.size()); }

  void handle(int rank, const Hello& hello, double now_s);
  void handle(int rank, const TrialAnswer& answer, double now_s);
  void handle(int rank, const ContestAnswer& answer, double now_s);
  void handle(int rank, const GiveUp& message, double now_s);

  void refuse(int rank, const std::string& why);
  void take_away(int rank, State state, const std::string& why, double now_s);
  std::size_t search_of(const Hello& hello);
  int free_core(int rank, const Hello& hello) const;
  void place_all(const std::string& host);
  std::map<std::int64_t, Order>::iterator order_of(int rank, std::int64_t ticket);

  void look_for_silent(double now_s);
  void assign_trials(double now_s);
  void assign_contests(double now_s);
  void give(int rank, TrialJob job, double now_s);
  void give(int rank, ContestJob job, double now_s);
  double patience(const Order& order) const;
  bool contest_on(const std::string& host) const;
  bool idle(const std::string& host) const;
  bool anybody_for(std::size_t search) const;
  std::vector<Letter> go_on(double now_s);

  std::vector<Portion> portions_;
  tune::RecordFile& file_;
  FarmOptions options_;
  std::vector<std::unique_ptr<Search>> searches_;
  std::vector<Worker> workers_;
  std::map<std::int64_t, Order> orders_;
  std::int64_t next_ticket_ = 1;
  std::vector<Letter> outbox_;
  std::vector<std::string> remarks_;
  std::string last_loss_;
  Counts counts_;
};

}  // namespace tailor::farm

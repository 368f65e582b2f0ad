/// \file The search of all tasks on one kind of machine: what is tried next, what is on its way, who meets in the finals.
/// It hands jobs out and takes them back; who does them is the master's affair. Times of one kind never meet another's,
/// because the kind is in the key of every record.
#pragma once

#include "tailor/farm/shard.h"
#include "tailor/tune/desk.h"
#include "tailor/tune/records.h"
#include "tailor/tune/scheduler.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace tailor::farm {

struct FarmOptions {
  double seconds = 600;  // for everything; a trial that has begun is ended, and finals are held in any case
  std::uint64_t trials = 0;  // at most so many per task, those in the file among them; 0: no limit
  double gain = 0.002;       // stop a task whose last trials were each expected to save less; 0: never
  std::string searcher = "model";
  std::uint64_t seed = 1;
  int samples = 5;
  int finalists = 4;    // per task, timed alone at the end; 0: none
  double drift = 0.02;  // of the unchanging kernel around a trial, above which it is measured again
  tune::OneDnnFile onednn = {};
  double silence_s = 300;  // a worker with an order that says nothing for so long is given up
  int ahead = 2;           // orders of a worker at a time: one is measured, the others compile
};

/// One configuration to be tried.
struct TrialJob {
  std::size_t desk = 0;
  tune::Configuration configuration;
  int lost = 0;  // workers that were lost over it
};
/// Configurations to be timed against each other, alone.
struct ContestJob {
  std::size_t desk = 0;
  std::vector<tune::Configuration> configurations;
  bool library = false;  // oneDNN's kernel takes part
};

/// Every trial that is handed out is either done or put back; so no configuration is tried twice and none is forgotten.
/// Refers to the file and the options.
class Search {
 public:
  /// Knows the records of this kind that the file has. @throws Error unknown_name (no such searcher)
  Search(const std::vector<Portion>& portions, const tune::MachineClass& machine,
         const tune::VectorUnit& unit, tune::RecordFile& file, const FarmOptions& options);

  const tune::MachineClass& machine() const { return machine_; }
  const tune::VectorUnit& unit() const { return unit_; }
  const tune::Desk& desk(std::size_t index) const { return desks_[index]; }
  std::size_t size() const { return desks_.size(); }

  /// The next trial, or nothing: at the moment, or for good. @param now_s since the start
  std::optional<TrialJob> next_trial(double now_s);
  /// Appends the record, whose key, configuration and tier are made to be the job's.
  /// @throws Error write_failed
  void done(const TrialJob& job, tune::Record record, double now_s);
  /// Its worker is gone; somebody else gets it first thing. One over which three workers were lost becomes a record with
  /// the outcome invalid.
  void put_back(TrialJob job, double now_s);

  /// The next contest, once all trials are done; one at a time.
  std::optional<ContestJob> next_contest(double now_s);
  /// Appends the records. @throws Error write_failed
  void done(const ContestJob& job, const std::vector<tune::Record>& records);
  /// Three workers may be lost over a contest; then it is left out.
  void put_back(const ContestJob& job);

  /// Nothing is left to hand out, and nothing is on its way.
  bool finished(double now_s) const;
  std::uint64_t trials() const { return trials_; }
  /// What became of each task.
  std::vector<tune::TaskResult> results(const std::string& unfinished) const;

 private:
  bool over(double now_s) const;
  bool open(std::size_t desk) const;
  bool searching(double now_s) const;
  std::vector<tune::Configuration> contestants(std::size_t round) const;
  void append(const TrialJob& job, tune::Record record, double now_s);

  tune::MachineClass machine_;
  tune::VectorUnit unit_;
  tune::RecordFile& file_;
  const FarmOptions& options_;
  std::vector<tune::Desk> desks_;
  std::vector<std::uint64_t> asked_;  // per desk: trials without a record yet
  std::deque<TrialJob> waiting_;      // put back
  std::size_t running_ = 0;           // handed out and neither done nor back
  std::size_t round_ = 0;             // of contests: first each desk's finalists, then each desk's guests
  bool contest_ = false;              // one is on its way
  int contest_lost_ = 0;              // workers that were lost over it
  std::uint64_t trials_ = 0;
};

}  // namespace tailor::farm

/// \file The verbs of tuning: their options and functions. Private.
#pragma once

#include "tailor/app/app.h"
#include "tailor/tune/records.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace tailor::app {

struct TuneArguments {
  std::filesystem::path model, db;
  std::vector<std::string> shapes;
  std::string share = "100", time = "10m", searcher = "model", gain = "0.2%";
  int jobs = 1, threads = 0, samples = 5,
      trials = 0;  // threads 0: the cores of this machine; trials 0: no limit
  std::uint64_t seed = 1;
  bool no_library = false;
  PageArguments page;
};
struct TuneAuditArguments {
  std::filesystem::path file;
  int top = 3, threads = 0;
  std::string max_regret = "5%";
};
struct TuneShowArguments {
  std::filesystem::path file;
  int top = 1;  // configurations per key
};
struct TuneMergeArguments {
  std::vector<std::filesystem::path> files;
  std::filesystem::path out;
  bool t4 = false;
};
struct TuneReplayArguments {
  std::filesystem::path file, prior;  // prior may be empty
  std::string op;                     // "": the only one
  std::vector<std::string> searchers = {"model", "evolution", "random"};
  int trials = 100, seeds = 20;
  std::uint64_t seed = 1;
};

/// Says how many lines were damaged. @throws Error file_missing; unknown_name for a file without a record
tune::RecordFile read_records(const Global& global, const std::filesystem::path& path);

int tune_model(const Global& global, const TuneArguments& arguments);
int tune_audit(const Global& global, const TuneAuditArguments& arguments);
int tune_show(const Global& global, const TuneShowArguments& arguments);
int tune_merge(const Global& global, const TuneMergeArguments& arguments);
int tune_replay(const Global& global, const TuneReplayArguments& arguments);

}  // namespace tailor::app

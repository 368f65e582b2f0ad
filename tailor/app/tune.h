/// \file The verbs of tuning: their options and functions. Private.
#pragma once

#include "tailor/app/app.h"
#include "tailor/console/shares.h"
#include "tailor/tune/backend.h"
#include "tailor/tune/records.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tailor::app {

using console::parse_shares;

/// What kernels are made of.
struct BackendArguments {
  std::string kind = "c++";  // or opencl, opencl:1, cuda, cuda:1
  std::string opencl;        // file of OpenCL's loader; "": as the system finds it
};
struct TuneArguments {
  std::filesystem::path model, db;
  std::vector<std::string> shapes;
  std::string share = "100", time = "10m", searcher = "model", gain = "0.2%";
  std::optional<int> jobs;                   // nothing: 1, or with CUDA as many shares as fit
  int threads = 0, samples = 5, trials = 0;  // threads 0: the cores of this machine; trials 0: no limit
  std::uint64_t seed = 1;
  bool no_library = false;
  std::string onednn;  // file of the library; "": as the system finds it
  BackendArguments backend;
  PageArguments page;
};
struct TuneAuditArguments {
  std::filesystem::path file;
  int top = 3, threads = 0;
  std::string max_regret = "5%";
  BackendArguments backend;
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
struct TuneInterferenceArguments {
  std::vector<std::string> layers;  // one model, or layers as text
  std::filesystem::path db;         // tuned configurations; may be empty
  std::vector<std::string> shapes;
  std::string share = "50,50", time = "5m", window = "20ms", max_drift = "2%";
  int rounds = 10, most = 5;
  std::uint64_t seed = 1;
  bool no_stressors = false;
  PageArguments page;
};
struct TuneAskArguments {
  std::filesystem::path file;
  std::vector<std::string> ops;
  std::string share, max_error = "25%";  // share: "": every one that is recorded
  int threads = 0;                       // 0: the cores of this machine
};
struct TuneCorunArguments {
  std::vector<std::filesystem::path> files;
  std::string goal = "makespan", weights, stretch = "1.0x";  // weights: "": all 1
  std::filesystem::path interference;                        // measured slowdowns; may be empty
  int top = 5;
};
struct TuneRankArguments {
  std::vector<std::string> layers;  // one model, or layers as text
  std::string device;
  std::vector<std::string> shapes;
  int multiprocessors = 0;                         // of the share; 0: all
  int top = 5, variants = 64, jobs = 0, most = 5;  // variants 0: all; jobs 0: cores
};
struct TuneReplayArguments {
  std::filesystem::path file, prior;  // prior may be empty
  std::string op;                     // "": the only one
  std::vector<std::string> searchers = {"model", "evolution", "random"};
  int trials = 100, seeds = 20;
  std::uint64_t seed = 1;
};

/// The OpenCL device that is asked for; nothing: kernels in C++.
/// @param threads that the whole device is said to be, 0 where nothing is said
/// @throws Error usage, unknown_name; as find_opencl
std::optional<tune::OpenClPlace> opencl_of(const BackendArguments& backend, int threads);
/// The number of the GPU that is asked for; nothing: another backend. @throws Error usage
std::optional<int> cuda_number(const BackendArguments& backend, int threads);
/// What shares are parts of: compute units, or threads. @param threads 0: the cores of this machine
int whole_device(const std::optional<tune::OpenClPlace>& opencl, int threads);

/// Says how many lines were damaged. @throws Error file_missing; unknown_name for a file without a record
tune::RecordFile read_records(const Global& global, const std::filesystem::path& path);

int tune_model(const Global& global, const TuneArguments& arguments);
int tune_audit(const Global& global, const TuneAuditArguments& arguments);
int tune_show(const Global& global, const TuneShowArguments& arguments);
int tune_merge(const Global& global, const TuneMergeArguments& arguments);
int tune_interference(const Global& global, const TuneInterferenceArguments& arguments);
int tune_ask(const Global& global, const TuneAskArguments& arguments);
int tune_corun(const Global& global, const TuneCorunArguments& arguments);
int tune_rank(const Global& global, const TuneRankArguments& arguments);
int tune_replay(const Global& global, const TuneReplayArguments& arguments);

}  // namespace tailor::app

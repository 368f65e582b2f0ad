/// \file The program: global options, one function per verb, and how results and errors are printed. Private.
#pragma once

#include "tailor/base/error.h"
#include "tailor/base/json.h"
#include "tailor/data/dataset.h"
#include "tailor/graph/shapes.h"
#include "tailor/pipeline/bench.h"
#include "tailor/pipeline/width_plan.h"
#include "tailor/runtime/profile.h"
#include "tailor/runtime/runner.h"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor::app {

/// What every verb obeys.
struct Global {
  bool json = false;              // one JSON document on stdout instead of text
  int verbosity = 0;              // -v, -vv
  bool quiet = false;             // no progress, no remarks
  std::string color = "auto";     // auto | always | never: of stderr
  std::string progress = "auto";  // auto | plain | none
  runtime::RunnerOptions runner = {};
};

/// Options of the verbs, as they were written; each verb makes sense of its own.
struct InspectOptions {
  std::filesystem::path model;
  std::vector<std::string> shapes;
  bool groups = false;
  int cuts = 0, threads = 1;  // cuts of each group that are tried
  std::uint64_t seed = 0;
};
struct BenchArguments {
  std::vector<std::filesystem::path> models;
  std::vector<std::string> shapes;
  int threads = 1, rounds = 0;
  std::uint64_t seed = 0;
  std::string time = "3s", max_noise = "2%";
};
struct PreparationArguments {
  std::vector<double> mean, std;
  double scale = 0;    // 0: as the data is
  std::string resize;  // "": refuse
  bool bgr = false;
};
struct VerifyArguments {
  std::filesystem::path eval, calib;
  PreparationArguments preparation;
  std::int64_t label_offset = 0, limit = 0;
  std::string max_drop, min_speedup, latency;  // "": no such gate
  BenchArguments bench;                        // two models
};
struct OptimizeArguments {
  std::filesystem::path model, out, plan, from, plan_out, calib, eval, profile, as_fast_as;
  std::string latency, speedup, max_drop, device = "cpu", recover = "lsq", time = "6s";
  std::string rule, criterion;  // "": exact; reconstruction, or l1 for another rule
  PreparationArguments preparation;
  std::int64_t label_offset = 0, fit = 1024, refit = 4096, judge = 512;
  std::vector<std::string> shapes;
  int threads = 1, rounds = 4, widths = 6;
  std::uint64_t seed = 0;
  bool best_effort = false, dry_run = false, no_augment = false, fresh = false, resume = false;
  bool keep_branches = false, keep_kernels = false;
};
struct PlanArguments {
  std::vector<std::filesystem::path> plans;  // one to show, two to compare; results for a table
};
struct ApplyArguments {
  std::filesystem::path plan, model, out;
  std::vector<std::string> shapes;
};
struct AnalyzeArguments {
  std::filesystem::path model;
  std::vector<std::string> shapes;
  std::string device = "cpu", layer;
  int threads = 1, top = 10;
  std::uint64_t seed = 0;
  bool all = false, fresh = false, resume = false;
};
struct MapArguments {
  std::filesystem::path model, out, calib, eval;
  std::string platform, objective = "latency", budget, max_drop, recover = "none";
  PreparationArguments preparation;
  std::int64_t label_offset = 0, limit = 0, calib_limit = 256;
  std::vector<std::string> shapes;
  int threads = 1;
  bool pareto = false;
};
struct PlaceArguments {
  std::filesystem::path workload;
  std::string objective = "throughput";
  int accelerators = -1, cpus = -1;  // < 0: as the workload says
  double memory = -1;
  std::int64_t steps = 4000000;
  std::uint64_t seed = 1;
};
struct DoctorOptions {
  std::string noise_test = "2s";  // 0: none
};

/// Each prints its result and returns the program's exit code; all else is thrown. @throws Error
int doctor(const Global& global, const DoctorOptions& options);
int inspect(const Global& global, const InspectOptions& options);
int analyze(const Global& global, const AnalyzeArguments& arguments);
int bench(const Global& global, const BenchArguments& arguments);
int verify(const Global& global, const VerifyArguments& arguments);
int optimize(const Global& global, const OptimizeArguments& arguments);
int map(const Global& global, const MapArguments& arguments);
int place(const Global& global, const PlaceArguments& arguments);
int plan_show(const Global& global, const PlanArguments& arguments);
int plan_diff(const Global& global, const PlanArguments& arguments);
int plan_table(const Global& global, const PlanArguments& arguments);
int plan_apply(const Global& global, const ApplyArguments& arguments);
int explain_code(const Global& global, const std::string& code);
int print_schema(const Global& global, const std::string& name);
int print_version(const Global& global);

/// Whether errors are wanted as JSON too; looks at the arguments before they are understood.
Global first_look(int count, char** arguments);
/// Understands the command line and runs the verb. @throws Error usage, unknown_name, bad_value and the
/// verb's
int run(int count, char** arguments, Global& global);

/// Prints `error[E3009]: ...` on stderr and, with --json, a document on stdout. Returns the exit code.
int report(const Global& global, const Error& error);
/// The stderr half: for outcomes that have a result document of their own.
void print_error(const Global& global, const Error& error);
/// A line on stderr if -v was given `level` times, and no -q.
void say(const Global& global, int level, const std::string& line);

/// Text to stdout, flushed. @throws Error write_failed (full disk, closed pipe)
void print(const std::string& text);
/// Columns of the terminal that stdout is; 120 if it is none.
std::size_t output_width();
/// The one document of --json. @throws Error write_failed
void print_document(const Json& json);

/// Name and text of every schema in schemas/, sorted by name.
const std::vector<std::pair<std::string_view, std::string_view>>& schemas();

/// "3", "3s", "500ms", "2m" -> seconds. @throws Error bad_value naming `option`
double parse_seconds(const std::string& text, const char* option);
/// "2%" or "0.02" -> 0.02. @throws Error bad_value
double parse_share(const std::string& text, const char* option);
/// "1.3x" or "1.3" -> 1.3. @throws Error bad_value
double parse_factor(const std::string& text, const char* option);
/// Every --shape. @throws Error bad_value, also for a name given twice
graph::ShapeOverrides parse_shapes(const std::vector<std::string>& texts);

/// "127.0 M", "300.0 k", "12"
std::string engineering(double number);
/// "914.2 us", "1.562 ms", "2.31 s"
std::string duration(double us);
/// "1x3x224x224" of a value, "?" if nothing is known
std::string shape_text(const graph::Shapes& shapes, const std::string& value);

/// "0.5" or "0.5%" -> 0.5 points. @throws Error bad_value
double parse_points(const std::string& text, const char* option);
/// A limit for the latency: as time, or as a share of the reference's.
struct LatencyLimit {
  std::optional<double> us = {}, ratio = {};
};
/// "5ms" or "0.68x". @throws Error bad_value
LatencyLimit parse_latency(const std::string& text, const char* option);
/// "10uJ", "0.5mJ" -> microjoules. @throws Error bad_value
double parse_energy(const std::string& text, const char* option);
/// --fresh and --resume. @throws Error usage if both are given
runtime::Journal journal_of(bool fresh, bool resume);
/// @throws Error bad_value, unknown_name
data::Preparation preparation_of(const PreparationArguments& arguments);
/// Options of a measurement from the arguments. @throws Error bad_value
pipeline::BenchOptions bench_options(const Global& global, const BenchArguments& arguments);
/// A target that cannot be written is found before the work, not after it. @throws Error write_failed
void check_target(const std::filesystem::path& target);
/// The table of `plan show`, which `optimize` shows too.
std::string plan_text(const pipeline::WidthPlan& plan);
/// The table of `bench`, which `verify` shows too.
std::string bench_text(const pipeline::BenchResult& result);

}  // namespace tailor::app

/// \file The program: global options, one function per verb, and how results and errors are printed. Private.
#pragma once

#include "tailor/base/error.h"
#include "tailor/base/json.h"
#include "tailor/console/console.h"
#include "tailor/data/dataset.h"
#include "tailor/graph/overrides.h"
#include "tailor/graph/shapes.h"
#include "tailor/pipeline/bench.h"
#include "tailor/pipeline/gpu_target.h"
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

using console::check_target, console::parse_energy, console::duration, console::engineering,
    console::output_width, console::parse_factor, console::parse_points, console::parse_seconds,
    console::parse_share, console::preparation_of, console::print, console::print_document,
    console::print_error, console::report, console::say;
using console::PreparationArguments;

/// What every verb obeys.
struct Global : console::Voice {
  runtime::RunnerOptions runner = {};
};

/// A page of what a verb found: --report of several verbs.
struct PageArguments {
  std::filesystem::path report = {};
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
  std::string time = "5s", max_noise = "5%";
  PageArguments page;
  std::string device = "cpu", precision;  // precision: of a GPU only
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
  std::string latency, speedup, max_drop, precision, recover = "lsq", time = "6s";
  std::string rule, criterion;  // "": exact; reconstruction, or l1 for another rule
  PreparationArguments preparation;
  std::int64_t label_offset = 0, fit = 1024, refit = 4096, judge = 512;
  std::vector<std::string> shapes, devices = {"cpu"};
  int threads = 1, rounds = 0, widths = 6, joint = -1;  // joint: -1: not given
  std::uint64_t seed = 0;
  bool best_effort = false, dry_run = false, no_augment = false, fresh = false, resume = false;
  bool keep_branches = false, keep_kernels = false, keep_streams = false, merge = false, free = false,
       tokens = false;
  std::string macs;
  std::filesystem::path widths_from, gradients, patterns;
  PageArguments page;
};
struct GrowArguments {
  std::filesystem::path model, out, profile;
  std::string latency = "1.0x", most = "2x", time = "6s";
  std::vector<std::string> shapes;
  int threads = 1, widths = 6;
  std::uint64_t seed = 0;
  bool fresh = false, resume = false;
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
  std::string device = "cpu", precision, layer, over;  // precision and over: of a described device only
  int threads = 1, top = 10;
  std::uint64_t seed = 0;
  bool all = false, fresh = false, resume = false, free = false;
  PageArguments page;
  std::filesystem::path base, netron, trace, csv;
};
struct ReportArguments {
  std::vector<std::filesystem::path> runs;
  std::filesystem::path out;
};
struct DeviceArguments {
  std::string name;
};
struct DeviceProbeArguments {
  std::string name;           // "": made of what the driver calls it
  std::filesystem::path out;  // empty: stdout
};
struct DeviceNewArguments {
  std::string name, like, title;
  int multiprocessors = 0;                             // 0: as of the other
  double clock_mhz = 0, gbytes_per_s = 0, gbytes = 0;  // 0: as of the other
  std::filesystem::path out;                           // empty: stdout
};
struct DeviceFitArguments {
  std::filesystem::path folder, out;  // out: empty: nothing is written
  std::string like, name;             // name: "": that of `like`
};
struct MapArguments {
  std::filesystem::path model, out, calib, eval, trace, split, quantised, pieces, mapping;
  std::string platform, objective = "latency", budget, max_drop, recover = "none", time = "20s", baseline;
  PreparationArguments preparation;
  std::int64_t label_offset = 0, limit = 0, calib_limit = 256;
  std::vector<std::string> shapes;
  int threads = 1;
  bool pareto = false;
  PageArguments page;
};
struct PlaceArguments {
  std::filesystem::path workload, out;  // a workload file, or a model
  std::string objective = "throughput";
  int accelerators = -1, cpus = -1;  // < 0: as the workload says
  double memory = -1;
  std::int64_t steps = 4000000;
  std::uint64_t seed = 1;
  int stages = 2;  // of a model
  std::vector<std::string> shapes;
};
struct DoctorOptions {
  std::string noise_test = "2s";  // 0: none
};

/// Each prints its result and returns the program's exit code; all else is thrown. @throws Error
int doctor(const Global& global, const DoctorOptions& options);
int inspect(const Global& global, const InspectOptions& options);
int analyze(const Global& global, const AnalyzeArguments& arguments);
/// The half of analyze for devices that are only described.
int analyze_described(const Global& global, const AnalyzeArguments& arguments);
/// The half of analyze for a GPU that is there.
int analyze_on_gpu(const Global& global, const AnalyzeArguments& arguments);
int bench(const Global& global, const BenchArguments& arguments);
int devices_list(const Global& global, const DeviceArguments& arguments);
int devices_show(const Global& global, const DeviceArguments& arguments);
int devices_probe(const Global& global, const DeviceProbeArguments& arguments);
int devices_new(const Global& global, const DeviceNewArguments& arguments);
int devices_fit(const Global& global, const DeviceFitArguments& arguments);
int verify(const Global& global, const VerifyArguments& arguments);
int optimize(const Global& global, const OptimizeArguments& arguments);
int map(const Global& global, const MapArguments& arguments);
int place(const Global& global, const PlaceArguments& arguments);
/// The half of place for models.
int place_model(const Global& global, const PlaceArguments& arguments);
int grow(const Global& global, const GrowArguments& arguments);
int plan_show(const Global& global, const PlanArguments& arguments);
int plan_diff(const Global& global, const PlanArguments& arguments);
int plan_table(const Global& global, const PlanArguments& arguments);
int plan_apply(const Global& global, const ApplyArguments& arguments);
int report_runs(const Global& global, const ReportArguments& arguments);
int explain_code(const Global& global, const std::string& code);
int print_schema(const Global& global, const std::string& name);
int print_version(const Global& global);

/// Names and descriptions of the verbs that tailor-learn does.
const std::vector<std::pair<std::string, std::string>>& learning_verbs();
bool is_learning_verb(const std::string& word);
/// Becomes that program, with the same arguments. @throws Error trainer_missing
[[noreturn]] void start_learning(int count, char** arguments);

/// Understands the command line and runs the verb. @throws Error usage, unknown_name, bad_value and the
/// verb's
int run(int count, char** arguments, Global& global);

/// Name and text of every schema in schemas/, sorted by name.
const std::vector<std::pair<std::string_view, std::string_view>>& schemas();

/// Targets that --report and its like name are found unwritable before the work. @throws Error write_failed
void check_page(const PageArguments& page);
/// The page of a document, if one is asked for. @throws Error write_failed
void write_page(const Global& global, const PageArguments& page, const Json& document);
/// --netron, --trace and --csv of analyze, before the work and after it. @throws Error write_failed
void check_exports(const AnalyzeArguments& arguments);
void write_exports(const Global& global, const AnalyzeArguments& arguments, const Json& document);

/// --trace of other verbs. @throws Error write_failed
void check_trace(const std::filesystem::path& path);
void write_trace(const Global& global, const std::filesystem::path& path, const Json& document);

/// "1x3x224x224" of a value, "?" if nothing is known
std::string shape_text(const graph::Shapes& shapes, const std::string& value);

/// A limit for the latency: as time, or as a share of the reference's.
struct LatencyLimit {
  std::optional<double> us = {}, ratio = {};
};
/// "5ms" or "0.68x". @throws Error bad_value
LatencyLimit parse_latency(const std::string& text, const char* option);
/// --fresh and --resume. @throws Error usage if both are given
runtime::Journal journal_of(bool fresh, bool resume);
/// -d cuda of a verb that also runs samples: --runner is the GPU's, so the samples of `bench` go to the default one.
/// @throws Error bad_value (precision), usage (threads)
pipeline::GpuTarget gpu_target(const std::string& precision, int threads, pipeline::BenchOptions& bench);
/// Options of a measurement from the arguments. @throws Error bad_value
pipeline::BenchOptions bench_options(const Global& global, const BenchArguments& arguments);
/// The table of `plan show`, which `optimize` shows too.
std::string plan_text(const pipeline::WidthPlan& plan);
/// The table of `bench`, which `verify` shows too.
std::string bench_text(const pipeline::BenchResult& result);

}  // namespace tailor::app

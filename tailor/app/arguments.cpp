// The command line: what each verb takes, in CLI11's words. Options that several programs share, and what becomes of
// CLI11's complaints, are in console/command_line.cpp.
#include "tailor/app/arguments.h"

#include "tailor/app/app.h"
#include "tailor/app/outline.h"
#include "tailor/app/version.h"
#include "tailor/console/command_line.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

// What --help calls the value of an option that takes a path.
template <>
constexpr const char* CLI::detail::type_name<std::filesystem::path>() {
  return "FILE";
}

namespace tailor::app {

CLI::App* add_verb(CLI::App& app, Invocation& invocation, const char* name, const char* help,
                   std::function<int(const Global&)> call) {
  CLI::App* sub = app.add_subcommand(name, help);
  sub->callback([&invocation, name, call] { invocation = {name, call}; });
  return sub;
}

void add_page(CLI::App& sub, PageArguments& page) {
  sub.add_option("--report", page.report, "also write a page for people: one HTML file, charts and tables");
}

namespace {

void add_doctor(CLI::App& app, Invocation& invocation) {
  auto [sub, o] = verb<DoctorOptions>(app, invocation, "doctor",
                                      "what is usable on this host, and how to fix the rest", doctor);
  sub->add_option("--noise-test", o->noise_test, "how long to test the timer; 0: not at all")
      ->capture_default_str();
}

void add_inspect(CLI::App& app, Invocation& invocation) {
  auto [sub, o] =
      verb<InspectOptions>(app, invocation, "inspect",
                           "what a model is made of: layers, channel groups, what can be changed", inspect);
  sub->add_option("MODEL", o->model, "ONNX file")->required();
  sub->add_option("--shape", o->shapes, kShapeHelp)->allow_extra_args(false);
  sub->add_flag("--groups", o->groups, "every channel group with the layers that share it");
  sub->add_option(
      "--cuts", o->cuts,
      "also cut each group at random so many times, and run that beside the model masked alike: exit "
      "code 4 if outputs differ");
  sub->add_option("--threads", o->threads, "threads of the runtime")->capture_default_str();
  sub->add_option("--seed", o->seed, "of the cuts and the random inputs")->capture_default_str();
}

void add_journal(CLI::App& sub, bool& fresh, bool& resume) {
  sub.add_flag("--fresh", fresh, "measure anew what an earlier run has measured");
  sub.add_flag("--resume", resume,
               "go on from an earlier run's layer timings, as always, but refuse to start without any");
}

void add_analyze(CLI::App& app, Invocation& invocation) {
  auto [sub, o] =
      verb<AnalyzeArguments>(app, invocation, "analyze",
                             "where the time goes, layer by layer, and which widths do not fit", analyze);
  sub->add_option("MODEL", o->model, "ONNX file")->required();
  sub->add_option("--shape", o->shapes, kShapeHelp)->allow_extra_args(false);
  sub->add_option("-d,--device", o->device,
                  "cpu or cuda (an NVIDIA GPU that is there, or with --runner elsewhere), which are "
                  "measured; or a GPU that "
                  "is modelled from its description: a name of tailor devices list, or a TOML file")
      ->capture_default_str();
  sub->add_option("--precision", o->precision, "of a GPU: f32 (default), tf32, f16, bf16 or i8");
  sub->add_option(
      "--over", o->over,
      "of a described device: the staircase of --layer over oc (output width; default), ic (input width), mb "
      "(batch) or sm (multiprocessors)");
  sub->add_option("--threads", o->threads, "threads of the runtime")->capture_default_str();
  sub->add_option("--layer", o->layer, "also measure and draw the staircase of this layer");
  sub->add_option("--top", o->top, "show so many layers")->capture_default_str();
  sub->add_flag("--free", o->free,
                "of a GPU: also list the widths that cost nothing, up to the right edge of each step");
  sub->add_option(
      "--base", o->base,
      "a model that this one was made of, by pruning for instance: what each layer gave up, and what "
      "it got for it");
  sub->add_flag("--all", o->all, "show all layers, and what else is executed");
  add_journal(*sub, o->fresh, o->resume);
  sub->add_option("--seed", o->seed, "of the order and the random inputs")->capture_default_str();
  add_page(*sub, o->page);
  sub->add_option("--netron", o->netron, "also write figures of the layers for Netron's side bar (JSON)");
  sub->add_option("--trace", o->trace,
                  "also write what was executed as a trace for Perfetto or Chrome (JSON)");
  sub->add_option("--csv", o->csv, "also write the table of layers, every layer, as CSV");
}

void add_report(CLI::App& app, Invocation& invocation) {
  auto [sub, o] = verb<ReportArguments>(app, invocation, "report",
                                        "a page for people from results that --json printed", report_runs);
  sub->add_option(
         "RUNS", o->runs,
         "one JSON file; two of one kind to compare; patterns and a plan for their model; or up to 32 of "
         "optimize")
      ->required()
      ->expected(1, 32);
  sub->add_option("-o,--output", o->out, "HTML file to write")->required();
}

void add_timing(CLI::App& sub, BenchArguments& o) {
  sub.add_option("--shape", o.shapes, kShapeHelp)->allow_extra_args(false);
  sub.add_option("--threads", o.threads, "threads of the runtime")->capture_default_str();
  sub.add_option("--time", o.time, "how long to measure, all models and processes together")
      ->capture_default_str();
  sub.add_option("--rounds", o.rounds,
                 "measure so many rounds, divided among three processes, instead of a time");
  sub.add_option("--max-noise", o.max_noise, "widest 95 % interval that is trusted")->capture_default_str();
  sub.add_option("--seed", o.seed, "of the order and the random inputs")->capture_default_str();
  add_page(sub, o.page);
}

void add_measured_device(CLI::App& sub, BenchArguments& o) {
  sub.add_option(
         "-d,--device", o.device,
         "where speed is measured: cpu, or cuda: an NVIDIA GPU that is there, or with --runner elsewhere")
      ->capture_default_str();
  sub.add_option("--precision", o.precision, "on a GPU: f32 (default), tf32, f16, bf16 or i8");
}

void add_bench(CLI::App& app, Invocation& invocation) {
  auto [sub, o] = verb<BenchArguments>(app, invocation, "bench",
                                       "time models against each other in interleaved rounds", bench);
  sub->add_option("MODELS", o->models, "ONNX files; the first is the reference")->required();
  add_measured_device(*sub, *o);
  add_timing(*sub, *o);
}

void add_verify(CLI::App& app, Invocation& invocation) {
  auto [sub, o] = verb<VerifyArguments>(app, invocation, "verify",
                                        "is model B as good as model A, and faster? Checks gates", verify);
  sub->add_option("MODELS", o->bench.models, "A, the reference, and B, the changed model")
      ->required()
      ->expected(2);
  sub->add_option("--eval", o->eval, "labelled samples: top-1 of both models");
  sub->add_option("--calib", o->calib, "samples without labels: agreement of both models");
  console::add_preparation(*sub, o->preparation);
  sub->add_option("--label-offset", o->label_offset, "added to each label (1: class 0 is the background)");
  sub->add_option("--limit", o->limit, "use only the first so many samples");
  sub->add_option("--max-drop", o->max_drop, "gate: points of top-1 that B may lose");
  sub->add_option("--min-speedup", o->min_speedup, "gate: how much faster B must be, 1.3x");
  sub->add_option("--latency", o->latency, "gate: how long B may take, 5ms, or 0.68x of A");
  add_measured_device(*sub, o->bench);
  add_timing(*sub, o->bench);
}

void add_search(CLI::App& sub, OptimizeArguments& o) {
  sub.add_option("--latency", o.latency, "goal: at most 5ms, or 0.68x of the model's latency");
  sub.add_option("--speedup", o.speedup, "goal: 1.4x, or max (as fast as --max-drop allows)");
  sub.add_option("--max-drop", o.max_drop, "points of top-1 (of agreement without --eval) that may be lost");
  sub.add_option(
      "--macs", o.macs,
      "goal, for comparison: at most 0.5x of the multiply-accumulates, whatever that does to the time");
  sub.add_option("--widths-from", o.widths_from,
                 "goal: faster than the widths in this file (a plan, or {\"widths\": {\"layer\": 11}}), at "
                 "no more loss");
  sub.add_option("--as-fast-as", o.as_fast_as,
                 "goal: the share of the latency that this result of optimize --json reached");
  sub.add_option("--rule", o.rule,
                 "how widths are chosen: exact (the planner; default), or for comparison uniform (each group "
                 "loses the same share), round:8 (uniform, then down to a multiple of 8; or another number)");
  sub.add_option("--criterion", o.criterion,
                 "order in which channels go: reconstruction, l1, l2, bn, fpgm, activation, functionality "
                 "(those first that do what another one does), taylor or fisher (with --gradients) "
                 "(default: reconstruction for the rule exact, l1 for others)");
  sub.add_option(
      "--gradients", o.gradients,
      "for --criterion taylor or fisher, and functionality with --patterns: what `tailor worth` wrote");
  sub.add_option(
      "--patterns", o.patterns,
      "for --criterion functionality: clusters that `tailor patterns` found; each keeps a channel as long as "
      "there is another way, by --gradients the worthiest");
  sub.add_option(
         "--recover", o.recover,
         "after a cut: lsq (refit the readers), bn (only estimate the statistics of BatchNormalization "
         "again, from images as they are), none")
      ->capture_default_str();
  sub.add_option(
      "--joint", o.joint,
      "layers in a row that the last repair fits together to their common goal, 2 to 16; depthwise "
      "ones come along; 0: each by itself (default: 2; only with --recover lsq)");
  sub.add_option("--rounds", o.rounds,
                 "rule exact: repair, table, plan, measurement: so many times; 0: one for each 15 % that it "
                 "gets faster")
      ->capture_default_str();
  sub.add_option("--widths", o.widths, "rule exact: candidates per channel group")->capture_default_str();
  sub.add_flag("--keep-branches", o.keep_branches, "rule exact: no residual branch is folded or dropped");
  sub.add_flag("--keep-kernels", o.keep_kernels, "rule exact: no kernel gets smaller (3x3 to 3x2, 3x1, ...)");
  sub.add_flag("--keep-streams", o.keep_streams, "widths that residual sums carry stay as they are");
  sub.add_flag("--tokens", o.tokens,
               "rule exact, transformers: from some block on fewer tokens may be carried, the same places of "
               "every input; "
               "which and how many is chosen with the widths");
  sub.add_flag("--merge", o.merge,
               "simple rules and plans: what a channel does that goes is taken over by the one that stays "
               "and does most "
               "alike, before anything is recovered");
  sub.add_option("--fit", o.fit, "calibration samples that repair is fitted to while searching")
      ->capture_default_str();
  sub.add_option("--refit", o.refit, "calibration samples that the last repair is fitted to")
      ->capture_default_str();
  sub.add_option("--judge", o.judge, "other calibration samples, on which loss is measured")
      ->capture_default_str();
  sub.add_flag("--no-augment", o.no_augment,
               "calibration images as they are, neither shifted nor mirrored nor blended");
}

void add_optimize(CLI::App& app, Invocation& invocation) {
  auto [sub, o] = verb<OptimizeArguments>(app, invocation, "optimize",
                                          "a faster model at the accuracy that it states", optimize);
  sub->add_option("MODEL", o->model, "ONNX file")->required();
  sub->add_option("-o,--output", o->out, "ONNX file to write")->required();
  add_search(*sub, *o);
  sub->add_option("--calib", o->calib,
                  "samples, labels not needed: CIFAR binary, IDX, npz, npy or a folder of images")
      ->required();
  sub->add_option("--eval", o->eval, "labelled samples: top-1 before and after");
  console::add_preparation(*sub, o->preparation);
  sub->add_option("--label-offset", o->label_offset, "added to each label (1: class 0 is the background)");
  sub->add_option("--shape", o->shapes, kShapeHelp)->allow_extra_args(false);
  sub->add_option(
         "-d,--device", o->devices,
         "cpu or cuda (an NVIDIA GPU that is there, or with --runner elsewhere), which are "
         "measured; or a GPU or an accelerator that is modelled from its description (tailor devices "
         "list, tailor platform list, or a TOML file); that several times: one model "
         "for all of them, with the mean of their shares as its latency")
      ->allow_extra_args(false)
      ->capture_default_str();
  sub->add_option("--precision", o->precision, "of GPUs: f32 (default), tf32, f16, bf16 or i8");
  sub->add_option("--threads", o->threads, "threads of the runtime")->capture_default_str();
  sub->add_option("--seed", o->seed, "of samples, order and random inputs")->capture_default_str();
  sub->add_option("--time", o->time, "how long to compare the result with the original")
      ->capture_default_str();
  sub->add_option("--plan", o->plan, "carry out this plan instead of searching");
  sub->add_option("--from", o->from,
                  "rule exact: begin with the decisions of this plan, for a goal that is faster still");
  sub->add_option("--plan-output", o->plan_out, "where the plan goes (default: OUTPUT with .plan.json)");
  sub->add_option("--profile", o->profile, "journal of measured layers (default: in the cache folder)");
  add_journal(*sub, o->fresh, o->resume);
  sub->add_flag("--free", o->free,
                "also list the widths of the result that could be larger for nothing, up to the right edge "
                "of each step");
  sub->add_flag("--best-effort", o->best_effort, "write the nearest model if the goal is not met");
  sub->add_flag("--dry-run", o->dry_run, "search and verify, write no model");
  add_page(*sub, o->page);
}

void add_grow(CLI::App& app, Invocation& invocation) {
  auto [sub, o] = verb<GrowArguments>(
      app, invocation, "grow",
      "as many channels as the time holds: a wider model that computes the same, to be trained", grow);
  sub->add_option("MODEL", o->model, "ONNX file")->required();
  sub->add_option("-o,--output", o->out, "ONNX file to write")->required();
  sub->add_option("--latency", o->latency, "at most this share of the model's latency")
      ->capture_default_str();
  sub->add_option("--most", o->most, "no group grows to more than this many times its width")
      ->capture_default_str();
  sub->add_option("--widths", o->widths, "candidates per channel group")->capture_default_str();
  sub->add_option("--shape", o->shapes, kShapeHelp)->allow_extra_args(false);
  sub->add_option("--threads", o->threads, "threads of the runtime")->capture_default_str();
  sub->add_option("--seed", o->seed, "of the drawn weights and random inputs")->capture_default_str();
  sub->add_option("--time", o->time, "how long to compare the result with the original")
      ->capture_default_str();
  sub->add_option("--profile", o->profile, "journal of measured layers (default: in the cache folder)");
  add_journal(*sub, o->fresh, o->resume);
}

void add_plan(CLI::App& app, Invocation& invocation) {
  CLI::App* plan = app.add_subcommand(
      "plan", "plans as files: show one, compare two, apply one to its model as it is, tabulate results");
  plan->require_subcommand(1);
  auto [show, o] = verb<PlanArguments>(*plan, invocation, "show",
                                       "what a plan changes, and what that measured", plan_show);
  show->add_option("PLAN", o->plans, "JSON file")->required()->expected(1);
  auto [table, t] = verb<PlanArguments>(*plan, invocation, "table",
                                        "what runs of optimize reached, as one Markdown table", plan_table);
  table->add_option("RESULTS", t->plans, "JSON files that optimize --json printed")->required();
  auto [diff, d] =
      verb<PlanArguments>(*plan, invocation, "diff", "where two plans of one model differ", plan_diff);
  diff->add_option("PLANS", d->plans, "two JSON files")->required()->expected(2);
  auto [apply, a] = verb<ApplyArguments>(
      *plan, invocation, "apply", "cut, drop and widen as a plan says; no data, no refitting, no timing",
      plan_apply);
  apply->add_option("PLAN", a->plan, "JSON file")->required();
  apply->add_option("MODEL", a->model, "ONNX file that the plan was made for")->required();
  apply->add_option("-o,--output", a->out, "ONNX file to write")->required();
  apply->add_option("--shape", a->shapes, kShapeHelp)->allow_extra_args(false);
}

void add_map(CLI::App& app, Invocation& invocation) {
  auto [sub, o] = verb<MapArguments>(app, invocation, "map",
                                     "split layers over the units of a system on chip, exactly", map);
  sub->add_option("MODEL", o->model, "ONNX file with f32 weights")->required();
  sub->add_option("--platform", o->platform,
                  "diana, darkside, gap8, mpic, ne16, cpu (measured: a precision per layer), or a "
                  "description FILE.toml")
      ->required();
  sub->add_option("--objective", o->objective, "what is kept small: latency or energy")
      ->capture_default_str();
  sub->add_option("--budget", o->budget,
                  "goal: least loss at no more than 0.4ms (or 10uJ), 0.5x of the most precise mapping, or "
                  "1.05x-least: of the cheapest one");
  sub->add_option(
      "--max-drop", o->max_drop,
      "goal: least cost at no more than so many points of top-1 lost (of agreement without --eval), "
      "measured with rounded weights, without retraining");
  sub->add_option("--baseline", o->baseline, "instead of a goal: the baseline of that name");
  sub->add_option("--mapping", o->mapping, "instead of a goal: the mapping in this document of map --json");
  sub->add_option("--calib", o->calib,
                  "samples: what a layer loses is measured on them, not told from its weights");
  sub->add_option("--calib-limit", o->calib_limit, "how many of them")->capture_default_str();
  sub->add_option("--eval", o->eval,
                  "labelled samples: top-1 of the mapping and of what it is compared with");
  sub->add_option("--limit", o->limit, "use only the first so many samples of --eval");
  add_preparation(*sub, o->preparation);
  sub->add_option("--label-offset", o->label_offset, "added to each label (1: class 0 is the background)");
  sub->add_option("--shape", o->shapes, kShapeHelp)->allow_extra_args(false);
  sub->add_option("--threads", o->threads, "threads of the runtime, where samples are run")
      ->capture_default_str();
  sub->add_option("--recover", o->recover,
                  "before a mapping is judged or written: bn (statistics of BatchNormalization moved as far "
                  "as rounding "
                  "moves them on --calib), none")
      ->capture_default_str();
  sub->add_option("--time", o->time,
                  "on a measured platform: how long layers are timed, and whole networks again")
      ->capture_default_str();
  sub->add_flag("--pareto", o->pareto, "show the front");
  sub->add_option("--trace", o->trace,
                  "also write which unit works when as a trace for Perfetto or Chrome (JSON)");
  sub->add_option("-o,--output", o->out,
                  "write the model with its weights rounded as the chosen units keep them");
  sub->add_option(
      "--split", o->split,
      "write the network in 8 bits (QuantizeLinear, DequantizeLinear), each layer as one node per "
      "unit; activations keep their range on --calib");
  sub->add_option("--pieces", o->pieces,
                  "write that network in pieces into a folder: a model for each unit's part of each layer, "
                  "those of the host between them, and pieces.json");
  sub->add_option("--quantised", o->quantised, "write the same network in 8 bits before it is split");
  add_page(*sub, o->page);
}

void add_place(CLI::App& app, Invocation& invocation) {
  auto [sub, o] = verb<PlaceArguments>(
      app, invocation, "place", "operators over several accelerators and CPUs, or a model over cores", place);
  sub->add_option(
         "WORKLOAD", o->workload,
         "JSON file: operators, their times on each kind of device, edges; or a model (.onnx), to be cut "
         "into stages that run on cores of their own")
      ->required();
  sub->add_option("-o,--out", o->out, "of a model: folder for the stages, each a model of its own");
  sub->add_option("--stages", o->stages, "of a model: how many, one core for each")->capture_default_str();
  sub->add_option("--shape", o->shapes, kShapeHelp)->allow_extra_args(false);

  sub->add_option("--objective", o->objective,
                  "throughput (samples in a pipeline: the largest load) or latency (one sample alone)")
      ->capture_default_str();
  sub->add_option("--accelerators", o->accelerators, "how many (default: as the workload says)");
  sub->add_option("--cpus", o->cpus, "how many (default: as the workload says)");
  sub->add_option("--memory", o->memory, "bytes of one accelerator (default: as the workload says)");
  sub->add_option("--steps", o->steps, "of the search that goes on from the exact split; 0: none")
      ->capture_default_str();
  sub->add_option("--seed", o->seed, "of that search")->capture_default_str();
}

// Verbs that take one word or none.
void add_word(CLI::App& app, Invocation& invocation, const char* name, const char* help, const char* word,
              bool required, int (*act)(const Global&, const std::string&)) {
  auto [sub, text] = verb<std::string>(app, invocation, name, help, act);
  auto* option = sub->add_option(word, *text);
  if (required) option->required();
}

void add_global(CLI::App& app, Global& global, bool& version) {
  app.add_flag("--version", version, "version of tailor, its compiler, and the runtime that it finds");
  console::add_voice(app, global);
  app.add_option("--runner", global.runner.command,
                 "command of the program that measures, for instance over ssh");
  app.add_option("--ort-library", global.runner.library, "libonnxruntime.so to use");
}

// Verbs whose result is the command line itself.
void add_outlines(CLI::App& app, Invocation& invocation) {
  auto shell = std::make_shared<std::string>();
  CLI::App* completion = app.add_subcommand("completion", "a script that completes this command line");
  completion->add_option("SHELL", *shell, "bash, zsh or fish")->required();
  completion->callback([&app, &invocation, shell] {
    invocation = {"completion", [&app, shell](const Global&) {
                    return print(console::completion_script(outline_of(app), *shell)), 0;
                  }};
  });
  auto markdown = std::make_shared<bool>(false);
  CLI::App* manual = app.add_subcommand("man", "the manual page, for man -l -");
  manual->add_flag("--markdown", *markdown, "the same in Markdown");
  manual->callback([&app, &invocation, markdown] {
    invocation = {"man", [&app, markdown](const Global&) {
                    const console::VerbOutline outline = outline_of(app);
                    return print(*markdown ? console::manual_markdown(outline, app.get_footer())
                                           : console::manual_page(outline, kVersion, app.get_footer())),
                           0;
                  }};
  });
}

}  // namespace

int run(int count, char** arguments, Global& global) {
  CLI::App app("Tailor fits neural networks to the hardware that runs them: ONNX in, faster ONNX out.",
               "tailor");
  app.fallthrough();
  app.require_subcommand(0, 1);
  console::use_help(app);
  app.footer(
      "Exit codes: 0 done, 1 bug, 2 usage, 3 model, 4 goal or gate not met, 5 measurement not trustworthy,\n"
      "6 device or runtime missing, 8 partial or not written, 130 interrupted.  tailor explain E3009 tells "
      "more.");
  Invocation invocation;
  bool version = false;
  add_global(app, global, version);
  add_doctor(app, invocation);
  add_inspect(app, invocation);
  add_analyze(app, invocation);
  add_devices(app, invocation);
  add_platform(app, invocation);
  add_bench(app, invocation);
  add_verify(app, invocation);
  add_optimize(app, invocation);
  add_grow(app, invocation);
  add_plan(app, invocation);
  add_map(app, invocation);
  add_place(app, invocation);
  add_report(app, invocation);
  add_tune(app, invocation);
  add_word(app, invocation, "explain", "what an error code means", "CODE", true, explain_code);
  add_word(app, invocation, "schema", "print the schema of a --json document, or list them", "NAME", false,
           print_schema);
  add_outlines(app, invocation);
  for (const auto& [name, help] : learning_verbs()) app.add_subcommand(name, help);
  add_headings(app);
  if (is_learning_verb(console::first_word(app, count, arguments))) start_learning(count, arguments);
  console::check_names(app, count, arguments);
  try {
    app.parse(count, arguments);
  } catch (const CLI::CallForHelp&) {
    return print(app.help()), 0;
  } catch (const CLI::ParseError& error) {
    console::rethrow(app, error);
  }
  console::apply(global);
  if (version) return print_version(global);
  if (!invocation.call) {
    if (count > 1)
      throw Error(Code::usage, "no verb given", "command line",
                  "tailor analyze MODEL is a good first one; tailor --help lists them all");
    print(app.help());
    return 0;
  }
  return invocation.call(global);
}

}  // namespace tailor::app

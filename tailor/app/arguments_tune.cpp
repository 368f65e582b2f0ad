// The command line of tune: what a search may take, and what is asked of records.
#include "tailor/app/arguments.h"
#include "tailor/app/tune.h"

#include <CLI/CLI.hpp>

// As in arguments.cpp: a specialisation must be the same wherever it is used.
template <>
constexpr const char* CLI::detail::type_name<std::filesystem::path>() {
  return "FILE";
}

namespace tailor::app {

namespace {

// What kernels and networks cost each other, and what shares they should have.
void add_sharing(CLI::App& tune, Invocation& invocation) {
  auto [interference, i] = verb<TuneInterferenceArguments>(
      tune, invocation, "interference",
      "how much slower each layer is in its part of the cores while another runs in the neighbouring part",
      tune_interference);
  interference->add_option("LAYERS", i->layers, "an ONNX file, or layers as text (tune show has some)")
      ->required();
  interference->add_option("--db", i->db, "record file: its best configurations are taken");
  interference->add_option("--shape", i->shapes, kShapeHelp)->allow_extra_args(false);
  interference->add_option("--share", i->share, "of the two parts, in per cent of the cores")
      ->capture_default_str();
  interference->add_option("--most", i->most, "of a model so many, those with most work")
      ->capture_default_str();
  interference->add_flag("--no-stressors", i->no_stressors,
                         "without the three kernels that use up arithmetic, cache and memory");
  interference->add_option("--rounds", i->rounds, "visits of each pair")->capture_default_str();
  interference->add_option("--time", i->time, "no new round is begun after so long; 0: no limit")
      ->capture_default_str();
  interference->add_option("--window", i->window, "how long kernels run at a time")->capture_default_str();
  interference
      ->add_option("--max-drift", i->max_drift,
                   "of a kernel that never changes, above which a visit is thrown away")
      ->capture_default_str();
  interference->add_option("--seed", i->seed, "of the order")->capture_default_str();
  add_page(*interference, i->page);
  auto [ask, a] = verb<TuneAskArguments>(
      tune, invocation, "ask",
      "the configuration and time of layers that were not measured, from those that were", tune_ask);
  ask->add_option("RECORDS", a->file, "JSON lines")->required();
  ask->add_option("--op", a->ops, "layer as text; may be given several times")
      ->required()
      ->allow_extra_args(false);
  ask->add_option("--share", a->share, "in per cent (default: every one that is recorded)");
  ask->add_option("--threads", a->threads, "what the whole device was (default: the cores of this machine)");
  ask->add_option("--max-error", a->max_error,
                  "no time is promised where recorded layers, left out, are missed by more")
      ->capture_default_str();
  auto [corun, c] = verb<TuneCorunArguments>(
      tune, invocation, "corun", "which share of the device each of several networks should get", tune_corun);
  corun->add_option("RESULTS", c->files, "tailor tune --json of each network, tuned at several shares")
      ->required();
  corun->add_option("--goal", c->goal, "makespan (the slowest of them) or latency (weighted sum)")
      ->capture_default_str();
  corun->add_option("--weights", c->weights, "of their latencies, 2,1 (default: all 1)");
  corun->add_option("--stretch", c->stretch, "what neighbours cost: a factor on every time")
      ->capture_default_str();
  corun->add_option("--interference", c->interference,
                    "tailor tune interference --json: slowdowns by pairs of operators, of two networks");
  corun->add_option("--top", c->top, "show so many divisions")->capture_default_str();
}

void add_backend(CLI::App& verb, BackendArguments& backend) {
  verb.add_option("--backend", backend.kind,
                  "what kernels are made of: c++, or opencl on the first OpenCL device, opencl:1 on the "
                  "second, or cuda "
                  "on the first NVIDIA GPU, cuda:1 on the second; shares are then of its compute units")
      ->capture_default_str();
  verb.add_option("--opencl", backend.opencl,
                  "OpenCL's loader (default: libOpenCL.so.1, as the system finds it)");
}

// Kernels for GPUs that are described.
void add_rank(CLI::App& tune, Invocation& invocation) {
  auto [rank, r] = verb<TuneRankArguments>(
      tune, invocation, "rank",
      "CUDA kernels for a described GPU, compiled and ranked by a model; nothing runs on a GPU", tune_rank);
  rank->add_option("LAYERS", r->layers, "an ONNX file, or layers in f16 as text")->required();
  rank->add_option("-d,--device", r->device, "a GPU by description: a name (devices list) or a file")
      ->required();
  rank->add_option("--sms", r->multiprocessors, "multiprocessors of the share (default: all of the device)");
  rank->add_option("--top", r->top, "show so many configurations of each layer")->capture_default_str();
  rank->add_option("--variants", r->variants,
                   "compile at most so many of each layer, those that look best before; 0: all")
      ->capture_default_str();
  rank->add_option("--jobs", r->jobs, "compilers at a time (default: the cores of this machine, at most 8)");
  rank->add_option("--most", r->most, "of a model so many layers, those with most work")
      ->capture_default_str();
  rank->add_option("--shape", r->shapes, kShapeHelp)->allow_extra_args(false);
}

}  // namespace

void add_tune(CLI::App& app, Invocation& invocation) {
  auto o = std::make_shared<TuneArguments>();
  CLI::App* tune = app.add_subcommand(
      "tune",
      "kernels for the operators of a model, tuned on parts of the processor, by OpenCL or by CUDA; records");
  tune->require_subcommand(0, 1);
  tune->callback([&invocation, tune, o] {
    if (tune->get_subcommands().empty())
      invocation = {"tune", [o](const Global& global) { return tune_model(global, *o); }};
  });
  tune->add_option("MODEL", o->model, "ONNX file");
  tune->add_option("--db", o->db, "record file: appended to, gone on from");
  tune->add_option("--shape", o->shapes, kShapeHelp)->allow_extra_args(false);
  tune->add_option("--share", o->share, "shares of the device in per cent, 25,50,100")->capture_default_str();
  tune->add_option("--threads", o->threads, "what the whole device is (default: the cores of this machine)");
  tune->add_option(
      "--jobs", o->jobs,
      "operators measured at once, each on a core of its own (default: 1), or in a share of the GPU "
      "of its own (default: as many as fit)");
  tune->add_option("--time", o->time, "how long, finalists included")->capture_default_str();
  tune->add_option("--trials", o->trials, "at most so many per operator and share; 0: no limit")
      ->capture_default_str();
  tune->add_option("--gain", o->gain, "stop an operator when one more trial is expected to save less")
      ->capture_default_str();
  tune->add_option("--searcher", o->searcher, "model, evolution, random or exhaustive")
      ->capture_default_str();
  tune->add_option("--samples", o->samples, "of each trial")->capture_default_str();
  tune->add_option("--seed", o->seed, "of the searchers")->capture_default_str();
  tune->add_flag("--no-library", o->no_library,
                 "do not time the kernels of the runtime and of oneDNN beside");
  tune->add_option("--onednn", o->onednn, "oneDNN's library (default: libdnnl.so.2, as the system finds it)");
  add_backend(*tune, o->backend);
  add_page(*tune, o->page);
  auto [audit, u] = verb<TuneAuditArguments>(
      *tune, invocation, "audit", "time the best of each record key again: does the choice still hold?",
      tune_audit);
  audit->add_option("RECORDS", u->file, "JSON lines")->required();
  audit->add_option("--top", u->top, "configurations of each key")->capture_default_str();
  audit->add_option("--threads", u->threads,
                    "what the whole device was (default: the cores of this machine)");
  audit
      ->add_option("--max-regret", u->max_regret,
                   "gate: how much slower than the best of them the chosen one may be")
      ->capture_default_str();
  add_backend(*audit, u->backend);
  auto [show, s] = verb<TuneShowArguments>(*tune, invocation, "show",
                                           "the best configurations of a record file", tune_show);
  show->add_option("RECORDS", s->file, "JSON lines")->required();
  show->add_option("--top", s->top, "show so many configurations of each key")->capture_default_str();
  auto [merge, m] = verb<TuneMergeArguments>(
      *tune, invocation, "merge", "record files into one, sorted by key, each record once", tune_merge);
  merge->add_option("RECORDS", m->files, "JSON lines")->required();
  merge->add_option("-o,--output", m->out, "file to write")->required();
  merge->add_flag("--t4", m->t4, "write Kernel Tuner's T4 form instead of JSON lines");
  add_sharing(*tune, invocation);
  add_rank(*tune, invocation);
  auto [replay, r] =
      verb<TuneReplayArguments>(*tune, invocation, "replay",
                                "try searchers out on what is already measured; nothing runs", tune_replay);
  replay->add_option("FILE", r->file, "record file, or a cache file of Kernel Tuner (.json)")->required();
  replay->add_option("--op", r->op, "the operator, where the file holds several");
  replay->add_option("--prior", r->prior, "records of another device that the model starts from");
  replay
      ->add_option("--searcher", r->searchers,
                   "model, evolution, random, exhaustive; may be given several times")
      ->allow_extra_args(false);
  replay->add_option("--trials", r->trials, "of each search")->capture_default_str();
  replay->add_option("--seeds", r->seeds, "searches, each with a seed of its own")->capture_default_str();
  replay->add_option("--seed", r->seed, "the first of them")->capture_default_str();
}

}  // namespace tailor::app

// tailor optimize: words into options, the table of what was decided, the proof.
#include "tailor/app/analysis_text.h"
#include "tailor/app/app.h"
#include "tailor/base/file.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/base/text.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/optimize.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>

namespace tailor::app {
namespace {

// Share of the latency that an earlier result reached. @throws Error plan_mismatch for another model's
double reached(const std::filesystem::path& result, const std::filesystem::path& model) {
  pipeline::OptimizeResult other =
      pipeline::optimize_result_from_json(read_json(result, "tailor/optimize/1"), result.string());
  if (other.plan.sha256 != onnx::fingerprint(model))
    throw Error(Code::plan_mismatch,
                fmt::format("this is a result for {}, not for this model", other.plan.model), result.string(),
                "give a result that optimize --json printed for the same model");
  return other.proof.speed.models[1].to_first.ratio;
}

bool on_gpu(const OptimizeArguments& a) {
  return std::find(a.devices.begin(), a.devices.end(), "cuda") != a.devices.end();
}

bool exact_rule(const OptimizeArguments& a) { return a.rule.empty() || a.rule == "exact"; }

void check_one_goal(const OptimizeArguments& a) {
  const int goals = !a.latency.empty() + !a.speedup.empty() + !a.plan.empty() + !a.as_fast_as.empty() +
                    !a.macs.empty() + !a.widths_from.empty();
  if (goals == 1) return;
  throw Error(
      Code::usage,
      goals ? "--latency, --speedup, --macs, --as-fast-as, --widths-from and --plan exclude each other"
            : "no goal is given",
      "command line", "give --latency 0.68x, --latency 5ms, --speedup 1.4x, --speedup max or --plan FILE");
}

// Options that would say nothing beside the others.
void check_words(const OptimizeArguments& a) {
  const OptimizeArguments untouched;
  const bool searches = a.rounds != untouched.rounds || a.widths != untouched.widths,
             keeps = a.keep_branches || a.keep_kernels, plan = !a.plan.empty(), near = !a.widths_from.empty();
  auto refuse_if = [](bool said, const char* why, const char* next) {
    if (said) throw Error(Code::usage, why, "command line", next);
  };
  refuse_if(plan && (!a.criterion.empty() || searches || a.keep_streams),
            "--plan leaves nothing to search: --criterion, --rounds, --widths and --keep-streams say nothing",
            "leave them out");
  refuse_if(!a.from.empty() && (plan || a.speedup == "max"), "--from begins a search for a certain latency",
            "give --latency, --speedup 1.4x or --as-fast-as with it");
  refuse_if(near && (!exact_rule(a) || !a.from.empty() || searches || keeps || a.keep_streams),
            "--widths-from looks at the widths near the given ones, once, by the exact planner",
            "leave --rule, --from, --rounds, --widths, --keep-... out");
  refuse_if(plan && (a.fresh || a.resume), "--plan times no layers: --fresh and --resume say nothing",
            "leave them away");
  refuse_if(a.tokens && (plan || near || !exact_rule(a)),
            "--tokens is for a search by the rule exact: a plan says which tokens stay",
            "leave --tokens out");
  refuse_if(a.tokens && on_gpu(a),
            "attention is not known to the GPU's layers, so fewer tokens cannot be timed there",
            "leave --tokens out, or measure on this processor");
  refuse_if(a.free && !a.macs.empty(), "--free asks for time, and --macs counts arithmetic",
            "leave one of them out");
  refuse_if(on_gpu(a) && a.keep_kernels, "kernels keep their taps on a GPU that is there anyway",
            "leave --keep-kernels out");
  refuse_if((plan || !exact_rule(a)) && keeps,
            "--keep-branches and --keep-kernels are for a search by the rule exact", "leave them out");
  refuse_if(a.joint >= 0 && a.recover != "lsq", "--joint is about the fit of --recover lsq",
            "leave one of them out");
  refuse_if(a.merge && exact_rule(a) && !plan,
            "the exact planner refits readers from all channels that stay, which is more than --merge",
            "give a simple rule (--rule uniform) or a plan with it");
}

pipeline::Goal goal_of(const OptimizeArguments& a) {
  check_one_goal(a);
  check_words(a);
  pipeline::Goal goal;
  if (!a.max_drop.empty()) goal.max_drop = parse_points(a.max_drop, "--max-drop");
  if (a.speedup == "max")
    goal.fastest = true;
  else if (!a.speedup.empty())
    goal.ratio = 1 / parse_factor(a.speedup, "--speedup");
  if (!a.as_fast_as.empty()) goal.ratio = reached(a.as_fast_as, a.model);
  if (!a.macs.empty()) goal.macs = parse_factor(a.macs, "--macs");
  if (a.latency.empty()) return goal;
  LatencyLimit limit = parse_latency(a.latency, "--latency");
  goal.ratio = limit.ratio, goal.latency_us = limit.us;
  return goal;
}

// The rule that chooses widths; none where nothing is left to choose.
pipeline::Rule rule_of(const OptimizeArguments& a) {
  if (a.rule.empty()) return {};
  pipeline::Rule rule = pipeline::parse_rule(a.rule);
  if (!a.plan.empty())
    throw Error(Code::usage, "--rule and --plan exclude each other: a plan says all widths", "command line",
                "leave one of them out");
  if (!a.from.empty() && !rule.exact())
    throw Error(Code::usage, "--from is for the rule exact: others do not search on", "command line",
                "leave one of them out");
  if (a.speedup == "max" && !rule.exact())
    throw Error(Code::usage, "--speedup max is a search of the exact planner; other rules need a latency",
                "command line", "give --latency, --speedup 1.4x or --as-fast-as, or --rule exact");
  return rule;
}

pipeline::Criterion criterion_of(const OptimizeArguments& a, pipeline::Rule rule) {
  if (!a.criterion.empty()) return pipeline::parse_criterion(a.criterion);
  return rule.exact() ? pipeline::Criterion::reconstruction : pipeline::Criterion::l1;
}

std::shared_ptr<const pipeline::GradientWorth> gradients_of(const OptimizeArguments& a,
                                                            pipeline::Criterion criterion) {
  const bool needed = criterion == pipeline::Criterion::taylor || criterion == pipeline::Criterion::fisher,
             useful = needed || !a.patterns.empty();
  if (needed && a.gradients.empty())
    throw Error(Code::usage, fmt::format("--criterion {} needs gradients", pipeline::name(criterion)),
                "command line",
                "tailor worth MODEL -o FILE --data SAMPLES takes them; then --gradients FILE");
  if (!useful && !a.gradients.empty())
    throw Error(Code::usage, "--gradients says nothing here", "command line",
                "give --criterion taylor or fisher, or --criterion functionality and --patterns, with it");
  if (a.gradients.empty()) return nullptr;
  return std::make_shared<const pipeline::GradientWorth>(
      pipeline::read_gradient_worth(a.gradients, sha256(map_file(a.model))));
}

std::shared_ptr<const pipeline::PatternClusters> patterns_of(const OptimizeArguments& a,
                                                             pipeline::Criterion criterion) {
  if (a.patterns.empty()) return nullptr;
  if (criterion != pipeline::Criterion::functionality)
    throw Error(Code::usage, "--patterns says nothing here", "command line",
                "give --criterion functionality with it");
  return std::make_shared<const pipeline::PatternClusters>(
      pipeline::read_pattern_clusters(a.patterns, sha256(map_file(a.model))));
}

void check(const OptimizeArguments& a, const pipeline::Goal& goal) {
  auto refuse = [](const char* option, const char* why) { throw Error(Code::bad_value, why, option); };
  if (goal.macs && !(*goal.macs > 0 && *goal.macs <= 1))
    refuse("--macs", "a share of the model's: 0.5x for instance");
  if (goal.ratio && !(*goal.ratio > 0 && *goal.ratio <= 1))
    refuse(!a.as_fast_as.empty() ? "--as-fast-as"
           : a.latency.empty()   ? "--speedup"
                                 : "--latency",
           "the goal must be faster than the model is");
  if (a.rounds < 0 || a.rounds > 20) refuse("--rounds", "rounds must be 0 to 20");
  if (a.joint < -1 || a.joint == 1 || a.joint > 16)
    refuse("--joint", "layers fitted together must be 2 to 16, or 0 for none");
  if (a.widths < 1 || a.widths > 30) refuse("--widths", "candidates per group must be 1 to 30");
  if (a.fit < 8 || a.judge < 8 || a.refit < 8)
    refuse("--fit", "--fit, --refit and --judge must be at least 8");
  if (!a.dry_run) check_target(a.out);
  if (!a.dry_run && !a.plan_out.empty()) check_target(a.plan_out);
  if (std::filesystem::exists(a.out) && std::filesystem::equivalent(a.out, a.model))
    refuse("--output", "the output would overwrite the model");
}

// A GPU or an accelerator, built in or a file.
pipeline::DescribedDevice described(const std::string& name, const std::string& precision) {
  if (device::names_accelerator(name)) return pipeline::described_accelerator(device::find_accelerator(name));
  try {
    return pipeline::described_gpu(device::find_device(name), precision.empty() ? "f32" : precision);
  } catch (const Error& error) {
    if (error.code() != Code::unknown_device) throw;
    std::vector<std::string> names;
    for (const auto& [known, toml] : device::device_texts()) names.emplace_back(known);
    for (const auto& [known, toml] : device::accelerator_presets()) names.emplace_back(known);
    throw Error(
        Code::unknown_device, fmt::format("there is no device '{}'{}", name, did_you_mean(name, names)),
        "--device",
        "tailor devices list and tailor platform list name them; a file of your own is given by its path");
  }
}

// Devices that are described; none for what is measured. @throws Error usage for both kinds at once
std::vector<pipeline::DescribedDevice> devices_of(const OptimizeArguments& a, const pipeline::Goal& goal) {
  const bool cpu = std::find(a.devices.begin(), a.devices.end(), "cpu") != a.devices.end();
  if ((cpu || on_gpu(a)) && a.devices.size() > 1)
    throw Error(
        Code::usage,
        "cpu and cuda are measured, other devices are modelled: they cannot be mixed, nor with each other",
        "--device", "optimize for one kind, and verify on the other");
  if (on_gpu(a)) return {};
  if (cpu && !a.precision.empty())
    throw Error(Code::usage, "the file says its precision itself", "--precision", "only for a GPU");
  if (cpu) return {};
  if (a.devices.size() > 1 && goal.latency_us)
    throw Error(Code::usage, "a latency in seconds means nothing for several devices", "--latency",
                "give a share: --latency 0.68x");
  if (!a.macs.empty())
    throw Error(Code::usage, "multiply-accumulates are the same on every device", "--macs",
                "give --latency, or leave --device out");
  if (a.fresh || a.resume || !a.profile.empty() || a.time != OptimizeArguments().time)
    throw Error(Code::usage, "nothing is timed for a described device",
                "--fresh, --resume, --profile, --time", "leave them out");
  std::vector<pipeline::DescribedDevice> devices;
  for (const std::string& name : a.devices) devices.push_back(described(name, a.precision));
  if (!a.precision.empty() && std::all_of(devices.begin(), devices.end(),
                                          [](const auto& device) { return device.precision.empty(); }))
    throw Error(Code::usage, "the description of an accelerator says its bytes itself", "--precision",
                "only for a GPU");
  return devices;
}

pipeline::OptimizeOptions options_of(const Global& global, const OptimizeArguments& a) {
  pipeline::OptimizeOptions o;
  o.goal = goal_of(a), o.rule = rule_of(a);
  check(a, o.goal);
  o.model = a.model, o.out = a.out, o.plan_out = a.plan_out, o.eval = a.eval, o.profile = a.profile;
  if (!a.plan.empty()) o.plan = a.plan;
  if (!a.from.empty()) o.from = a.from;
  if (!a.widths_from.empty()) o.widths_from = a.widths_from;
  o.rounds.table.recover = pipeline::parse_recover(a.recover);
  o.journal = journal_of(a.fresh, a.resume);
  o.label_offset = a.label_offset;
  o.devices = devices_of(a, o.goal);
  o.overrides = graph::parse_shape_overrides(a.shapes);
  o.calibration.path = a.calib;
  o.calibration.preparation = preparation_of(a.preparation);
  o.calibration.fit = a.fit, o.calibration.finish = a.refit, o.calibration.judge = a.judge,
  o.calibration.seed = a.seed,
  // Blended images have other statistics than real ones.
      o.calibration.augment = !a.no_augment && o.rounds.table.recover != pipeline::Recover::bn;
  o.rounds.rounds = a.rounds, o.rounds.widths = a.widths, o.rounds.threads = a.threads;
  o.rounds.table.criterion = criterion_of(a, o.rule);
  o.rounds.table.patterns = patterns_of(a, o.rounds.table.criterion);
  o.rounds.table.worth = gradients_of(a, o.rounds.table.criterion);
  if (a.joint >= 0) o.rounds.joint.layers = a.joint;
  o.rounds.joint.seed = a.seed;
  o.rounds.tokens = a.tokens;
  o.rounds.keep_streams = a.keep_streams, o.rounds.merge = a.merge;
  o.rounds.table.branches = !a.keep_branches, o.rounds.table.kernels = !a.keep_kernels;
  BenchArguments timing;
  timing.threads = a.threads, timing.seed = a.seed, timing.time = a.time;
  o.bench = bench_options(global, timing);
  if (on_gpu(a)) o.gpu = gpu_target(a.precision, a.threads, o.bench);
  o.best_effort = a.best_effort, o.dry_run = a.dry_run, o.free = a.free;
  return o;
}

std::string accuracy_text(const pipeline::Agreement& a) {
  if (a.score.n == 0)
    return fmt::format("outputs differ by {:.3g} of their variance, cosine {:.5f} ({} samples)",
                       a.mean_divergence, a.cosine, a.samples);
  if (a.score.labelled == 0)
    return fmt::format("agreement with the original {:.2f} % of {} samples", 100 * a.score.agreement(),
                       a.samples);
  return fmt::format("top-1 {:.2f} % -> {:.2f} % ({:+.2f} points, {} samples, McNemar p = {:.2g})",
                     100 * a.score.top1_a(), 100 * a.score.top1_b(),
                     100 * (a.score.top1_b() - a.score.top1_a()), a.samples,
                     runtime::mcnemar_p(a.score.only_a_correct, a.score.only_b_correct));
}

// Nothing for least squares, which the table tells of.
std::string recover_text(const pipeline::OptimizeResult& r) {
  if (r.recover == pipeline::Recover::lsq) return "";
  if (r.recover == pipeline::Recover::none) return "recover   nothing: what is left stays as it was\n";
  if (r.normalisations == 0)
    return "recover   nothing to re-estimate: the model has no BatchNormalization (folded into its layers)\n";
  return fmt::format("recover   statistics of {} BatchNormalization nodes re-estimated\n", r.normalisations);
}

std::string repair_text(const pipeline::OptimizeResult& r) {
  return r.left_out ? fmt::format(
                          "repair    left out: divergence {:.3g}, and {:.3g} with it; more samples may help "
                          "(--fit, --calib)\n",
                          r.plan.loss, *r.left_out)
                    : fmt::format("repair    divergence from the original {:.3g} -> {:.3g}\n",
                                  r.plan.cut_loss, r.plan.loss);
}

// Median share of the distance that is left where layers end that were fitted together.
std::string together_text(const pipeline::OptimizeResult& r) {
  if (r.together.empty()) return "";
  std::vector<double> left;
  for (const pipeline::FittedTogether& f : r.together) left.push_back(f.before > 0 ? f.after / f.before : 1);
  std::nth_element(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(left.size() / 2), left.end());
  return fmt::format(
      "together  {} times neighbouring layers were fitted as one: {:.0f} % of their distance is left "
      "(median)\n",
      left.size(), 100 * left[left.size() / 2]);
}

std::string regret_text(const pipeline::DeviceLatency& d) {
  return d.regret
             ? fmt::format("; {:.1f} % longer than the widths for it alone at no more loss", 100 * *d.regret)
             : "";
}

std::string describe(const pipeline::OptimizeResult& r) {
  const pipeline::BenchModel &a = r.proof.speed.models[0], &b = r.proof.speed.models[1];
  std::string text = plan_text(r.plan) + "\n";
  if (!r.proof.speed.precision.empty())
    text += fmt::format("measured  speed on {}; accuracy by {} on the processor, in the file's own types\n",
                        r.timed_on, r.proof.samples.front().by);
  for (const pipeline::DeviceLatency& d : r.devices)
    text += fmt::format("latency   {} -> {}   {:.3f}x  MODELLED on {}{}{}\n", duration(d.before_us),
                        duration(d.after_us), d.ratio(), d.title,
                        d.precision.empty() ? "" : ", " + d.precision, regret_text(d));
  if (r.devices.empty())
    text += fmt::format("latency   {} -> {}   {:.3f}x [{:.3f}, {:.3f}]  {}\n", duration(a.summary.median),
                        duration(b.summary.median), b.to_first.ratio, b.to_first.lo, b.to_first.hi,
                        runtime::name(b.to_first.verdict));
  if (r.given)
    text +=
        fmt::format("as given  {:.3f}x, divergence {:.3g}; of their widths {} were moved down and {} up\n",
                    r.given->ratio, r.given->loss, r.given->moved_down, r.given->moved_up);
  text += recover_text(r) + together_text(r);
  text += repair_text(r);
  text += fmt::format("accuracy  {}\n", accuracy_text(r.proof.samples.front()));
  if (!r.written.empty())
    text += fmt::format("wrote     {} (read back, run, compared)  {}\n", r.written.string(),
                        r.plan_written.string());
  if (r.free) text += free_text(*r.free, output_width());
  return text;
}

}  // namespace

int optimize(const Global& global, const OptimizeArguments& arguments) {
  pipeline::OptimizeOptions options = options_of(global, arguments);
  if (!arguments.dry_run) console::check_target(arguments.out);  // now, not after the work
  check_page(arguments.page);
  pipeline::OptimizeResult result;
  {
    Progress progress("optimize");
    std::string phase = "starting";
    options.say = [&](const std::string& line) {
      phase = line;
      if (!global.quiet) fmt::print(stderr, "{}  {}\n", ::isatty(2) ? "\r\x1b[K" : "", line);
    };
    options.rounds.table.progress = [&](int done, int all) { progress.update(done, all, phase); };
    options.bench.progress = [&](double done) { progress.update(100 * done, 100, "final comparison"); };
    result = pipeline::optimize(options);
  }
  const Json document = to_json(result);
  global.json ? print_document(document) : print(describe(result));
  write_page(global, arguments.page, document);
  if (result.goal_met) return 0;
  print_error(global, Error(Code::goal_not_met, result.why_not, arguments.model.string(),
                            result.written.empty() ? "--best-effort writes the nearest model"
                                                   : "the nearest model was written"));
  return exit_code(Code::goal_not_met);
}

}  // namespace tailor::app

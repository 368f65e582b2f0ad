// optimize() is the straight line; the steps are below it in the order in which it calls them:
//   ratio_wanted   the goal as a share of the original's measured latency
//   search         rounds towards one ratio, or ever faster ones while the drop allows it; or a simple rule
//   too_slow       one more round if the network as cut, timed as the proof will be, misses the latency narrowly
//   prove          repaired, written beside the target, read back, verified against the original
//   further        one more round if the proof still misses the latency narrowly
//   deliver        renamed to the target, with its plan beside it
#include "tailor/pipeline/optimize.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/interrupt.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/counted.h"
#include "tailor/pipeline/fastest.h"
#include "tailor/pipeline/fewer_tokens.h"
#include "tailor/pipeline/gpu_clock.h"
#include "tailor/pipeline/loss.h"
#include "tailor/runtime/profile.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <memory>

namespace tailor::pipeline {
namespace {

namespace fs = std::filesystem;

// Searches aim a little below the goal: the proof is another measurement.
constexpr double kAim = 0.993;
constexpr double kNarrowly = 1.05;  // a proof that is further off than that was no matter of luck

// Everything that the steps share.
struct Workshop {
  const OptimizeOptions& options;
  Subject original;  // as it is worked on: perhaps with its shortcuts as convolutions
  runtime::Runner runner;
  runtime::Profile profile;
  std::unique_ptr<Described> described;              // of devices that are described
  std::vector<Described> each;                       // of them, where there are several
  std::unique_ptr<GpuClock> gpu;                     // of the GPU that is there
  std::unique_ptr<runtime::MeasuringOracle> oracle;  // of this processor: absent where there is another
  Counted counted;
  LatencyBook book;
  TemporaryFolder scratch{true};
  std::string rule;                   // that made the plan
  std::optional<ChosenShare> chosen;  // by a simple rule
  std::optional<TailFree> tail_free;  // from given widths

  explicit Workshop(const OptimizeOptions& o)
      : options(o),
        original(read_subject(o.model, o.overrides)),
        runner(o.bench.runner),
        profile(o.profile.empty() ? cache_folder() / "profile.jsonl" : o.profile),
        described(o.devices.empty() ? nullptr : std::make_unique<Described>(o.devices, original)),
        gpu(o.gpu && !described ? std::make_unique<GpuClock>(*o.gpu, original, profile, gpu_timing(o))
                                : nullptr),
        oracle(described || gpu
                   ? nullptr
                   : std::make_unique<runtime::MeasuringOracle>(runner, profile, timing(o), o.journal)),
        book(price()),
        rule(name(o.rule)) {
    if (o.devices.size() > 1)
      for (const DescribedDevice& device : o.devices) each.emplace_back(std::vector{device}, original);
  }

  latency::LatencyOracle& price() {
    if (options.goal.macs) return counted;
    if (described) return *described;
    return gpu ? static_cast<latency::LatencyOracle&>(*gpu) : *oracle;
  }
  // Of layers that were timed; null where all is modelled.
  const runtime::MeasuringOracle* timings() const { return gpu ? &gpu->timings() : oracle.get(); }
  double macs_ratio(const graph::Model& model) const {
    return count_macs(model, original.overrides) / count_macs(original.model, original.overrides);
  }

  RoundOptions rounds() {
    RoundOptions r = options.rounds;
    r.say = options.say;
    if (gpu) r.yardstick.ratio = [this](const graph::Model& model) { return gpu->ratio(model); };
    if (options.goal.macs)
      r.yardstick = {[this](const graph::Model& model) { return macs_ratio(model); }, "counted",
                     "multiply-accumulates", true};
    if (described)
      r.yardstick = {[this](const graph::Model& model) { return described->ratio(model); }, "modelled",
                     "latency", true};
    r.table.kernels = r.table.kernels && !gpu;
    for (Described& device : each) r.each.push_back(&device);
    return r;
  }

  static runtime::TimingOptions timing(const OptimizeOptions& o) {
    runtime::TimingOptions t;
    t.threads = o.bench.threads, t.seed = o.bench.seed;
    return t;
  }
  static GpuClockOptions gpu_timing(const OptimizeOptions& o) {
    GpuClockOptions options;
    options.ratio_rounds = o.rounds.timing_rounds, options.seed = o.bench.seed, options.journal = o.journal;
    return options;
  }
  void say(const std::string& line) const {
    if (options.say) options.say(line);
  }
};

void check_changeable(const Subject& subject) {
  bool any = std::any_of(subject.channels.groups.begin(), subject.channels.groups.end(),
                         [](const graph::ChannelGroup& g) { return g.changeable(); });
  if (!any && subject.branches.empty())
    throw Error(Code::nothing_to_change, "no channel of this model can be changed", subject.path.string(),
                "tailor inspect --groups says why");
}

// The exact planner chooses by times of layers; those in integers have none (docs/limits.md).
void check_priceable(const Workshop& shop) {
  const OptimizeOptions& o = shop.options;
  if (!shop.original.layers.empty() || o.plan || o.goal.macs || !o.rule.exact()) return;
  std::map<std::string, int> kinds;
  for (const graph::LayerChannels& layer : shop.original.channels.layers)
    ++kinds[shop.original.model.graph.nodes.at(static_cast<std::size_t>(layer.node)).op];
  std::string list;
  for (const auto& [kind, count] : kinds)
    list += fmt::format("{}{} {}", list.empty() ? "" : ", ", count, kind);
  throw Error(Code::nothing_to_change,
              fmt::format("no layer of this model can be timed alone ({}): widths have no prices", list),
              shop.original.path.string(),
              "optimize the network in floats and quantise the result, or let a rule choose: --rule uniform");
}

VerifyOptions proof_options(const OptimizeOptions& o) {
  VerifyOptions v;
  v.eval = o.eval;
  if (o.eval.empty()) v.calib = o.calibration.path;
  v.preparation = o.calibration.preparation;
  v.label_offset = o.label_offset;
  v.overrides = o.overrides;
  v.bench = o.bench;
  v.gpu = o.gpu;
  return v;
}

// Points lost: top-1 on labelled data, agreement with the original else.
double drop_of(const Agreement& a) {
  return 100 * (a.score.labelled > 0 ? a.score.top1_a() - a.score.top1_b() : 1 - a.score.agreement());
}

double original_us(Workshop& shop) {
  if (shop.described) return shop.described->latencies(shop.original.model)[0].before_us;
  if (shop.gpu) return shop.gpu->original_us();
  const runtime::Job job = timing_job(shop.options.model, shop.options.overrides);
  return runtime::summarize(shop.runner.time(std::span(&job, 1), Workshop::timing(shop.options)).front().us)
      .median;
}

double ratio_wanted(Workshop& shop) {
  const Goal& goal = shop.options.goal;
  if (goal.ratio) return *goal.ratio;
  if (goal.macs) return *goal.macs / kAim;  // counted, not measured: nothing to allow for
  const double us = original_us(shop);
  if (*goal.latency_us >= us) shop.say(fmt::format("the model is there already: {:.0f} us", us));
  return std::min(1.0, *goal.latency_us / us);
}

Agreement agreement_with(Workshop& shop, const graph::Model& model) {
  TemporaryFolder folder(true);
  fs::path path = folder.fresh(".onnx");
  onnx::write(model, path);
  return compare_outputs(shop.original.path, path, proof_options(shop.options)).front();
}

// Searches on from `from`, and appends to its rounds.
Searched faster(Workshop& shop, const Calibration& calibration, const Searched& from, double step,
                RoundOptions rounds) {
  rounds.rounds = 1, rounds.say = {};
  Searched next = search_rounds(shop.runner, shop.original, calibration, shop.book, from.ratio * step, rounds,
                                {from.surgery, from.ratio});
  next.rounds.insert(next.rounds.begin(), from.rounds.begin(), from.rounds.end());
  return next;
}

// The rounds of a search repair layer by layer; layers are fitted together where that decides, and at the end.
Searched as_fast_as_allowed(Workshop& shop, const Calibration& calibration) {
  RoundOptions at_length = shop.rounds(), shortly = at_length;
  shortly.joint.layers = 0, at_length.say = {};
  FastestSteps steps;
  steps.search = [&, shortly](const Searched& from, double share) {
    return faster(shop, calibration, from, share, shortly);
  };
  if (at_length.table.recover == Recover::lsq && at_length.joint.layers > 1)
    steps.refine = [&, at_length](const Searched& found) {
      return carry_out(shop.runner, shop.original, calibration, found.surgery, at_length);
    };
  steps.drop = [&](const graph::Model& model) { return drop_of(agreement_with(shop, model)); };
  steps.say = shop.options.say;
  return search_fastest(shop.original.model, shop.options.goal.max_drop.value_or(0), steps);
}

Searched search_by_rule(Workshop& shop, const Calibration& calibration, double ratio,
                        const RoundOptions& rounds) {
  RuleSearched searched =
      search_rule(shop.runner, shop.original, calibration, shop.options.rule, ratio, rounds);
  shop.chosen = searched.chosen;
  return std::move(searched.found);
}

// Where the plan ended, measured anew.
Start start_from(Workshop& shop, const fs::path& path) {
  WidthPlan plan = read_plan(path);
  shop.original = subject_of(shop.original, plan);
  Start start{surgery_of(shop.original, plan), 1};
  graph::Model model = final_form(shop.original, start.surgery, apply(shop.original, start.surgery));
  start.ratio = latency_ratio(shop.runner, shop.original, model, shop.rounds());
  shop.say(fmt::format("{} stands at {:.3f} of the original's latency", path.string(), start.ratio));
  return start;
}

Searched search_near(Workshop& shop, const Calibration& calibration, const RoundOptions& rounds) {
  const GivenWidths given = read_widths(*shop.options.widths_from, shop.original);
  shop.tail_free = make_tail_free(shop.runner, shop.original, calibration, shop.book, given, rounds);
  return shop.tail_free->found;
}

// What a search measured on the way and what the proof measures differ by up to a percent; repairs take minutes.
std::optional<double> too_slow(const Workshop& shop, const graph::Model& cut) {
  const OptimizeOptions& o = shop.options;
  TemporaryFolder folder(true);
  const fs::path path = folder.fresh(".onnx");
  onnx::write(cut, path);
  const BenchModel timed = compare_speed(o.model, path, proof_options(o)).models[1];
  const auto step = further(o.goal, timed.to_first.ratio, timed.summary.median);
  if (!step) return std::nullopt;
  shop.say(
      fmt::format("timed as for the proof: {:.3f} of the latency: one round more", timed.to_first.ratio));
  return *step * kAim;
}

Searched search(Workshop& shop, const Calibration& calibration) {
  RoundOptions rounds = shop.rounds();
  if (shop.options.plan) {
    WidthPlan plan = read_plan(*shop.options.plan);
    shop.rule = plan.rule, shop.original = subject_of(shop.original, plan);
    Surgery surgery = surgery_of(shop.original, plan);
    return carry_out(shop.runner, shop.original, calibration, surgery, rounds);
  }
  if (shop.options.widths_from) return search_near(shop, calibration, rounds);
  if (shop.options.goal.fastest) return as_fast_as_allowed(shop, calibration);
  double ratio = ratio_wanted(shop);
  if (ratio >= 1) return carry_out(shop.runner, shop.original, calibration, {}, rounds);
  if (!shop.options.rule.exact()) return search_by_rule(shop, calibration, ratio * kAim, rounds);
  Start start = shop.options.from ? start_from(shop, *shop.options.from) : Start{};
  if (start.ratio <= ratio * kAim)
    return carry_out(shop.runner, shop.original, calibration, start.surgery, rounds);
  if (!shop.described && !shop.options.goal.macs)
    rounds.further = [&shop](const graph::Model& cut) { return too_slow(shop, cut); };
  return search_rounds(shop.runner, shop.original, calibration, shop.book, ratio * kAim, rounds, start);
}

std::string runtime_text(const Workshop& shop) {
  if (shop.described) return shop.described->models() + ", " + shop.described->text();
  if (shop.gpu) return shop.gpu->text();
  const runtime::Hello& hello = shop.runner.hello();
  return fmt::format("{} {}, {} thread{}, {}", hello.runtime, hello.version, shop.options.bench.threads,
                     shop.options.bench.threads == 1 ? "" : "s", hello.processor);
}

WidthPlan plan_of(const Workshop& shop, const Searched& found, const std::string& goal) {
  const Recover recover = found.left_out ? Recover::none : shop.options.rounds.table.recover;
  WidthPlan plan = describe(shop.original, found.surgery, recover);
  plan.runtime = runtime_text(shop);
  enter_heirs(plan, found.merged);
  if (shop.described) plan.how = How::modelled;
  plan.rule = shop.rule, plan.goal = goal, plan.loss = found.loss, plan.cut_loss = found.cut_loss,
  plan.measured_ratio = found.ratio, plan.rounds = static_cast<int>(found.rounds.size());
  if (!found.rounds.empty()) {
    plan.predicted_ratio = found.rounds.back().predicted, plan.certificate = found.rounds.back().certificate;
    for (const RoundReport& round : found.rounds) plan.candidates += round.candidates;
  }
  if (shop.tail_free)
    plan.predicted_ratio = found.ratio, plan.certificate = shop.tail_free->certificate,
    plan.candidates = shop.tail_free->candidates;
  if (shop.chosen)
    plan.predicted_ratio = shop.chosen->ratio, plan.candidates = shop.chosen->measured,
    plan.certificate = {false, 0, 0, 1};  // nothing is proved
  return plan;
}

std::string goal_text(const OptimizeOptions& o) {
  const Goal& goal = o.goal;
  std::string text = goal.fastest      ? "as fast as possible"
                     : goal.ratio      ? fmt::format("at most {:.4g} of the latency", *goal.ratio)
                     : goal.latency_us ? fmt::format("at most {:.4g} us", *goal.latency_us)
                     : goal.macs       ? fmt::format("at most {:.4g} of the multiply-accumulates", *goal.macs)
                     : o.widths_from   ? fmt::format("faster than the widths of {}, at no more loss",
                                                     o.widths_from->filename().string())
                                       : "carry out a plan";
  return goal.max_drop ? fmt::format("{}, at most {:g} points lost", text, *goal.max_drop) : text;
}

// What of the way there is not as usual.
std::string way_text(const OptimizeOptions& o) {
  const Criterion usual = o.rule.exact() ? Criterion::reconstruction : Criterion::l1,
                  used = o.rounds.table.criterion;
  std::string text;
  if (used != usual && !o.plan) text += fmt::format(", by {}", name(used));
  if (o.rounds.merge) text += ", merged";
  if (o.rounds.table.recover != Recover::lsq)
    text += fmt::format(", recovery {}", name(o.rounds.table.recover));
  return text;
}

// Whether the proof meets the goal; if not, why.
std::string shortfall(const Goal& goal, const Verification& proof) {
  const BenchModel& b = proof.speed.models[1];
  if (goal.macs && b.to_first.verdict == runtime::Verdict::slower)
    return fmt::format("fewer multiply-accumulates, and {:.3f} of the latency", b.to_first.ratio);
  if (goal.ratio && b.to_first.ratio > *goal.ratio)
    return fmt::format("{:.3f} of the latency was reached, {:.3f} was asked for", b.to_first.ratio,
                       *goal.ratio);
  if (goal.latency_us && b.summary.median > *goal.latency_us)
    return fmt::format("{:.0f} us were reached, {:.0f} us were asked for", b.summary.median,
                       *goal.latency_us);
  if (double drop = drop_of(proof.samples.front()); goal.max_drop && drop > *goal.max_drop + 1e-9)
    return fmt::format("{:.2f} points are lost, {:g} were allowed", drop, *goal.max_drop);
  return {};
}

// Padded shortcuts become convolutions where that is faster; the function stays the same.
void regain_layout(Workshop& shop) {
  Subject with = with_shortcuts(shop.original);
  if (with.shortcuts.empty()) return;
  const double ratio = latency_ratio(shop.runner, shop.original, with.model, shop.rounds());
  bool better = ratio < 0.995;
  shop.say(fmt::format("{} padded shortcuts as convolutions: {:.3f} of the latency, {}",
                       with.shortcuts.size(), ratio, better ? "kept" : "left as they were"));
  if (better) shop.original = std::move(with);
}

void say_where_tokens_are(const Workshop& shop) {
  const rewrite::TokenSites sites = token_sites(shop.original);
  if (sites.flows.empty())
    shop.say("--tokens: none can be left out: " +
             (sites.obstacle.empty() ? "the model has no residual sums" : sites.obstacle));
  else
    shop.say(fmt::format("{} tokens, which can be left out behind {} values", sites.flows.front().count,
                         sites.flows.size()));
}

BenchModel modelled(const fs::path& path, double us) {
  BenchModel model;
  model.path = path, model.us = {us}, model.summary = runtime::summarize(model.us);
  return model;
}

// Outputs as they are run here; latencies as the devices' descriptions say.
Verification outputs_proved(Workshop& shop, const fs::path& written, const graph::Model& model,
                            OptimizeResult& result) {
  const OptimizeOptions& o = shop.options;
  Verification proof;
  proof.a = o.model;
  proof.samples = compare_outputs(o.model, written, proof_options(o));
  result.devices = shop.described->latencies(model);
  double before = 0;
  for (const DeviceLatency& d : result.devices)
    before += d.before_us / static_cast<double>(result.devices.size());
  const double ratio = shop.described->ratio(model);
  proof.speed.runtime = shop.described->models(), proof.speed.processor = shop.described->text(),
  proof.speed.clock = "modelled";
  proof.speed.models = {modelled(o.model, before), modelled(written, before * ratio)};
  proof.speed.models[1].to_first.ratio = proof.speed.models[1].to_first.lo =
      proof.speed.models[1].to_first.hi = ratio;
  proof.speed.models[1].to_first.verdict = ratio > 1 ? runtime::Verdict::slower : runtime::Verdict::faster;
  return proof;
}

std::unique_ptr<onnx::Draft> prove(Workshop& shop, const Searched& found, OptimizeResult& result) {
  const OptimizeOptions& o = shop.options;
  auto draft = std::make_unique<onnx::Draft>(found.model, o.dry_run ? shop.scratch.fresh(".onnx") : o.out);
  onnx::read(draft->path());
  shop.say("verifying the written file against the original");
  result.proof = shop.described ? outputs_proved(shop, draft->path(), found.model, result)
                                : verify(o.model, draft->path(), proof_options(o));
  result.proof.b = o.out, result.proof.speed.models[1].path = o.out;
  result.why_not = shortfall(o.goal, result.proof);
  if (shop.tail_free && !shop.tail_free->better)
    result.why_not = "no widths near the given ones are faster at their loss";
  result.goal_met = result.why_not.empty();
  return draft;
}

bool searches_for_latency(const OptimizeOptions& o) {
  return !o.plan && !o.widths_from && !o.goal.fastest && o.rule.exact();
}

std::unique_ptr<onnx::Draft> prove_or_go_on(Workshop& shop, const Calibration& calibration, Searched& found,
                                            OptimizeResult& result) {
  std::unique_ptr<onnx::Draft> draft = prove(shop, found, result);
  for (int more = 0; more < kFurtherRounds && searches_for_latency(shop.options); ++more) {
    const BenchModel& proved = result.proof.speed.models[1];
    auto step = further(shop.options.goal, proved.to_first.ratio, proved.summary.median);
    if (!step) break;
    shop.say(fmt::format("the proof says {:.3f} of the latency: one round more", proved.to_first.ratio));
    draft.reset();
    found = faster(shop, calibration, found, *step * kAim, shop.rounds());
    draft = prove(shop, found, result);
  }
  return draft;
}

std::string unrest_text(const runtime::MeasuringOracle& timings) {
  constexpr double kWorthSaying = 1.1;
  if (timings.unrest() < kWorthSaying) return "";
  return fmt::format("; meanwhile the machine's own speed changed by {:.2f}x, which was taken out",
                     timings.unrest());
}

void deliver(const OptimizeOptions& o, onnx::Draft& draft, OptimizeResult& result) {
  const runtime::Comparison& speed = result.proof.speed.models[1].to_first;
  if (o.dry_run && o.goal.macs) return;  // that it is slower is what such a run may be for
  if (speed.verdict == runtime::Verdict::slower)
    throw Error(Code::would_be_slower,
                fmt::format("the result takes {:.3f} of the original's time", speed.ratio), o.model.string(),
                "nothing was written; tailor analyze shows what limits this model");
  if (o.dry_run || (!result.goal_met && !o.best_effort)) return;
  result.plan_written = o.plan_out.empty() ? fs::path(o.out).replace_extension(".plan.json") : o.plan_out;
  write_file(result.plan_written, to_json(result.plan).dump(1) + "\n");
  draft.commit();
  result.written = o.out;
}

}  // namespace

std::optional<double> further(const Goal& goal, double ratio, double us) {
  double over = goal.ratio ? ratio / *goal.ratio : goal.latency_us ? us / *goal.latency_us : 1;
  return over > 1 && over < kNarrowly ? std::optional(1 / over) : std::nullopt;
}

OptimizeResult optimize(const OptimizeOptions& options) {
  Workshop shop(options);
  if (shop.gpu)
    shop.say(fmt::format("timed on {}; samples are run by {} {} as the file is", shop.gpu->text(),
                         shop.runner.hello().runtime, shop.runner.hello().version));
  Calibration calibration =
      load_calibration(shop.original, options.calibration);  // what is wrong with it, now
  if (!options.plan && !options.from && !options.goal.macs && !shop.described) regain_layout(shop);
  check_changeable(shop.original);
  check_priceable(shop);
  if (options.rounds.tokens) say_where_tokens_are(shop);
  if (options.rounds.table.recover == Recover::bn && normalisations(shop.original.model) == 0)
    shop.say("--recover bn: nothing to re-estimate, the model has no BatchNormalization");
  Searched found = search(shop, calibration);
  OptimizeResult result;
  std::unique_ptr<onnx::Draft> draft = prove_or_go_on(shop, calibration, found, result);
  if (options.free)
    result.free = free_channels(make_subject(found.model, options.overrides), shop.book,
                                shop.described ? How::modelled : How::measured);
  if (const runtime::MeasuringOracle* timings = shop.timings()) {
    result.known = timings->known(), result.measured = timings->measured();
    result.journal = shop.profile.path();
    if (!options.plan)
      shop.say(fmt::format("layer timings: {} found in {}, {} measured now{}", result.known,
                           result.journal.string(), result.measured, unrest_text(*timings)));
  }
  result.plan = plan_of(shop, found, goal_text(options) + way_text(options));
  if (options.goal.macs)  // the plan speaks of latency: nothing was predicted, the proof measured it
    result.plan.predicted_ratio = result.plan.measured_ratio = result.proof.speed.models[1].to_first.ratio;
  if (shop.tail_free)
    result.given = {shop.tail_free->given_ratio, shop.tail_free->given_loss, shop.tail_free->moved_down,
                    shop.tail_free->moved_up};
  result.rounds = found.rounds;
  if (!found.rounds.empty() && found.rounds.back().regrets.size() == result.devices.size())
    for (std::size_t d = 0; d < result.devices.size(); ++d)
      result.devices[d].regret = found.rounds.back().regrets[d].share();
  result.timed_on = runtime_text(shop);
  result.recover = options.rounds.table.recover, result.together = found.together;
  result.left_out = found.left_out;
  result.normalisations = normalisations(found.model);
  deliver(options, *draft, result);
  return result;
}

}  // namespace tailor::pipeline

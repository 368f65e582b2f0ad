// verify: both models on samples, both timed, each gate judged. JSON.
#include "tailor/pipeline/verify.h"

#include "tailor/base/error.h"
#include "tailor/pipeline/verify_samples.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace tailor::pipeline {
namespace {

// A limit from above on a quantity that lies in lo..hi.
Outcome at_most(double lo, double hi, double limit) {
  return hi <= limit ? Outcome::pass : lo > limit ? Outcome::fail : Outcome::ambiguous;
}

const Agreement* labelled(const std::vector<Agreement>& samples) {
  auto it =
      std::find_if(samples.begin(), samples.end(), [](const Agreement& s) { return s.score.labelled > 0; });
  return it == samples.end() ? nullptr : &*it;
}

GateResult judge_drop(double limit, const std::vector<Agreement>& samples) {
  GateResult gate{"max-drop", fmt::format("<= {:g} points", limit), "no labelled samples", Outcome::fail};
  const Agreement* set = labelled(samples);
  if (!set) return gate;
  double drop = 100 * (set->score.top1_a() - set->score.top1_b());
  gate.found = fmt::format("{:.2f} points", drop);
  gate.outcome = drop <= limit + 1e-9 ? Outcome::pass : Outcome::fail;
  return gate;
}

void require_finite(std::optional<double> gate, const char* option, bool positive) {
  if (gate && !(*gate > (positive ? 0 : -1e-300) && *gate < 1e12))
    throw Error(Code::bad_value, fmt::format("{} must be {}", option, positive ? "positive" : "0 or more"),
                option);
}

void check(const VerifyOptions& options) {
  if (options.gates.max_drop && options.eval.empty())
    throw Error(Code::usage, "a limit on the loss of top-1 needs labelled samples", "--max-drop",
                "give them with --eval PATH");
  require_finite(options.gates.max_drop, "--max-drop", false);
  require_finite(options.gates.min_speedup, "--min-speedup", true);
  require_finite(options.gates.max_latency_us, "--latency", true);
  require_finite(options.gates.max_ratio, "--latency", true);
}

std::vector<Agreement> on_samples(const Contender& a, const Contender& b, const VerifyOptions& options) {
  runtime::Runner runner(options.bench.runner);
  std::vector<Agreement> samples;
  if (!options.eval.empty()) samples.push_back(on_dataset(runner, a, b, options.eval, options));
  if (!samples.empty() && options.gates.max_drop && samples[0].score.labelled == 0)
    throw Error(Code::bad_dataset, "the samples have no labels, or the model gives no class scores",
                options.eval.string(), "--max-drop needs labelled samples of a classifier");
  if (!options.calib.empty()) samples.push_back(on_dataset(runner, a, b, options.calib, options));
  if (samples.empty()) samples.push_back(on_random(runner, a, b, options));
  for (Agreement& agreement : samples)
    agreement.by = fmt::format("{} {}", runner.hello().runtime, runner.hello().version);
  return samples;
}

// Both networks as the GPU's runner takes them, and the options to time them there; the runner is tried.
std::vector<runtime::Job> jobs_on_gpu(const std::filesystem::path& a, const std::filesystem::path& b,
                                      const VerifyOptions& options, BenchOptions& speed) {
  const GpuTarget& gpu = *options.gpu;
  std::vector<runtime::Job> jobs;
  for (const std::filesystem::path& model : {a, b})
    jobs.push_back(whole_network_job(model, options.overrides, gpu.precision));
  speed.runner = gpu_runner(gpu), speed.precision = gpu.precision;
  check_gpu_runner(runtime::Runner(speed.runner).hello(), gpu.precision);
  return jobs;
}

Json agreement_json(const Agreement& a) {
  const runtime::Score& s = a.score;
  Json json = {{"source", a.source},
               {"samples", a.samples},
               {"max_difference", a.max_difference},
               {"cosine", a.cosine},
               {"divergence", a.mean_divergence},
               {"by", a.by}};
  if (s.n > 0) json["top1"] = {{"n", s.n}, {"agree", s.agree}, {"agreement", s.agreement()}};
  if (s.labelled > 0)
    json["labelled"] = {{"n", s.labelled},
                        {"a_correct", s.a_correct},
                        {"b_correct", s.b_correct},
                        {"only_a_correct", s.only_a_correct},
                        {"only_b_correct", s.only_b_correct},
                        {"top1_a", s.top1_a()},
                        {"top1_b", s.top1_b()},
                        {"mcnemar_p", runtime::mcnemar_p(s.only_a_correct, s.only_b_correct)}};
  return json;
}

// JSON has no NaN and no infinity: they are written as null.
double number_or_nan(const Json& json, const char* key, const std::string& place) {
  return member(json, key, place).is_null() ? std::nan("") : number(json, key, place);
}

Agreement agreement_from(const Json& json, const std::string& place) {
  Agreement a;
  a.source = text(json, "source", place);
  a.samples = integer(json, "samples", place);
  a.max_difference = number_or_nan(json, "max_difference", place);
  a.cosine = number_or_nan(json, "cosine", place);
  a.mean_divergence = number_or_nan(json, "divergence", place);
  if (json.contains("by")) a.by = text(json, "by", place);  // absent in documents of before
  if (json.contains("top1")) {
    a.score.n = integer(json["top1"], "n", place);
    a.score.agree = integer(json["top1"], "agree", place);
  }
  if (!json.contains("labelled")) return a;
  const Json& counts = json["labelled"];
  a.score.labelled = integer(counts, "n", place);
  a.score.a_correct = integer(counts, "a_correct", place);
  a.score.b_correct = integer(counts, "b_correct", place);
  a.score.only_a_correct = integer(counts, "only_a_correct", place);
  a.score.only_b_correct = integer(counts, "only_b_correct", place);
  return a;
}

GateResult gate_from(const Json& json, const std::string& place) {
  GateResult gate{text(json, "gate", place), text(json, "wanted", place), text(json, "found", place), {}};
  std::string outcome = text(json, "outcome", place);
  using enum Outcome;
  for (Outcome known : {pass, fail, ambiguous})
    if (outcome == name(known)) return gate.outcome = known, gate;
  throw Error(Code::bad_json, fmt::format("'{}' is no outcome", outcome), place);
}

}  // namespace

const char* name(Outcome outcome) {
  return outcome == Outcome::pass ? "PASS" : outcome == Outcome::fail ? "FAIL" : "AMBIGUOUS";
}

Outcome Verification::outcome() const {
  auto any = [&](Outcome wanted) {
    return std::any_of(gates.begin(), gates.end(), [&](const GateResult& g) { return g.outcome == wanted; });
  };
  return any(Outcome::fail) ? Outcome::fail : any(Outcome::ambiguous) ? Outcome::ambiguous : Outcome::pass;
}

std::vector<GateResult> judge_gates(const Gates& gates, const std::vector<Agreement>& samples,
                                    const BenchResult& speed) {
  TAILOR_CHECK(speed.models.size() == 2);
  const runtime::Comparison &own = speed.models[1].own, &c = speed.models[1].to_first;
  double median = speed.models[1].summary.median;
  std::vector<GateResult> results;
  if (gates.max_drop) results.push_back(judge_drop(*gates.max_drop, samples));
  if (gates.min_speedup)
    results.push_back({"min-speedup", fmt::format(">= {:g}x", *gates.min_speedup),
                       fmt::format("{:.3f}x [{:.3f}, {:.3f}]", 1 / c.ratio, 1 / c.hi, 1 / c.lo),
                       at_most(c.lo, c.hi, 1 / *gates.min_speedup)});
  if (gates.max_ratio)
    results.push_back({"latency", fmt::format("<= {:g}x", *gates.max_ratio),
                       fmt::format("{:.3f}x [{:.3f}, {:.3f}]", c.ratio, c.lo, c.hi),
                       at_most(c.lo, c.hi, *gates.max_ratio)});
  if (gates.max_latency_us) {
    double lo = median * own.lo, hi = median * own.hi;
    results.push_back({"latency", fmt::format("<= {:g} ms", *gates.max_latency_us / 1000),
                       fmt::format("{:.4g} ms [{:.4g}, {:.4g}]", median / 1000, lo / 1000, hi / 1000),
                       at_most(lo, hi, *gates.max_latency_us)});
  }
  return results;
}

std::vector<Agreement> compare_outputs(const std::filesystem::path& a, const std::filesystem::path& b,
                                       const VerifyOptions& options) {
  Contender first = read_contender(a, options.overrides), second = read_contender(b, options.overrides);
  check_same_interface(first, second);
  return on_samples(first, second, options);
}

BenchResult compare_speed(const std::filesystem::path& a, const std::filesystem::path& b,
                          const VerifyOptions& options) {
  BenchOptions speed = options.bench;
  const std::vector<runtime::Job> jobs =
      options.gpu ? jobs_on_gpu(a, b, options, speed) : timing_jobs({a, b}, options.overrides);
  return bench(jobs, speed);
}

Verification verify(const std::filesystem::path& a, const std::filesystem::path& b,
                    const VerifyOptions& options) {
  check(options);
  BenchOptions speed = options.bench;
  std::vector<runtime::Job> jobs;
  if (options.gpu) jobs = jobs_on_gpu(a, b, options, speed);
  Verification result{a, b, compare_outputs(a, b, options), {}, {}};
  if (!options.gpu) jobs = timing_jobs({a, b}, options.overrides);
  result.speed = bench(jobs, speed);
  result.gates = judge_gates(options.gates, result.samples, result.speed);
  return result;
}

Json to_json(const Verification& v) {
  Json json = {{"schema", "tailor/verify/1"}, {"a", v.a.string()}, {"b", v.b.string()}};
  json["outcome"] = name(v.outcome());
  json["gates"] = Json::array();
  for (const GateResult& gate : v.gates)
    json["gates"].push_back({{"gate", gate.gate},
                             {"wanted", gate.wanted},
                             {"found", gate.found},
                             {"outcome", name(gate.outcome)}});
  json["samples"] = Json::array();
  for (const Agreement& agreement : v.samples) json["samples"].push_back(agreement_json(agreement));
  json["speed"] = to_json(v.speed);
  return json;
}

Verification verification_from_json(const Json& json, const std::string& place) {
  Verification v{text(json, "a", place), text(json, "b", place), {}, {}, {}};
  for (const Json& gate : member(json, "gates", place)) v.gates.push_back(gate_from(gate, place));
  for (const Json& samples : member(json, "samples", place))
    v.samples.push_back(agreement_from(samples, place));
  v.speed = bench_from_json(member(json, "speed", place), place);
  return v;
}

}  // namespace tailor::pipeline

// tailor verify: gates first, then what they were judged by.
#include "tailor/app/app.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/pipeline/verify.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::app {
namespace {

pipeline::Gates gates_of(const VerifyArguments& a) {
  pipeline::Gates gates;
  if (!a.max_drop.empty()) gates.max_drop = parse_points(a.max_drop, "--max-drop");
  if (!a.min_speedup.empty()) gates.min_speedup = parse_factor(a.min_speedup, "--min-speedup");
  if (a.latency.empty()) return gates;
  LatencyLimit limit = parse_latency(a.latency, "--latency");
  gates.max_ratio = limit.ratio, gates.max_latency_us = limit.us;
  return gates;
}

pipeline::VerifyOptions options_of(const Global& global, const VerifyArguments& a) {
  pipeline::VerifyOptions options;
  options.eval = a.eval;
  options.calib = a.calib;
  options.preparation = preparation_of(a.preparation);
  if (a.limit < 0) throw Error(Code::bad_value, "--limit must be positive", "--limit");
  options.label_offset = a.label_offset;
  options.limit = a.limit;
  options.gates = gates_of(a);
  options.overrides = graph::parse_shape_overrides(a.bench.shapes);
  options.bench = bench_options(global, a.bench);
  const bool gpu = a.bench.device == "cuda";
  if (!gpu && a.bench.device != "cpu")
    throw Error(Code::unknown_device,
                fmt::format("verify measures on cpu or cuda, not on '{}'", a.bench.device), "--device",
                "described devices are modelled: tailor analyze -d GPU, tailor platform predict ACCELERATOR");
  if (!gpu && !a.bench.precision.empty())
    throw Error(Code::usage, "only for a GPU: the file says it here", "--precision", "tailor verify --help");
  if (gpu) options.gpu = gpu_target(a.bench.precision, a.bench.threads, options.bench);
  return options;
}

std::string top1_text(const runtime::Score& s) {
  return fmt::format(
      "{:.2f} % -> {:.2f} % ({:+.2f} points; {} only A right, {} only B right, McNemar p = {:.2g})",
      100 * s.top1_a(), 100 * s.top1_b(), 100 * (s.top1_b() - s.top1_a()), s.only_a_correct, s.only_b_correct,
      runtime::mcnemar_p(s.only_a_correct, s.only_b_correct));
}

void describe_samples(Table& table, const pipeline::Agreement& a) {
  std::string source =
      a.source == "random" ? "random inputs (no --eval or --calib given): numerics only" : a.source;
  table.row({"samples", fmt::format("{} of {}", a.samples, source)});
  if (a.score.labelled > 0) table.row({"  top-1", top1_text(a.score)});
  if (a.score.n > 0 && a.source != "random")
    table.row({"  agreement", fmt::format("{:.2f} % of the largest outputs", 100 * a.score.agreement())});
  table.row({"  numerics", fmt::format("largest difference {:.3g}, cosine {:.6f}, divergence {:.3g}",
                                       a.max_difference, a.cosine, a.mean_divergence)});
}

std::string describe(const pipeline::Verification& v) {
  Table gates({{""}, {""}, {""}, {""}}), samples({{""}, {""}});
  for (const pipeline::GateResult& gate : v.gates)
    gates.row({pipeline::name(gate.outcome), gate.gate, gate.wanted, gate.found});
  for (const pipeline::Agreement& agreement : v.samples) describe_samples(samples, agreement);
  std::string text = samples.text() + bench_text(v.speed);
  if (!v.speed.precision.empty())
    text += fmt::format(
        "speed was measured on {}, layers in {}; outputs and accuracy come from {} on the processor, in the "
        "files' "
        "own types\n",
        v.speed.processor, v.speed.precision, v.samples.front().by);
  return text + (v.gates.empty() ? "no gates given (--max-drop, --min-speedup, --latency)\n" : gates.text());
}

int conclude(const Global& global, const pipeline::Verification& v) {
  if (v.outcome() == pipeline::Outcome::pass) return 0;
  std::vector<std::string> names;
  for (const pipeline::GateResult& gate : v.gates)
    if (gate.outcome == v.outcome())
      names.push_back(fmt::format("{} {} (found {})", gate.gate, gate.wanted, gate.found));
  bool failed = v.outcome() == pipeline::Outcome::fail;
  Error error(failed ? Code::gate_failed : Code::not_trustworthy,
              fmt::format("{}: {}", failed ? "not passed" : "the limit lies inside the interval",
                          fmt::join(names, "; ")),
              v.b.string(), failed ? "" : "give the measurement more time, for instance --time 30s");
  print_error(global, error);
  return exit_code(error.code());
}

}  // namespace

int verify(const Global& global, const VerifyArguments& arguments) {
  pipeline::VerifyOptions options = options_of(global, arguments);
  check_page(arguments.bench.page);
  pipeline::Verification result;
  {
    Progress progress("verify");
    options.progress = [&](const std::string& phase, double done) {
      progress.update(100 * done, 100, phase);
    };
    options.bench.progress = [&](double done) { progress.update(100 * done, 100, "speed"); };
    result = pipeline::verify(arguments.bench.models[0], arguments.bench.models[1], options);
  }
  const Json document = to_json(result);
  global.json ? print_document(document) : print(describe(result));
  write_page(global, arguments.bench.page, document);
  return conclude(global, result);
}

}  // namespace tailor::app

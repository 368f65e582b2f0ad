// tailor grow: which groups got wider, what it cost, and that nothing else changed.
#include "tailor/app/app.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/pipeline/grow.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

namespace tailor::app {
namespace {

pipeline::GrowOptions options_of(const Global& global, const GrowArguments& a) {
  pipeline::GrowOptions o;
  o.model = a.model, o.out = a.out;
  const LatencyLimit limit = parse_latency(a.latency, "--latency");
  if (!limit.ratio)
    throw Error(Code::bad_value, "a share of the model's latency: 1.0x for instance", "--latency");
  o.ratio = *limit.ratio, o.most = parse_factor(a.most, "--most");
  o.widths = a.widths, o.seed = a.seed, o.overrides = graph::parse_shape_overrides(a.shapes);
  o.journal = journal_of(a.fresh, a.resume), o.profile = a.profile;
  BenchArguments timing;
  timing.threads = a.threads, timing.seed = a.seed, timing.time = a.time;
  o.bench = bench_options(global, timing);
  return o;
}

std::string growth(double before, double after) {
  return fmt::format("{:+.1f} %", 100 * (after / before - 1));
}

std::string describe(const pipeline::GrowResult& r) {
  Table table({{"channels of"}, {"width", Align::right}, {"new", Align::right}});
  for (const pipeline::GrownGroup& g : r.groups)
    table.row({g.name, std::to_string(g.from), std::to_string(g.to)});
  const pipeline::BenchModel &a = r.speed.models[0], &b = r.speed.models[1];
  std::string text = table.text() + "\n";
  text += fmt::format("latency   {} -> {}   {:.3f}x [{:.3f}, {:.3f}]  {}\n", duration(a.summary.median),
                      duration(b.summary.median), b.to_first.ratio, b.to_first.lo, b.to_first.hi,
                      runtime::name(b.to_first.verdict));
  text +=
      fmt::format("capacity  multiply-accumulates {}, weights {}{}\n", growth(r.macs_before, r.macs_after),
                  growth(static_cast<double>(r.weights_before), static_cast<double>(r.weights_after)),
                  r.optimal ? ", optimal among the candidates" : "");
  text += fmt::format("outputs   the same: largest difference {:.2g}\n", r.max_difference);
  if (!r.written.empty())
    text += fmt::format(
        "wrote     {}; nothing reads the new channels yet: tailor finetune, or distill, teaches it to\n",
        r.written.string());
  return text;
}

}  // namespace

int grow(const Global& global, const GrowArguments& arguments) {
  pipeline::GrowOptions options = options_of(global, arguments);
  console::check_target(arguments.out);  // now, not after the work
  pipeline::GrowResult result;
  {
    Progress progress("grow");
    options.say = [&](const std::string& line) {
      if (!global.quiet) fmt::print(stderr, "{}  {}\n", ::isatty(2) ? "\r\x1b[K" : "", line);
    };
    options.bench.progress = [&](double done) { progress.update(100 * done, 100, "final comparison"); };
    result = pipeline::grow(options);
  }
  global.json ? print_document(to_json(result, options)) : print(describe(result));
  if (result.goal_met) return 0;
  print_error(global, Error(Code::goal_not_met,
                            fmt::format("the grown model takes {:.3f} of the time",
                                        result.speed.models[1].to_first.ratio),
                            arguments.model.string(), "nothing was written; a larger --latency allows more"));
  return exit_code(Code::goal_not_met);
}

}  // namespace tailor::app

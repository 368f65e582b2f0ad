// tailor plan show, plan diff, plan apply. The table of plan show is also what optimize prints.
#include "tailor/app/app.h"
#include "tailor/base/table.h"
#include "tailor/pipeline/apply_plan.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <map>

namespace tailor::app {
namespace {

std::string certificate_text(const plan::Certificate& c) {
  if (c.optimal) return c.quantum_us > 0 ? fmt::format("optimal (to {:.2g} us)", c.quantum_us) : "optimal";
  return fmt::format("gap <= {:.2g} %", 100 * c.gap);
}

// How the plan was found, and what is known about better ones.
std::string choice_text(const pipeline::WidthPlan& plan) {
  if (plan.rule != "exact") return fmt::format("rule {}, {} surgeries measured", plan.rule, plan.candidates);
  return fmt::format("{} candidates in {} rounds, last choice {}", plan.candidates, plan.rounds,
                     certificate_text(plan.certificate));
}

std::map<std::string, std::string> widths(const pipeline::WidthPlan& plan) {
  std::map<std::string, std::string> list;
  for (const pipeline::GroupPlan& g : plan.groups) list[g.layer] = fmt::format("{} -> {}", g.before, g.after);
  for (const std::string& name : plan.dropped) list["branch into " + name] = "dropped";
  for (const auto& [name, kernel] : plan.folded)
    list["branch into " + name] = fmt::format("one {0}x{0} convolution", kernel);
  for (const pipeline::KernelPlan& k : plan.kernels)
    list["kernel of " + k.layer] =
        fmt::format("{}x{} -> {}", k.kh_before, k.kw_before, rewrite::to_string(k.taps));
  for (const pipeline::TokenPlan& t : plan.tokens)
    list["tokens behind " + t.value] = fmt::format("{} -> {}", t.before, t.kept.size());
  return list;
}

std::string what_is_done(const pipeline::GroupPlan& g) {
  int kept = g.after - g.added;
  auto channels = [](int count) { return fmt::format("{} channel{}", count, count == 1 ? "" : "s"); };
  if (g.added == 0) return channels(g.before - kept) + " cut";
  if (kept == g.before) return channels(g.added) + " of zeros added";
  return fmt::format("{} cut, {} of zeros added", channels(g.before - kept), g.added);
}

std::string change(double before, double after) {
  return before > 0 ? fmt::format("{:+.1f} %", 100 * (after / before - 1)) : "";
}

std::string applied_text(const pipeline::Applied& a) {
  Table table({{"channels of"}, {"width", Align::right}, {"new", Align::right}, {"what was done"}});
  for (const pipeline::GroupPlan& g : a.plan.groups)
    table.row({g.layer, std::to_string(g.before), std::to_string(g.after), what_is_done(g)});
  for (const std::string& name : a.plan.dropped)
    table.row({"branch into " + name, "", "gone", "branch dropped"});
  for (const pipeline::KernelPlan& k : a.plan.kernels)
    table.row({"kernel of " + k.layer, fmt::format("{}x{}", k.kh_before, k.kw_before),
               rewrite::to_string(k.taps), "taps cut"});
  for (const pipeline::TokenPlan& t : a.plan.tokens)
    table.row({"tokens behind " + t.value, std::to_string(t.before), std::to_string(t.kept.size()),
               "the others left out"});
  auto macs = [](const pipeline::Size& size) { return static_cast<double>(size.macs); };
  auto bytes = [](const pipeline::Size& size) { return static_cast<double>(size.bytes); };
  return (table.empty() ? "nothing is changed\n" : table.text()) +
         fmt::format(
             "\nMACs      {} -> {}  {}\nbytes     {} -> {}  {}\nwrote     {} (read back; not run, not "
             "timed)\n"
             "All other weights are as they were: nothing was refitted. optimize --plan refits and "
             "measures.\n",
             engineering(macs(a.before)), engineering(macs(a.after)), change(macs(a.before), macs(a.after)),
             a.before.bytes, a.after.bytes, change(bytes(a.before), bytes(a.after)), a.written.string());
}

bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code ignored;
  return std::filesystem::equivalent(a, b, ignored);
}

}  // namespace

std::string plan_text(const pipeline::WidthPlan& plan) {
  Table table({{"channels of"}, {"width", Align::right}, {"new", Align::right}, {"why"}});
  for (const pipeline::GroupPlan& g : plan.groups)
    table.row({g.layer, std::to_string(g.before), std::to_string(g.after), g.why});
  for (const pipeline::KernelPlan& k : plan.kernels)
    table.row({"kernel of " + k.layer, fmt::format("{}x{}", k.kh_before, k.kw_before),
               rewrite::to_string(k.taps), "taps go, those that stay are fitted"});
  for (const pipeline::TokenPlan& t : plan.tokens)
    table.row({"tokens behind " + t.value, std::to_string(t.before), std::to_string(t.kept.size()),
               "the same places of every input are carried on"});
  for (const std::string& name : plan.dropped)
    table.row({"branch into " + name, "", "gone", "the whole residual branch goes"});
  for (const std::string& name : plan.shortcuts)
    table.row(
        {"shortcut " + name, "", "1x1", "a convolution computes the same and stays in the fast layout"});
  for (const auto& [name, kernel] : plan.folded)
    table.row({"branch into " + name, "", fmt::format("{0}x{0}", kernel),
               "one convolution stands for the whole residual branch"});
  std::string text = table.empty() ? "nothing is changed\n" : table.text();
  return text + fmt::format("\n{}: {}; {}\npredicted {:.3f}x, {} {:.3f}x of the latency   ({})\n", plan.model,
                            plan.goal, choice_text(plan), plan.predicted_ratio, tailor::name(plan.how),
                            plan.measured_ratio, plan.runtime);
}

int plan_show(const Global& global, const PlanArguments& arguments) {
  pipeline::WidthPlan plan = pipeline::read_plan(arguments.plans.front());
  global.json ? print_document(to_json(plan)) : print(plan_text(plan));
  return 0;
}

int plan_diff(const Global& global, const PlanArguments& arguments) {
  pipeline::WidthPlan a = pipeline::read_plan(arguments.plans[0]),
                      b = pipeline::read_plan(arguments.plans[1]);
  if (a.sha256 != b.sha256)
    throw Error(Code::plan_mismatch, "the plans were made for different models", arguments.plans[1].string());
  std::map<std::string, std::string> first = widths(a), second = widths(b), all = first;
  all.insert(second.begin(), second.end());
  Table table({{"channels of"}, {"first"}, {"second"}});
  Json rows = Json::array();
  for (const auto& [name, unused] : all) {
    std::string x = first.contains(name) ? first[name] : "as it was",
                y = second.contains(name) ? second[name] : "as it was";
    if (x == y) continue;
    table.row({name, x, y});
    rows.push_back({{"channels_of", name}, {"first", x}, {"second", y}});
  }
  std::string measured = fmt::format("measured {:.3f}x and {:.3f}x, loss {:.4g} and {:.4g}\n",
                                     a.measured_ratio, b.measured_ratio, a.loss, b.loss);
  if (global.json)
    print_document({{"schema", "tailor/plan-diff/1"}, {"rows", rows}});
  else
    print(rows.empty() ? "the plans change the same widths\n" + measured : table.text() + measured);
  return 0;
}

int plan_apply(const Global& global, const ApplyArguments& arguments) {
  for (const auto& input : {arguments.model, arguments.plan})
    if (same_file(input, arguments.out))
      throw Error(Code::bad_value, "the output would overwrite what it is made from", "--output",
                  "give another file to write");
  check_target(arguments.out);
  pipeline::Applied applied = pipeline::apply_plan(
      {arguments.model, arguments.plan, arguments.out, graph::parse_shape_overrides(arguments.shapes)});
  global.json ? print_document(to_json(applied)) : print(applied_text(applied));
  return 0;
}

}  // namespace tailor::app

// tailor plan show, tailor plan diff. The table is also what optimize prints.
#include "tailor/app/app.h"
#include "tailor/base/table.h"
#include "tailor/pipeline/width_plan.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <map>

namespace tailor::app {
namespace {

pipeline::WidthPlan read_plan(const std::filesystem::path& path) {
  return pipeline::width_plan_from_json(read_json(path, "tailor/plan/1"), path.string());
}

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
  return list;
}

}  // namespace

std::string plan_text(const pipeline::WidthPlan& plan) {
  Table table({{"channels of"}, {"width", Align::right}, {"new", Align::right}, {"why"}});
  for (const pipeline::GroupPlan& g : plan.groups)
    table.row({g.layer, std::to_string(g.before), std::to_string(g.after), g.why});
  for (const std::string& name : plan.dropped)
    table.row({"branch into " + name, "", "gone",
               "the whole residual branch goes, the next layers make up for it"});
  for (const auto& [name, kernel] : plan.folded)
    table.row({"branch into " + name, "", fmt::format("{0}x{0}", kernel),
               "one convolution stands for the whole residual branch"});
  std::string text = plan.groups.empty() && plan.dropped.empty() && plan.folded.empty()
                         ? "nothing is changed\n"
                         : table.text();
  return text + fmt::format("\n{}: {}; {}\npredicted {:.3f}x, measured {:.3f}x of the latency   ({})\n",
                            plan.model, plan.goal, choice_text(plan), plan.predicted_ratio,
                            plan.measured_ratio, plan.runtime);
}

int plan_show(const Global& global, const PlanArguments& arguments) {
  pipeline::WidthPlan plan = read_plan(arguments.plans.front());
  global.json ? print_document(to_json(plan)) : print(plan_text(plan));
  return 0;
}

int plan_diff(const Global& global, const PlanArguments& arguments) {
  pipeline::WidthPlan a = read_plan(arguments.plans[0]), b = read_plan(arguments.plans[1]);
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

}  // namespace tailor::app

// tailor plan table: results of optimize --json side by side, in the order given. The proof of each is read,
// not the plan's own figures: it was measured on the written file.
#include "tailor/app/app.h"
#include "tailor/pipeline/optimize.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::app {
namespace {

struct Row {
  std::string model, goal, rule;
  runtime::Comparison reached;  // of the original's latency
  std::string measure;          // top-1, agreement with the original; divergence where outputs are no classes
  double before = 0, after = 0;
  double as_cut = 0, repaired = 0;  // divergence on calibration samples
  bool classes() const { return measure != "divergence"; }
  double points() const { return 100 * (after - before); }
};

pipeline::OptimizeResult read_result(const std::filesystem::path& path) {
  try {
    return pipeline::optimize_result_from_json(read_json(path, "tailor/optimize/1"), path.string());
  } catch (const Error& error) {
    if (error.code() != Code::bad_json || !error.help().empty()) throw;
    throw Error(error.code(), error.what(), error.place(),
                "give what optimize --json printed; for a plan there is tailor plan show");
  }
}

Row read_row(const std::filesystem::path& path) {
  pipeline::OptimizeResult result = read_result(path);
  const pipeline::Agreement& a = result.proof.samples.front();
  Row row;
  row.model = result.plan.model, row.goal = result.plan.goal, row.rule = result.plan.rule;
  row.as_cut = result.plan.cut_loss, row.repaired = result.plan.loss;
  row.reached = result.proof.speed.models[1].to_first;
  if (a.score.labelled > 0)
    row.measure = "top-1", row.before = a.score.top1_a(), row.after = a.score.top1_b();
  else if (a.score.n > 0)
    row.measure = "agreement", row.before = 1, row.after = a.score.agreement();
  else
    row.measure = "divergence", row.after = a.mean_divergence;
  return row;
}

Json to_json(const Row& row) {
  return {{"model", row.model},
          {"goal", row.goal},
          {"rule", row.rule},
          {"reached", pipeline::to_json(row.reached)},
          {"measure", row.measure},
          {"before", row.before},
          {"after", row.after},
          {"divergence_as_cut", row.as_cut},
          {"divergence_repaired", row.repaired},
          {"points", row.classes() ? Json(row.points()) : Json()}};
}

// A bar would end the cell.
std::string cell(const std::string& text) {
  std::string escaped;
  for (char c : text) escaped += c == '|' ? "\\|" : std::string(1, c);
  return escaped;
}

std::string accuracy(const Row& row) {
  if (!row.classes()) return fmt::format("divergence {:.4g}", row.after);
  return fmt::format("{} {:.2f} % -> {:.2f} %", row.measure, 100 * row.before, 100 * row.after);
}

std::string markdown(const Row& row) {
  return fmt::format("| {} | {} | {} | {:.3f}x [{:.3f}, {:.3f}] | {:.3g} -> {:.3g} | {} | {} |\n",
                     cell(row.model), cell(row.goal), cell(row.rule), row.reached.ratio, row.reached.lo,
                     row.reached.hi, row.as_cut, row.repaired, accuracy(row),
                     row.classes() ? fmt::format("{:+.2f}", row.points()) : "");
}

}  // namespace

int plan_table(const Global& global, const PlanArguments& arguments) {
  std::string text =
      "| model | goal | rule | latency reached | divergence as cut -> repaired | accuracy | points |\n"
      "|---|---|---|---|---|---|---:|\n";
  Json rows = Json::array();
  for (const std::filesystem::path& path : arguments.plans) {
    Row row = read_row(path);
    text += markdown(row);
    rows.push_back(to_json(row));
  }
  global.json ? print_document({{"schema", "tailor/plan-table/1"}, {"rows", rows}}) : print(text);
  return 0;
}

}  // namespace tailor::app

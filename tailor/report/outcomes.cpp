// Several results of tailor optimize beside each other: what each reached and what it cost, one point each.
#include "tailor/base/error.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::report {
namespace {

struct Outcome {
  std::string name, model, goal, rule, how;
  double ratio = 1, lo = 1, hi = 1;               // of the original's latency
  std::optional<double> before = {}, after = {};  // top-1; or 1 and the agreement
  std::int64_t samples = 0;
  double cut_loss = 0, loss = 0;  // divergence, as cut and repaired

  std::optional<double> points() const {
    return after ? std::optional(100 * (*after - *before)) : std::nullopt;
  }
};

void read_accuracy(Outcome& outcome, const Json& samples, const std::string& place) {
  if (samples.empty()) return;
  const Json& s = samples[0];
  const std::string at = place + "[0]";
  if (s.contains("labelled") && !s["labelled"].is_null()) {
    const std::string labels = member_place(at, "labelled");
    outcome.before = number(s["labelled"], "top1_a", labels);
    outcome.after = number(s["labelled"], "top1_b", labels);
    outcome.samples = integer(s["labelled"], "n", labels);
  } else if (s.contains("top1") && !s["top1"].is_null()) {
    outcome.before = 1, outcome.after = number(s["top1"], "agreement", member_place(at, "top1"));
    outcome.samples = integer(s["top1"], "n", member_place(at, "top1"));
  }
}

Outcome outcome_of(const Json& document, const std::string& name) {
  const Json &plan = member(document, "plan", name), &proof = member(document, "proof", name);
  const std::string at = member_place(name, "plan"), proof_at = member_place(name, "proof");
  Outcome outcome{name, file_name(text(member(plan, "model", at), "path", at + ".model")),
                  text(plan, "goal", at), text(plan, "rule", at), "measured"};
  const std::string speed_at = member_place(proof_at, "speed");
  const Json& models = list(member(proof, "speed", proof_at), "models", speed_at);
  if (models.size() != 2) throw Error(Code::bad_json, "the proof does not compare two models", speed_at);
  const std::string to = item_place(speed_at, "models", 1) + ".to_first";
  const Json& first = member(models[1], "to_first", item_place(speed_at, "models", 1));
  outcome.ratio = number(first, "ratio", to), outcome.lo = number(first, "lo", to),
  outcome.hi = number(first, "hi", to);
  if (document.contains("devices") && !document["devices"].empty()) outcome.how = "modelled";
  read_accuracy(outcome, list(proof, "samples", proof_at), member_place(proof_at, "samples"));
  outcome.cut_loss = number(plan, "loss_before_repair", at), outcome.loss = number(plan, "loss", at);
  return outcome;
}

std::vector<Outcome> outcomes_of(const std::vector<Run>& runs) {
  std::vector<Outcome> outcomes;
  for (const Run& run : runs) {
    if (const std::string kind = kind_of(run.document, run.name); kind != "optimize")
      throw Error(Code::bad_json,
                  fmt::format("more than two results can only be of optimize, not of {}", kind), run.name,
                  "give one result, two of one kind, or results of optimize --json");
    outcomes.push_back(outcome_of(run.document, run.name));
  }
  return outcomes;
}

Row outcome_row(const Outcome& o, std::size_t index) {
  Row row{{name_cell(o.name),
           {o.goal},
           {o.rule},
           ratio_cell(o.ratio),
           ratio_cell(o.lo),
           ratio_cell(o.hi),
           {o.how}},
          index};
  for (const std::optional<double>& share : {o.before, o.after})
    row.cells.push_back(share ? Cell{percent(*share, 2), *share} : Cell{"-"});
  const std::optional<double> points = o.points();
  row.cells.push_back(points ? Cell{fmt::format("{:+.2f}", *points), *points} : Cell{"-"});
  row.cells.push_back(o.samples > 0 ? number_cell(static_cast<double>(o.samples), 0) : Cell{"-"});
  for (double loss : {o.cut_loss, o.loss}) row.cells.push_back({fmt::format("{:.3g}", loss), loss});
  return row;
}

// The one that keeps most: of accuracy where all have one, of the outputs else.
const Outcome& best_of(const std::vector<Outcome>& outcomes) {
  const bool points =
      std::all_of(outcomes.begin(), outcomes.end(), [](const Outcome& o) { return o.after.has_value(); });
  return *std::min_element(outcomes.begin(), outcomes.end(), [&](const Outcome& a, const Outcome& b) {
    return points ? *a.points() > *b.points() : a.loss < b.loss;
  });
}

std::string verdict_of(const std::vector<Outcome>& outcomes) {
  const Outcome& best = best_of(outcomes);
  return fmt::format(
      "Of {} results {} keeps most: {} at {:.3f}x of the time.", outcomes.size(), file_name(best.name),
      best.after ? fmt::format("{} accuracy instead of {}", percent(*best.after, 2), percent(*best.before, 2))
                 : fmt::format("a loss of {:.3g}", best.loss),
      best.ratio);
}

}  // namespace

Section outcomes_section(const std::vector<Run>& runs) {
  Section section{
      "What each reached, and what it cost",
      "One point for each result: time over the original's, with its 95 % interval, against points of "
      "accuracy (top-1 where samples are labelled, agreement with the original else).",
      {"outcomes"}};
  Table table{"Results of optimize",
              {{"result"},
               {"goal"},
               {"rule"},
               {"time / original", true},
               {"from", true, "95 % interval"},
               {"to", true, "95 % interval"},
               {"how"},
               {"accuracy before", true},
               {"after", true},
               {"points", true},
               {"n", true, "samples"},
               {"loss as cut", true, "divergence from the original before repair"},
               {"repaired", true}},
              {}};
  const std::vector<Outcome> outcomes = outcomes_of(runs);
  for (std::size_t i = 0; i < outcomes.size(); ++i) table.rows.push_back(outcome_row(outcomes[i], i));
  section.table = std::move(table);
  return section;
}

Content outcomes_content(const std::vector<Run>& runs) {
  const std::vector<Outcome> outcomes = outcomes_of(runs);
  Content content{fmt::format("{} results of optimize", runs.size()), verdict_of(outcomes),
                  "as each was proven"};
  const auto [least, most] = std::minmax_element(
      outcomes.begin(), outcomes.end(), [](const Outcome& a, const Outcome& b) { return a.ratio < b.ratio; });
  content.cards = {{"fastest", fmt::format("{:.3f}x", least->ratio), least->name},
                   {"slowest", fmt::format("{:.3f}x", most->ratio), most->name},
                   {"keeps most", best_of(outcomes).name, best_of(outcomes).goal}};
  content.limits_title = "What the differences hold";
  content.limits = {
      "Each result was timed beside its original in the same rounds, so shares of its time can be compared.",
      "An accuracy is known to a few tenths of a point only; the bars hold what 95 % of samples of that "
      "number "
      "would say."};
  if (std::any_of(outcomes.begin(), outcomes.end(),
                  [&](const Outcome& o) { return o.model != outcomes.front().model; }))
    content.limits.push_back("The results are of different models.");
  content.sections = {outcomes_section(runs)};
  for (const Outcome& o : outcomes) content.method.emplace_back(o.name, o.model + ", " + o.goal);
  return content;
}

}  // namespace tailor::report

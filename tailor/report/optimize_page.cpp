// The pages of tailor optimize and of a plan: what was gained, what was changed for it, how the search went.
#include "tailor/console/console.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::report {
namespace {

struct Gain {
  std::string before_text, after_text, how;
  double ratio = 1;
};

// Absent in documents of before: then latency was measured.
const Json& devices_of(const Json& document, const std::string& place) {
  static const Json none = Json::array();
  return document.is_object() && !document.contains("devices") ? none : list(document, "devices", place);
}

// Where the latency was modelled, of the first device; else of the final comparison.
Gain gain_of(const Json& document, const std::string& place) {
  const Json& devices = devices_of(document, place);
  if (!devices.empty()) {
    const std::string at = item_place(place, "devices", 0);
    const Json& d = devices[0];
    return {console::duration(number(d, "before_us", at)), console::duration(number(d, "after_us", at)),
            "modelled on " + text(d, "title", at), number(d, "ratio", at)};
  }
  const std::string proof = member_place(place, "proof"), at = member_place(proof, "speed");
  const Json& models = list(member(member(document, "proof", place), "speed", proof), "models", at);
  if (models.size() < 2) return {};
  auto median = [&](std::size_t i) {
    const std::string model = item_place(at, "models", i);
    return number(member(models[i], "summary_us", model), "median", member_place(model, "summary_us"));
  };
  const std::string second = item_place(at, "models", 1);
  return {console::duration(median(0)), console::duration(median(1)),
          "measured, medians of interleaved rounds",
          number(member(models[1], "to_first", second), "ratio", member_place(second, "to_first"))};
}

Section widths_section(const Json& plan, const std::string& place) {
  Section section{"Old and new widths",
                  "Channel groups that change, in the network's order; all others stay as they are.",
                  {"widths"}};
  Table table{
      "Channel groups that change",
      {{"group"}, {"before", true}, {"after", true}, {"of it added as zeros", true}, {"what it buys"}},
      {}};
  const Json& groups = list(plan, "groups", place);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::string at = item_place(place, "groups", i);
    const Json& g = groups[i];
    table.rows.push_back({{name_cell(text(g, "layer", at)),
                           number_cell(static_cast<double>(integer(g, "before", at)), 0),
                           number_cell(static_cast<double>(integer(g, "after", at)), 0),
                           number_cell(static_cast<double>(integer(g, "added", at)), 0),
                           {text(g, "why", at)}},
                          i});
  }
  if (table.rows.empty()) section.note = "No channel group changes its width.";
  section.table = std::move(table);
  return section;
}

std::string sizes(const Json& pair) {
  if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_integer() || !pair[1].is_number_integer())
    return "?";
  return fmt::format("{}x{}", pair[0].get<std::int64_t>(), pair[1].get<std::int64_t>());
}

// Branches, kernels and shortcuts, one row each.
Section others_section(const Json& plan, const std::string& place) {
  Section section{"Other changes",
                  "Branches that go, branches that one convolution replaces, smaller kernels, fewer tokens."};
  Table table{"Other changes", {{"where"}, {"what"}}, {}};
  auto row = [&](std::string where, std::string what) {
    table.rows.push_back({{name_cell(std::move(where)), {std::move(what)}}, {}});
  };
  auto word = [](const Json& item) { return item.is_string() ? item.get<std::string>() : item.dump(); };
  for (const Json& branch : list(plan, "dropped", place)) row(word(branch), "residual branch dropped");
  for (const auto& [branch, kernel] : member(plan, "folded", place).items())
    row(branch, fmt::format("branch replaced by one convolution with a kernel of {}", kernel.dump()));
  const Json& kernels = list(plan, "kernels", place);
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    const std::string at = item_place(place, "kernels", i);
    row(text(kernels[i], "layer", at), fmt::format("kernel {} to {}", sizes(member(kernels[i], "before", at)),
                                                   sizes(member(kernels[i], "after", at))));
  }
  for (const Json& shortcut : list(plan, "shortcuts", place))
    row(word(shortcut), "padded shortcut becomes a convolution");
  if (plan.contains("tokens"))  // not in plans of before there was a choice of them
    for (const Json& tokens : list(plan, "tokens", place))
      row(text(tokens, "value", member_place(place, "tokens")),
          fmt::format("{} tokens to {} behind it", member(tokens, "before", place).dump(),
                      member(tokens, "after", place).dump()));
  if (table.rows.empty()) section.note = "None.";
  if (!table.rows.empty()) section.table = std::move(table);
  return section;
}

Section search_section(const Json& document, const std::string& place) {
  Section section{
      "Search",
      "Each round repaired the network, priced the candidates anew and let the exact planner choose. The "
      "curve is the planner's front of the last round: the least loss that its table allows at each "
      "latency up to the goal.",
      {"front"}};
  Table table{"Rounds",
              {{"round"},
               {"aimed at", true, "share of the original's latency"},
               {"predicted", true},
               {"measured", true},
               {"loss before", true, "divergence of the repaired network before the round's cut"},
               {"loss expected", true},
               {"gap %", true, "how far from optimal the choice can be, within the table"},
               {"candidates", true}},
              {}};
  const Json& rounds = list(document, "rounds", place);
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    const std::string at = item_place(place, "rounds", i);
    const Json& r = rounds[i];
    Row row{{{std::to_string(i + 1)}}, {}};
    for (const char* key : {"goal", "predicted", "measured"})
      row.cells.push_back(ratio_cell(number(r, key, at)));
    for (const char* key : {"loss_before", "table_loss"}) {
      const double loss = number(r, key, at);
      row.cells.push_back({fmt::format("{:.3g}", loss), loss});
    }
    row.cells.push_back(number_cell(100 * number(r, "gap", at), 2));
    row.cells.push_back(number_cell(static_cast<double>(integer(r, "candidates", at)), 0));
    table.rows.push_back(std::move(row));
  }
  if (table.rows.empty())
    section.note = "Nothing was searched: a plan was carried out, or a simple rule chose.";
  if (table.rows.empty()) section.figures.clear();
  if (!table.rows.empty()) section.table = std::move(table);
  return section;
}

std::string verdict_of(const Json& document, const std::string& place, const Gain& gain,
                       const std::string& accuracy) {
  const Json& plan = member(document, "plan", place);
  const std::string model =
      text(member(plan, "model", member_place(place, "plan")), "path", place + ".plan.model");
  std::string text = gain.ratio > 0 && gain.ratio < 1
                         ? fmt::format("{} runs {:.2f}x as fast ({} instead of {}, {})", file_name(model),
                                       1 / gain.ratio, gain.after_text, gain.before_text, gain.how)
                         : fmt::format("{} did not become faster ({})", file_name(model), gain.how);
  if (!accuracy.empty()) text += "; " + accuracy;
  return text + (boolean(document, "goal_met", place) ? "." : ". The goal was not met.");
}

std::vector<std::string> limits_of(const Json& document, const std::string& place) {
  const std::string at = member_place(place, "plan");
  const Json& plan = member(document, "plan", place);
  std::vector<std::string> lines;
  if (const std::string why = text(document, "why_not", place); !why.empty()) lines.push_back(why + ".");
  const Json& certificate = member(plan, "certificate", at);
  if (certificate.is_object() && text(plan, "rule", at) == "exact") {
    const std::string inner = member_place(at, "certificate");
    lines.push_back(
        boolean(certificate, "optimal", inner)
            ? "Within its table of candidates the plan is optimal: less loss at this latency needs other "
              "candidates (--widths), another repair, or training."
            : fmt::format("Within its table of candidates at most {} of the loss could still be saved.",
                          percent(number(certificate, "gap", inner), 1)));
  }
  lines.push_back(
      fmt::format("Repair took the divergence from the original from {:.3g} to {:.3g}; what is left is what "
                  "training would have to win back.",
                  number(plan, "loss_before_repair", at), number(plan, "loss", at)));
  return lines;
}

Section devices_section(const Json& document, const std::string& place) {
  Section section{"Devices", "Latency by the wave model; nothing was run there."};
  Table table{"Modelled latency", {{"device"}, {"before us", true}, {"after us", true}, {"ratio", true}}, {}};
  const Json& devices = devices_of(document, place);
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::string at = item_place(place, "devices", i);
    table.rows.push_back(
        {{name_cell(text(devices[i], "title", at)), number_cell(number(devices[i], "before_us", at), 1),
          number_cell(number(devices[i], "after_us", at), 1), ratio_cell(number(devices[i], "ratio", at))},
         {}});
  }
  section.table = std::move(table);
  return section;
}

std::vector<std::pair<std::string, std::string>> next_of(const Json& document, const std::string& place) {
  const std::string written = text(document, "written", place);
  const Json& proof = member(document, "proof", place);
  const std::string original = text(proof, "a", member_place(place, "proof"));
  if (written.empty()) return {};
  return {{fmt::format("tailor verify {} {} --eval DATA --max-drop 0.5 --min-speedup 1.1x",
                       shell_word(original), shell_word(written)),
           "the same proof on other data, as a gate for a pipeline"},
          {fmt::format("tailor analyze {}", shell_word(written)), "what still does not fit"}};
}

std::string counted(std::size_t count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string changes_text(const Json& plan, const std::string& place) {
  const auto count = [&](const char* key) { return list(plan, key, place).size(); };
  std::string text = counted(count("groups"), "channel group changes", "channel groups change");
  if (count("dropped") > 0) text += ", " + counted(count("dropped"), "branch goes", "branches go");
  if (count("kernels") > 0)
    text += ", " + counted(count("kernels"), "kernel gets smaller", "kernels get smaller");
  if (plan.contains("tokens") && count("tokens") > 0)
    text += ", fewer tokens behind " + counted(count("tokens"), "value", "values");
  return text;
}

}  // namespace

Content plan_content(const Json& plan, const std::string& place) {
  const Json& latency = member(plan, "latency", place);
  const std::string at = member_place(place, "latency");
  const Json& model = member(plan, "model", place);
  const std::string path = text(model, "path", member_place(place, "model"));
  const double ratio = number(latency, "measured_ratio", at), loss = number(plan, "loss", place);
  Content content{
      "Plan for " + path,
      fmt::format("{}: {}, for {:.3f}x of the latency.", file_name(path), changes_text(plan, place), ratio),
      "as the plan says"};
  content.cards = {{"goal", text(plan, "goal", place), text(plan, "rule", place)},
                   {"latency", fmt::format("{:.3f}x", ratio), "when the plan was made"},
                   {"loss", fmt::format("{:.3g}", loss), "divergence from the original, repaired"}};
  content.next = {{fmt::format("tailor optimize {} -o again.onnx --plan {} --calib DATA", shell_word(path),
                               shell_word(place)),
                   "carries the plan out again, and proves it"}};
  content.sections = {widths_section(plan, place), others_section(plan, place)};
  content.method = {{"planned with", text(plan, "runtime", place)},
                    {"rounds", std::to_string(integer(plan, "rounds", place))},
                    {"model", text(model, "sha256", member_place(place, "model"))}};
  return content;
}

Content optimize_content(const Json& document, const std::string& place) {
  const Json& plan = member(document, "plan", place);
  const Json& proof = member(document, "proof", place);
  const std::string plan_place = member_place(place, "plan"), proof_place = member_place(place, "proof");
  const Json& samples = list(proof, "samples", proof_place);
  const std::string accuracy = accuracy_text(samples, member_place(proof_place, "samples"));
  const Gain gain = gain_of(document, place);
  Content content{"Optimization for " + text(plan, "goal", plan_place),
                  verdict_of(document, place, gain, accuracy), gain.how};
  content.cards = {
      {"before", gain.before_text, ""},
      {"after", gain.after_text, fmt::format("{:.3f}x of the latency", gain.ratio)},
      {"accuracy", accuracy.empty() ? "-" : accuracy, "original, then the new model"},
      {"goal", text(plan, "goal", plan_place), boolean(document, "goal_met", place) ? "met" : "not met"}};
  content.limits = limits_of(document, place);
  content.next = next_of(document, place);
  content.sections = {widths_section(plan, plan_place), others_section(plan, plan_place),
                      search_section(document, place)};
  if (!devices_of(document, place).empty()) content.sections.push_back(devices_section(document, place));
  content.sections.push_back(samples_section(samples, member_place(proof_place, "samples")));
  const Json& speed = member(proof, "speed", proof_place);
  const std::string speed_place = member_place(proof_place, "speed");
  if (devices_of(document, place).empty()) {
    content.sections.push_back(speed_section(speed, speed_place));
    content.method = speed_method(speed, speed_place);
  }
  content.method.emplace_back("planned with", text(plan, "runtime", plan_place));
  content.method.emplace_back("rule", text(plan, "rule", plan_place));
  content.method.emplace_back("model",
                              text(member(plan, "model", plan_place), "sha256", plan_place + ".model"));
  return content;
}

}  // namespace tailor::report

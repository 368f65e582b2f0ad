// The page of tailor optimize: what was gained, what was changed for it, how the search went, on which device.
#include "tailor/console/console.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

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
            devices.size() > 1 ? "modelled" : "modelled on " + text(d, "title", at), number(d, "ratio", at)};
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
               {"found", true, "measured, or modelled where latency is"},
               {"loss before", true, "divergence of the repaired network before the round's cut"},
               {"loss expected", true},
               {"gap %", true, "how far from optimal the choice can be, within the table"},
               {"decisions", true, "groups, branches and kernels that had candidates"},
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
    for (const char* key : {"variables", "candidates"})
      row.cells.push_back(number_cell(static_cast<double>(integer(r, key, at)), 0));
    table.rows.push_back(std::move(row));
  }
  if (table.rows.empty())
    section.note = "Nothing was searched: a plan was carried out, or a simple rule chose.";
  if (table.rows.empty()) section.figures.clear();
  if (!table.rows.empty()) section.table = std::move(table);
  return section;
}

// Layers that were fitted together; nothing in documents of before.
std::optional<Section> together_section(const Json& document, const std::string& place) {
  const std::string recover = member_place(place, "recover");
  if (!document.contains("recover") || !document["recover"].is_object() ||
      !document["recover"].contains("together"))
    return std::nullopt;
  const Json& together = list(document["recover"], "together", recover);
  if (together.empty()) return std::nullopt;
  Section section{
      "Layers fitted together",
      "After the layers were refitted one by one, neighbouring ones were fitted together towards what the "
      "original has where they end. Distances are mean squares on samples that the fit had not seen.",
      {}};
  Table table{"Fits of several layers",
              {{"where they end"},
               {"before", true, "mean squared distance from the original's value"},
               {"after", true},
               {"left %", true}},
              {}};
  for (std::size_t i = 0; i < together.size(); ++i) {
    const std::string at = item_place(recover, "together", i);
    const double before = number(together[i], "before", at), after = number(together[i], "after", at);
    table.rows.push_back({{name_cell(text(together[i], "goal", at)),
                           {fmt::format("{:.3g}", before), before},
                           {fmt::format("{:.3g}", after), after},
                           number_cell(before > 0 ? 100 * after / before : 100, 1)},
                          {}});
  }
  section.table = std::move(table);
  return section;
}

// "runs 1.43x as fast: 280 us instead of 400 us", of each device.
std::string speed_text(const Json& devices, const std::string& place, const Gain& gain) {
  if (devices.empty())
    return gain.ratio > 0 && gain.ratio < 1 ? fmt::format("runs {:.2f}x as fast as it did: {} instead of {}",
                                                          1 / gain.ratio, gain.after_text, gain.before_text)
                                            : std::string("did not become faster");
  std::string line;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::string at = item_place(place, "devices", i);
    const double ratio = number(devices[i], "ratio", at);
    line += fmt::format("{}{:.2f}x as fast on {} ({} instead of {})", i == 0 ? "" : " and ",
                        ratio > 0 ? 1 / ratio : 0, text(devices[i], "title", at),
                        console::duration(number(devices[i], "after_us", at)),
                        console::duration(number(devices[i], "before_us", at)));
  }
  return "would run " + line + ", by the model";
}

std::string verdict_of(const Json& document, const std::string& place, const Gain& gain) {
  const Json& plan = member(document, "plan", place);
  const std::string model =
      text(member(plan, "model", member_place(place, "plan")), "path", place + ".plan.model");
  const std::string proof = member_place(place, "proof");
  const std::string goal = text(plan, "goal", member_place(place, "plan"));
  const bool met = boolean(document, "goal_met", place);
  return fmt::format("{} {}{}. {}", file_name(model), speed_text(devices_of(document, place), place, gain),
                     accuracy_clause(list(member(document, "proof", place), "samples", proof),
                                     member_place(proof, "samples")),
                     met ? fmt::format("The goal is met: {}.", goal)
                         : fmt::format("The goal is not met: {}.", text(document, "why_not", place)));
}

// Documents of before do not say the method: it was least squares.
std::string recovery(const Json& document, const std::string& place) {
  if (!document.contains("recover")) return "lsq";
  return text(document["recover"], "method", member_place(place, "recover"));
}

std::string repair_text(const Json& document, const std::string& place) {
  const std::string at = member_place(place, "plan"), method = recovery(document, place);
  const Json& plan = member(document, "plan", place);
  const double before = number(plan, "loss_before_repair", at), after = number(plan, "loss", at);
  if (method == "none")
    return fmt::format(
        "Nothing was repaired (--recover none): outputs differ from the original's by {:.3g} of "
        "their variance.",
        after);
  return fmt::format(
      "Repair ({}) took the difference of the outputs from the original's from {:.3g} to {:.3g} "
      "of their variance; what is left is what training would have to win back.",
      method == "bn" ? "statistics of BatchNormalization estimated again"
                     : "readers refitted by least squares",
      before, after);
}

std::string certificate_text(const Json& certificate, const std::string& at) {
  if (boolean(certificate, "optimal", at))
    return "Within its table of candidates the plan is optimal: less loss at this latency needs other "
           "candidates (--widths), another repair, or training.";
  return fmt::format("Within its table of candidates at most {} of the loss could still be saved.",
                     percent(number(certificate, "gap", at), 1));
}

// How much longer a common model takes on a device than one for it alone.
void add_regrets(std::vector<std::string>& lines, const Json& devices, const std::string& place) {
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::string at = item_place(place, "devices", i);
    if (!devices[i].contains("regret") || devices[i]["regret"].is_null()) continue;
    const double regret = number(devices[i], "regret", at);
    lines.push_back(
        regret < 0.0005
            ? fmt::format("On {} widths for it alone would be no faster at no more loss.",
                          text(devices[i], "title", at))
            : fmt::format("On {} one model for all devices takes {} longer than widths for it alone would at "
                          "no more loss.",
                          text(devices[i], "title", at), percent(regret, 1)));
  }
}

std::vector<std::string> limits_of(const Json& document, const std::string& place) {
  const std::string at = member_place(place, "plan");
  const Json& plan = member(document, "plan", place);
  std::vector<std::string> lines;
  const Json& certificate = member(plan, "certificate", at);
  if (certificate.is_object() && text(plan, "rule", at) == "exact" && integer(plan, "candidates", at) > 0)
    lines.push_back(certificate_text(certificate, member_place(at, "certificate")));
  lines.push_back(repair_text(document, place));
  add_regrets(lines, devices_of(document, place), place);
  return lines;
}

Section devices_section(const Json& document, const std::string& place) {
  Section section{
      "Devices", "Latency as models of the described devices say; nothing was run there.", {"devices"}};
  Table table{"Modelled latency",
              {{"device"},
               {"before us", true},
               {"after us", true},
               {"ratio", true},
               {"regret %", true,
                "how much longer the model takes here than widths for this device alone, at no more loss"}},
              {}};
  const Json& devices = devices_of(document, place);
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::string at = item_place(place, "devices", i);
    const bool known =
        devices[i].is_object() && devices[i].contains("regret") && !devices[i]["regret"].is_null();
    table.rows.push_back(
        {{name_cell(text(devices[i], "title", at)), number_cell(number(devices[i], "before_us", at), 1),
          number_cell(number(devices[i], "after_us", at), 1), ratio_cell(number(devices[i], "ratio", at)),
          known ? number_cell(100 * number(devices[i], "regret", at), 1) : Cell{"-"}},
         {}});
  }
  section.table = std::move(table);
  return section;
}

// Before and after; of described devices a card for each.
std::vector<Card> latency_cards(const Json& devices, const std::string& place, const Gain& gain) {
  if (devices.empty())
    return {{"before", gain.before_text, "median of one run"},
            {"after", gain.after_text, fmt::format("{:.3f}x of the latency", gain.ratio)}};
  std::vector<Card> cards;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    const std::string at = item_place(place, "devices", i);
    cards.push_back({text(devices[i], "title", at),
                     fmt::format("{} -> {}", console::duration(number(devices[i], "before_us", at)),
                                 console::duration(number(devices[i], "after_us", at))),
                     fmt::format("{:.3f}x of the latency, modelled", number(devices[i], "ratio", at))});
  }
  return cards;
}

// Channels of the groups that change, all together.
Card changes_card(const Json& plan, const std::string& place) {
  std::int64_t before = 0, after = 0;
  const Json& groups = list(plan, "groups", place);
  if (groups.empty()) return {"what changes", changes_text(plan, place), "no channel group"};
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::string at = item_place(place, "groups", i);
    before += std::clamp<std::int64_t>(integer(groups[i], "before", at), 0, 1 << 24);
    after += std::clamp<std::int64_t>(integer(groups[i], "after", at), 0, 1 << 24);
  }
  return {"channels of what changes", fmt::format("{} -> {}", before, after), changes_text(plan, place)};
}

// What the widths of --widths-from were worth as they were given.
std::optional<Card> given_card(const Json& document, const std::string& place) {
  if (!document.contains("given") || document["given"].is_null()) return std::nullopt;
  const Json& given = document["given"];
  const std::string at = member_place(place, "given");
  return Card{"the widths as given", fmt::format("{:.3f}x", number(given, "ratio", at)),
              fmt::format("at a loss of {:.3g}; {} of them were moved down, {} up", number(given, "loss", at),
                          integer(given, "moved_down", at), integer(given, "moved_up", at))};
}

// How latency and accuracy came to be.
void add_method(Content& content, const Json& document, const std::string& place) {
  const Json& plan = member(document, "plan", place);
  const std::string at = member_place(place, "plan");
  auto& method = content.method;
  method.emplace_back("planned with", text(plan, "runtime", at));
  if (document.contains("timed_on")) method.emplace_back("latency of", text(document, "timed_on", place));
  method.emplace_back("rule", text(plan, "rule", at));
  method.emplace_back("recovery", recovery(document, place));
  const Json& timings = member(document, "timings", place);
  const std::string inner = member_place(place, "timings");
  if (const auto measured = integer(timings, "measured", inner), known = integer(timings, "known", inner);
      measured + known > 0)
    method.emplace_back("layer timings", fmt::format("{} measured, {} found", measured, known));
  method.emplace_back("model", text(member(plan, "model", at), "sha256", at + ".model"));
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

}  // namespace

Content optimize_content(const Json& document, const std::string& place) {
  const Json& plan = member(document, "plan", place);
  const Json& proof = member(document, "proof", place);
  const std::string plan_place = member_place(place, "plan"), proof_place = member_place(place, "proof");
  const Json& samples = list(proof, "samples", proof_place);
  const std::string accuracy = accuracy_text(samples, member_place(proof_place, "samples"));
  const Gain gain = gain_of(document, place);
  Content content{"Optimization for " + text(plan, "goal", plan_place), verdict_of(document, place, gain),
                  gain.how};
  content.cards = latency_cards(devices_of(document, place), place, gain);
  for (Card& card : std::vector<Card>{
           {"accuracy", accuracy.empty() ? "-" : accuracy, "original, then the new model"},
           {"goal", text(plan, "goal", plan_place), boolean(document, "goal_met", place) ? "met" : "not met"},
           changes_card(plan, plan_place)})
    content.cards.push_back(std::move(card));
  if (auto given = given_card(document, place)) content.cards.push_back(*std::move(given));
  content.limits = limits_of(document, place);
  content.next = next_of(document, place);
  content.sections = change_sections(plan, plan_place);
  content.sections.push_back(search_section(document, place));
  if (auto together = together_section(document, place)) content.sections.push_back(*std::move(together));
  const Json& speed = member(proof, "speed", proof_place);
  const std::string speed_place = member_place(proof_place, "speed");
  const bool measured = devices_of(document, place).empty();
  if (!measured) content.sections.push_back(devices_section(document, place));
  content.sections.push_back(samples_section(samples, member_place(proof_place, "samples")));
  if (measured) content.sections.push_back(speed_section(speed, speed_place));
  if (measured) content.method = speed_method(speed, speed_place);
  add_free(content, document, place);
  add_method(content, document, place);
  return content;
}

}  // namespace tailor::report

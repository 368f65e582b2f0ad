// The page of tailor tune: the best kernel of each operator at each share, how the searches went, what a choice that was
// made for one share costs at another.
#include "tailor/console/console.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <optional>

namespace tailor::report {
namespace {

// A time of ours or of the library's; nothing where there is none.
std::optional<double> time_of(const Json& task, const char* key, const std::string& at) {
  const Json& standing = member(task, key, at);
  if (standing.is_null()) return std::nullopt;
  return number(standing, "us", member_place(at, key));
}

Cell time_cell(std::optional<double> us) { return us ? number_cell(*us, 1) : Cell{"-"}; }

// "library 1.20x": our own takes 1.20 times as long. Documents of before have no ratio.
std::string use_text(const Json& task, const std::string& at) {
  const std::string use = text(task, "use", at);
  if (!task.contains("own_over_library") || task["own_over_library"].is_null()) return use;
  return fmt::format("{} {:.2f}x", use, number(task, "own_over_library", at));
}

Row task_row(const Json& task, const std::string& at, std::size_t index) {
  const Json& own = member(task, "own", at);
  const Json& gain = member(task, "gain_left", at);
  Row row{
      {name_cell(text(task, "op", at)), number_cell(static_cast<double>(integer(task, "layers", at)), 0),
       number_cell(100 * number(task, "share", at), 0),
       number_cell(static_cast<double>(integer(task, "threads", at)), 0),
       number_cell(static_cast<double>(integer(task, "trials", at) + integer(task, "trials_before", at)), 0),
       time_cell(time_of(task, "own", at)), time_cell(time_of(task, "library", at))},
      index};
  row.cells.push_back({use_text(task, at)});
  row.cells.push_back(gain.is_null() ? Cell{"-"} : number_cell(100 * number(task, "gain_left", at), 2));
  row.cells.push_back({text(task, "stopped", at)});
  row.cells.push_back(
      {own.is_null() ? std::string("-") : text(own, "configuration", member_place(at, "own"))});
  return row;
}

Section tasks_section(const Json& document, const std::string& place) {
  Section section{
      "Operators",
      "The best kernel of ours, timed alone, beside the best of the libraries', which are timed on one "
      "thread only; the factor is ours over the library's. Select an operator to see its search.",
      {"convergence"}};
  Table table{"Operators at shares of the processor",
              {{"operator"},
               {"layers", true, "of the network that are this operator"},
               {"share %", true, "of the processor"},
               {"threads", true},
               {"trials", true, "of this run and of earlier ones"},
               {"own us", true},
               {"library us", true},
               {"use"},
               {"gain left %", true, "what one more trial was expected to save"},
               {"why no more"},
               {"configuration"}},
              {}};
  const Json& tasks = list(document, "tasks", place);
  for (std::size_t i = 0; i < tasks.size(); ++i)
    table.rows.push_back(task_row(tasks[i], item_place(place, "tasks", i), i));
  section.table = std::move(table);
  return section;
}

// The best time of an operator at a share, by both.
std::map<std::pair<std::string, double>, double> best_times(const Json& tasks, const std::string& place) {
  std::map<std::pair<std::string, double>, double> best;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const std::string at = item_place(place, "tasks", i);
    if (const std::optional<double> us = time_of(tasks[i], "own", at))
      best[{text(tasks[i], "op", at), number(tasks[i], "share", at)}] = *us;
  }
  return best;
}

// Documents of before have no such member.
const Json& elsewhere_of(const Json& task, const std::string& at) {
  static const Json none = Json::array();
  return task.contains("at_shares") ? list(task, "at_shares", at) : none;
}

Section shares_section(const Json& document, const std::string& place) {
  Section section{"Shares",
                  "The kernel that is best at one share, run at the others, over the one that is best there. "
                  "Where that is above 1, a kernel has to be tuned for the part of the device that it gets.",
                  {"shares"}};
  Table table{
      "Tuned at one share, run at another",
      {{"operator"}, {"tuned at %", true}, {"run at %", true}, {"us", true}, {"over the best there", true}},
      {}};
  const Json& tasks = list(document, "tasks", place);
  const auto best = best_times(tasks, place);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const std::string at = item_place(place, "tasks", i);
    const Json& others = elsewhere_of(tasks[i], at);
    for (std::size_t o = 0; others.size() > 1 && o < others.size(); ++o) {
      const std::string other = item_place(at, "at_shares", o);
      const double share = number(others[o], "share", other);
      const auto there = best.find({text(tasks[i], "op", at), share});
      Row row{{name_cell(there == best.end() ? text(tasks[i], "op", at) : there->first.first),
               number_cell(100 * number(tasks[i], "share", at), 0), number_cell(100 * share, 0)},
              i};
      const bool known = !member(others[o], "us", other).is_null() && there != best.end();
      row.cells.push_back(known ? number_cell(number(others[o], "us", other), 1) : Cell{"not measured"});
      row.cells.push_back(known && there->second > 0
                              ? ratio_cell(number(others[o], "us", other) / there->second)
                              : Cell{"-"});
      table.rows.push_back(std::move(row));
    }
  }
  if (table.rows.empty()) section.figures.clear();
  if (table.rows.empty()) section.note = "Only one share was tuned for (--share 25,50,100 tunes for three).";
  if (!table.rows.empty()) section.table = std::move(table);
  return section;
}

Section left_out_section(const Json& document, const std::string& place) {
  Section section{"Left out", "Layers that have no kernel of ours."};
  Table table{"Left out", {{"reason"}, {"layers", true}}, {}};
  const Json& left = list(document, "left_out", place);
  for (std::size_t i = 0; i < left.size(); ++i) {
    const std::string at = item_place(place, "left_out", i);
    table.rows.push_back(
        {{{text(left[i], "reason", at)}, number_cell(static_cast<double>(integer(left[i], "layers", at)), 0)},
         {}});
  }
  if (table.rows.empty()) section.note = "Every layer has one.";
  if (!table.rows.empty()) section.table = std::move(table);
  return section;
}

struct Tally {
  std::size_t compared = 0, ours = 0, unfinished = 0;
  double own_us = 0, library_us = 0;  // of what was compared, over its layers
};

Tally tally_of(const Json& document, const std::string& place) {
  Tally tally;
  const Json& tasks = list(document, "tasks", place);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const std::string at = item_place(place, "tasks", i);
    const std::optional<double> own = time_of(tasks[i], "own", at),
                                library = time_of(tasks[i], "library", at);
    if (text(tasks[i], "stopped", at) == "the time is over") ++tally.unfinished;
    if (!own || !library) continue;
    const auto layers = static_cast<double>(integer(tasks[i], "layers", at));
    ++tally.compared, tally.ours += *own < *library;
    tally.own_us += layers * *own, tally.library_us += layers * *library;
  }
  return tally;
}

std::string verdict_of(const Tally& tally, std::size_t tasks) {
  if (tally.compared == 0)
    return fmt::format("{} operators were tuned; none was compared with the runtime's kernels.", tasks);
  return fmt::format(
      "Generated kernels are faster than the runtime's for {} of the {} operators that were compared.",
      tally.ours, tally.compared);
}

std::vector<std::string> limits_of(const Tally& tally) {
  std::vector<std::string> lines = {
      "The model is not changed: the runtime takes no kernels from outside, so these times are what a layer "
      "could gain."};
  if (tally.unfinished > 0)
    lines.push_back(fmt::format("{} searches ended because the time was over; more --time continues them.",
                                tally.unfinished));
  return lines;
}

}  // namespace

Content tune_content(const Json& document, const std::string& place) {
  const Tally tally = tally_of(document, place);
  const std::size_t tasks = list(document, "tasks", place).size();
  const auto trials = static_cast<double>(integer(document, "trials", place));
  const double seconds = number(document, "seconds", place);
  const std::string model = document.contains("model") ? text(document, "model", place) : "a model";
  Content content{"Tuning of " + model, verdict_of(tally, tasks), "measured"};
  content.cards = {
      {"operators", std::to_string(tasks), "each at each share"},
      {"trials", fmt::format("{:.0f}", trials),
       fmt::format("in {:.0f} s, {} measured again", seconds, integer(document, "repeated", place))}};
  if (tally.compared > 0)
    content.cards.push_back(
        {"ours against the runtime's",
         tally.library_us > 0 ? fmt::format("{:.3f}x", tally.own_us / tally.library_us) : "-",
         "time of all layers that were compared, on one thread"});
  content.limits = limits_of(tally);
  if (document.contains("file"))
    content.next = {{"tailor tune audit " + shell_word(text(document, "file", place)),
                     "times the choices again: do they still hold?"}};
  content.sections = {tasks_section(document, place), shares_section(document, place),
                      left_out_section(document, place)};
  content.method = {
      {"compiling",
       fmt::format("{:.1f} s of all parts together", number(document, "compile_seconds", place))},
      {"measuring",
       fmt::format("{:.1f} s of all parts together", number(document, "measure_seconds", place))},
      {"clock",
       "the thread's processor time; a share of several threads deals its blocks to them, they run one "
       "after the other, and the longest counts"}};
  return content;
}

}  // namespace tailor::report

// The page of a plan, and the sections on what a plan changes, which the page of tailor optimize has too.
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::report {
namespace {

// Absent in plans of before there was merging.
std::size_t merged_in(const Json& group, const std::string& at) {
  return group.is_object() && group.contains("merged") ? list(group, "merged", at).size() : 0;
}

bool any_merged(const Json& groups, const std::string& place) {
  for (std::size_t i = 0; i < groups.size(); ++i)
    if (merged_in(groups[i], item_place(place, "groups", i)) > 0) return true;
  return false;
}

Row width_row(const Json& g, const std::string& at, std::size_t index, bool merged) {
  Row row{{name_cell(text(g, "layer", at)), number_cell(static_cast<double>(integer(g, "before", at)), 0),
           number_cell(static_cast<double>(integer(g, "after", at)), 0),
           number_cell(static_cast<double>(integer(g, "added", at)), 0)},
          index};
  if (merged) row.cells.push_back(number_cell(static_cast<double>(merged_in(g, at)), 0));
  row.cells.push_back({text(g, "why", at)});
  return row;
}

Section widths_section(const Json& plan, const std::string& place) {
  Section section{"Old and new widths",
                  "Channel groups that change, in the network's order; all others stay as they are.",
                  {"widths"}};
  const Json& groups = list(plan, "groups", place);
  const bool merged = any_merged(groups, place);
  Table table{"Channel groups that change",
              {{"group"}, {"before", true}, {"after", true}, {"of it added as zeros", true}},
              {}};
  if (merged)
    table.columns.push_back({"merged", true, "channels that go and whose function another one takes over"});
  table.columns.push_back({"what it buys"});
  for (std::size_t i = 0; i < groups.size(); ++i)
    table.rows.push_back(width_row(groups[i], item_place(place, "groups", i), i, merged));
  if (table.rows.empty()) section.note = "No channel group changes its width.", section.figures.clear();
  if (!table.rows.empty()) section.table = std::move(table);
  return section;
}

std::string sizes(const Json& pair, const char* between) {
  if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_integer() || !pair[1].is_number_integer())
    return "?";
  return fmt::format("{}{}{}", pair[0].get<std::int64_t>(), between, pair[1].get<std::int64_t>());
}

// "kernel 3x3 to 3x1, from row 0 and column 1 on"
std::string kernel_text(const Json& kernel, const std::string& at) {
  return fmt::format("kernel {} to {}, from row {} on", sizes(member(kernel, "before", at), "x"),
                     sizes(member(kernel, "after", at), "x"),
                     sizes(member(kernel, "at", at), " and column "));
}

// Branches, kernels and shortcuts, one row each.
Section others_section(const Json& plan, const std::string& place) {
  Section section{"Other changes",
                  "Branches that go, branches that one convolution replaces, smaller kernels, shortcuts, "
                  "fewer tokens."};
  Table table{"Other changes", {{"where"}, {"what"}}, {}};
  auto row = [&](std::string where, std::string what) {
    table.rows.push_back({{name_cell(std::move(where)), {std::move(what)}}, {}});
  };
  auto word = [](const Json& item) { return item.is_string() ? item.get<std::string>() : item.dump(); };
  for (const Json& branch : list(plan, "dropped", place)) row(word(branch), "residual branch dropped");
  for (const auto& [branch, kernel] : member(plan, "folded", place).items())
    row(branch, fmt::format("branch replaced by one convolution, kernel {0}x{0}", kernel.dump()));
  const Json& kernels = list(plan, "kernels", place);
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    const std::string at = item_place(place, "kernels", i);
    row(text(kernels[i], "layer", at), kernel_text(kernels[i], at));
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

std::string counted(std::size_t count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

bool modelled(const Json& latency) {
  return latency.contains("how") && latency["how"] == "modelled";  // absent in plans of before: measured
}

}  // namespace

std::vector<Section> change_sections(const Json& plan, const std::string& place) {
  return {widths_section(plan, place), others_section(plan, place)};
}

std::string changes_text(const Json& plan, const std::string& place) {
  struct Kind {
    std::size_t count;
    const char *one, *many;
  };
  const auto count = [&](const char* key) { return list(plan, key, place).size(); };
  std::string line;
  for (const Kind& kind :
       {Kind{count("groups"), "channel group changes", "channel groups change"},
        Kind{count("dropped"), "branch goes", "branches go"},
        Kind{member(plan, "folded", place).size(), "branch becomes one convolution",
             "branches become one convolution each"},
        Kind{count("kernels"), "kernel gets smaller", "kernels get smaller"},
        Kind{count("shortcuts"), "shortcut becomes a convolution", "shortcuts become convolutions"},
        Kind{plan.contains("tokens") ? count("tokens") : 0, "value carries fewer tokens",
             "values carry fewer tokens"}})
    if (kind.count > 0) line += (line.empty() ? "" : ", ") + counted(kind.count, kind.one, kind.many);
  return line.empty() ? "nothing changes" : line;
}

Content plan_content(const Json& plan, const std::string& place) {
  const Json& latency = member(plan, "latency", place);
  const std::string at = member_place(place, "latency");
  const Json& model = member(plan, "model", place);
  const std::string path = text(model, "path", member_place(place, "model"));
  const double ratio = number(latency, "measured_ratio", at), loss = number(plan, "loss", place);
  const char* how = modelled(latency) ? "modelled" : "measured";
  Content content{"Plan for " + path,
                  fmt::format("{} takes {:.3f}x of its time where this plan is carried out: {}.",
                              file_name(path), ratio, changes_text(plan, place)),
                  fmt::format("{} when the plan was made", how)};
  content.cards = {
      {"goal", text(plan, "goal", place), "chosen by the rule " + text(plan, "rule", place)},
      {"latency", fmt::format("{:.3f}x", ratio),
       fmt::format("{}; the table promised {:.3f}x", how, number(latency, "predicted_ratio", at))},
      {"loss", fmt::format("{:.3g}", loss), "divergence from the original, repaired"}};
  content.next = {{fmt::format("tailor optimize {} -o again.onnx --plan {} --calib DATA", shell_word(path),
                               shell_word(place)),
                   "carries the plan out again, and proves it"}};
  content.sections = change_sections(plan, place);
  content.method = {{"planned with", text(plan, "runtime", place)},
                    {"rounds", std::to_string(integer(plan, "rounds", place))},
                    {"candidates", std::to_string(integer(plan, "candidates", place))},
                    {"model", text(model, "sha256", member_place(place, "model"))}};
  return content;
}

}  // namespace tailor::report

// The page of tailor tune interference: what each kernel loses in its part while another runs beside, one table per part,
// and every pair with its interval.
#include "tailor/base/error.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <optional>
#include <vector>

namespace tailor::report {
namespace {

constexpr const char* kSides[] = {"first", "second"};
constexpr const char* kSlowdowns[] = {"first_slowdown", "second_slowdown"};

// A slowdown with its pair.
struct Pair {
  std::size_t own = 0, other = 0, part = 0;
  double ratio = 1, lo = 1, hi = 1, alone_us = 0;
  std::string verdict;
  std::int64_t kept = 0, thrown = 0;
};

std::size_t kernel_of(const Json& cell, const char* key, std::size_t kernels, const std::string& at) {
  const std::int64_t index = integer(cell, key, at);
  if (index < 0 || static_cast<std::size_t>(index) >= kernels)
    throw Error(Code::bad_json, fmt::format("\"{}\" is no kernel's number", key), at);
  return static_cast<std::size_t>(index);
}

std::vector<Pair> pairs_of(const Json& document, const std::string& place) {
  std::vector<Pair> pairs;
  const Json& cells = list(document, "cells", place);
  const std::size_t kernels = list(document, "kernels", place).size();
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const std::string at = item_place(place, "cells", i);
    for (std::size_t part = 0; part < 2; ++part) {
      const Json& slowdown = member(cells[i], kSlowdowns[part], at);
      if (slowdown.is_null()) continue;
      const std::string inner = member_place(at, kSlowdowns[part]);
      pairs.push_back(
          {kernel_of(cells[i], kSides[part], kernels, at), kernel_of(cells[i], kSides[1 - part], kernels, at),
           part, number(slowdown, "ratio", inner), number(slowdown, "lo", inner),
           number(slowdown, "hi", inner), number(slowdown, "alone_us", inner),
           text(slowdown, "verdict", inner), integer(cells[i], "kept", at), integer(cells[i], "thrown", at)});
    }
  }
  return pairs;
}

std::vector<std::string> names_of(const Json& document, const std::string& place) {
  std::vector<std::string> names;
  const Json& kernels = list(document, "kernels", place);
  for (std::size_t i = 0; i < kernels.size(); ++i)
    names.push_back(text(kernels[i], "name", item_place(place, "kernels", i)));
  return names;
}

// "cpu 0" of both parts.
std::vector<std::string> wheres_of(const Json& document, const std::string& place) {
  const Json& parts = list(document, "parts", place);
  if (parts.size() != 2) throw Error(Code::bad_json, "there must be two parts", place);
  return {text(parts[0], "where", item_place(place, "parts", 0)),
          text(parts[1], "where", item_place(place, "parts", 1))};
}

Section matrix_section(const std::vector<Pair>& pairs, const std::vector<std::string>& names,
                       const std::string& where, std::size_t part) {
  Section section{"In " + where, "Time beside the kernel of the column over the time alone."};
  Table table{"Slowdowns in " + where, {{"kernel"}, {"number", true}}, {}};
  for (std::size_t k = 0; k < names.size(); ++k)
    table.columns.push_back({fmt::format("beside {}", k + 1), true, names[k]});
  for (std::size_t k = 0; k < names.size(); ++k) {
    table.rows.push_back({{name_cell(names[k]), number_cell(static_cast<double>(k + 1), 0)}, {}});
    table.rows.back().cells.resize(2 + names.size(), Cell{"-"});
  }
  for (const Pair& pair : pairs)
    if (pair.part == part) table.rows[pair.own].cells[2 + pair.other] = number_cell(pair.ratio, 3);
  if (part == 0) section.figures = {"interference"};  // of both parts
  section.table = std::move(table);
  return section;
}

Section pairs_section(const std::vector<Pair>& pairs, const std::vector<std::string>& names,
                      const std::vector<std::string>& wheres) {
  Section section{"Pairs", "Every pair in both parts. Fewer than five visits are AMBIGUOUS."};
  Table table{"Pairs",
              {{"kernel"},
               {"in"},
               {"beside"},
               {"slowdown", true},
               {"from", true, "95 % interval by bootstrap over visits"},
               {"to", true},
               {"verdict"},
               {"alone us", true},
               {"visits", true},
               {"thrown away", true, "the cores' speed changed meanwhile"}},
              {}};
  for (const Pair& pair : pairs)
    table.rows.push_back({{name_cell(names[pair.own]),
                           {wheres[pair.part]},
                           name_cell(names[pair.other]),
                           number_cell(pair.ratio, 3),
                           number_cell(pair.lo, 3),
                           number_cell(pair.hi, 3),
                           {pair.verdict},
                           number_cell(pair.alone_us, 1),
                           number_cell(static_cast<double>(pair.kept), 0),
                           number_cell(static_cast<double>(pair.thrown), 0)},
                          {}});
  section.table = std::move(table);
  return section;
}

std::string verdict_of(const std::vector<Pair>& pairs, const std::vector<std::string>& names) {
  const Pair* worst = nullptr;
  std::size_t slower = 0;
  for (const Pair& pair : pairs) {
    slower += pair.verdict == "SLOWER" ? 1 : 0;
    if (!worst || pair.ratio > worst->ratio) worst = &pair;
  }
  if (!worst) return "No pair was measured.";
  return fmt::format(
      "{} of {} kernels beside another are slower than alone; most of all {} beside {}: {:.3f} times.",
      slower, pairs.size(), names[worst->own], names[worst->other], worst->ratio);
}

std::string number_or_dash(const Json& document, const char* key, const std::string& place) {
  return member(document, key, place).is_null() ? "-" : fmt::format("{:.3f}x", number(document, key, place));
}

}  // namespace

Content interference_content(const Json& document, const std::string& place) {
  const std::vector<Pair> pairs = pairs_of(document, place);
  const std::vector<std::string> names = names_of(document, place), wheres = wheres_of(document, place);
  Content content{"Interference of " + std::to_string(names.size()) + " kernels", verdict_of(pairs, names),
                  "measured"};
  content.cards = {{"largest", number_or_dash(document, "largest", place), "time beside over time alone"},
                   {"95 %", number_or_dash(document, "p95", place), "of all are at most that"},
                   {"kernels", std::to_string(names.size()), wheres[0] + " beside " + wheres[1]}};
  content.limits = {"Times are of two parts at a time; with more neighbours there is more to share."};
  content.sections = {matrix_section(pairs, names, wheres[0], 0), matrix_section(pairs, names, wheres[1], 1),
                      pairs_section(pairs, names, wheres)};
  content.method = {{"rounds", fmt::format("{} in {:.0f} s", integer(document, "rounds", place),
                                           number(document, "seconds", place))},
                    {"clock", text(document, "clock", place) + ", of the thread that takes longest"},
                    {"a visit",
                     "both parts alone and together, in random order; thrown away where a kernel that never "
                     "changes drifted"}};
  return content;
}

}  // namespace tailor::report

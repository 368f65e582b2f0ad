// The pages of tailor bench and tailor verify.
#include "tailor/console/console.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::report {
namespace {

struct Pair {
  std::string path, verdict;
  double us = 0, ratio = 1, lo = 1, hi = 1;
};

Pair pair_of(const Json& model, const std::string& at) {
  const Json& first = member(model, "to_first", at);
  const std::string to = member_place(at, "to_first");
  return {text(model, "path", at),
          text(first, "verdict", to),
          number(member(model, "summary_us", at), "median", member_place(at, "summary_us")),
          number(first, "ratio", to),
          number(first, "lo", to),
          number(first, "hi", to)};
}

std::vector<Pair> pairs_of(const Json& speed, const std::string& place) {
  std::vector<Pair> pairs;
  const Json& models = list(speed, "models", place);
  for (std::size_t i = 0; i < models.size(); ++i)
    pairs.push_back(pair_of(models[i], item_place(place, "models", i)));
  return pairs;
}

// @param clause the end of the sentence, if there is more to say
std::string sentence(const Pair& first, const Pair& second, const std::string& clause = {}) {
  const bool alike = file_name(first.path) == file_name(second.path);
  const std::string a = alike ? first.path : file_name(first.path),
                    b = alike ? second.path : file_name(second.path);
  if (second.verdict == "FASTER" && second.ratio > 0)
    return fmt::format("{} is {:.2f}x as fast as {}{}.", b, 1 / second.ratio, a, clause);
  if (second.verdict == "SLOWER")
    return fmt::format("{} takes {:.2f}x as long as {}{}.", b, second.ratio, a, clause);
  if (second.verdict == "SAME") return fmt::format("{} is as fast as {}, within 1 %{}.", b, a, clause);
  return fmt::format("Whether {} is faster than {} cannot be told from this measurement.", b, a);
}

std::vector<Card> cards_of(const std::vector<Pair>& pairs) {
  std::vector<Card> cards;
  for (const Pair& pair : pairs) {
    const bool first = &pair == &pairs.front();
    cards.push_back({pair.path, console::duration(pair.us),
                     first ? std::string("median, the reference")
                           : fmt::format("median; {:.3f}x [{:.3f}, {:.3f}] of the reference, {}", pair.ratio,
                                         pair.lo, pair.hi, pair.verdict)});
  }
  return cards;
}

bool trusted(const Json& speed, const std::string& place) {
  return number(speed, "noise", place) <= number(speed, "max_noise", place);
}

std::string stamp_of(const Json& speed, const std::string& place) {
  return trusted(speed, place) ? "measured" : "measured, not to be trusted";
}

std::vector<std::string> trust_of(const Json& speed, const std::string& place) {
  const double noise = number(speed, "noise", place), most = number(speed, "max_noise", place);
  if (trusted(speed, place))
    return {fmt::format("The widest interval is {}; the measurement is trusted.", percent(noise, 1))};
  return {fmt::format(
      "The widest interval is {}, and at most {} is trusted: give the measurement more time, or stop "
      "other programs.",
      percent(noise, 1), percent(most, 1))};
}

Section gates_section(const Json& document, const std::string& place) {
  Section section{"Gates", "What the second model had to fulfil."};
  Table table{"Gates", {{"gate"}, {"outcome"}, {"wanted"}, {"found"}}, {}};
  const Json& gates = list(document, "gates", place);
  for (std::size_t i = 0; i < gates.size(); ++i) {
    const std::string at = item_place(place, "gates", i);
    table.rows.push_back({{{text(gates[i], "gate", at)},
                           {text(gates[i], "outcome", at)},
                           {text(gates[i], "wanted", at)},
                           {text(gates[i], "found", at)}},
                          {}});
  }
  if (table.rows.empty()) section.note = "No gates were given (--max-drop, --min-speedup, --latency).";
  if (!table.rows.empty()) section.table = std::move(table);
  return section;
}

// "PASS: " or "FAIL (min-speedup: >= 1.3x was wanted, 1.1x was found): "; "" where nothing was asked for.
std::string gates_text(const Json& document, const std::string& place) {
  const Json& gates = list(document, "gates", place);
  const std::string outcome = text(document, "outcome", place);
  std::string missed;
  for (std::size_t i = 0; i < gates.size(); ++i) {
    const std::string at = item_place(place, "gates", i);
    if (text(gates[i], "outcome", at) == "PASS") continue;
    missed +=
        fmt::format("{}{}: {} was wanted, {} was found", missed.empty() ? "" : "; ",
                    text(gates[i], "gate", at), text(gates[i], "wanted", at), text(gates[i], "found", at));
  }
  if (gates.empty()) return {};
  return missed.empty() ? outcome + ": " : fmt::format("{} ({}). ", outcome, missed);
}

}  // namespace

Content bench_content(const Json& document, const std::string& place) {
  const std::vector<Pair> pairs = pairs_of(document, place);
  Content content{"Comparison of speed", "", stamp_of(document, place)};
  for (std::size_t i = 1; i < pairs.size(); ++i)
    content.verdict += (i > 1 ? " " : "") + sentence(pairs[0], pairs[i]);
  if (pairs.size() == 1)
    content.verdict = fmt::format("{} takes {}.", pairs[0].path, console::duration(pairs[0].us));
  content.cards = cards_of(pairs);
  content.limits_title = "Can it be trusted?";
  content.limits = trust_of(document, place);
  content.sections = {speed_section(document, place)};
  content.method = speed_method(document, place);
  return content;
}

Content verify_content(const Json& document, const std::string& place) {
  const Json& speed = member(document, "speed", place);
  const std::string at = member_place(place, "speed");
  const std::vector<Pair> pairs = pairs_of(speed, at);
  const Json& samples = list(document, "samples", place);
  const std::string accuracy = accuracy_text(samples, member_place(place, "samples"));
  Content content{"Verification of " + text(document, "b", place), "", stamp_of(speed, at)};
  content.verdict = gates_text(document, place) +
                    (pairs.size() > 1 ? sentence(pairs[0], pairs[1],
                                                 accuracy_clause(samples, member_place(place, "samples")))
                                      : std::string());
  content.cards = cards_of(pairs);
  if (!accuracy.empty()) content.cards.push_back({"outputs", accuracy, ""});
  content.limits_title = "Can it be trusted?";
  content.limits = trust_of(speed, at);
  content.sections = {gates_section(document, place),
                      samples_section(samples, member_place(place, "samples")), speed_section(speed, at)};
  content.method = speed_method(speed, at);
  return content;
}

}  // namespace tailor::report

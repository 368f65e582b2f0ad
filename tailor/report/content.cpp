// What the pages of all kinds share: reading documents with care, cells, the sections on speed and on samples.
#include "tailor/report/content.h"

#include "tailor/base/error.h"
#include "tailor/console/console.h"
#include "tailor/latency/workload.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::report {
namespace {

std::string ratio_text(double ratio, double lo, double hi) {
  return fmt::format("{:.3f}x [{:.3f}, {:.3f}]", ratio, lo, hi);
}

Row speed_row(const Json& model, const std::string& at, std::size_t index) {
  const Json& s = member(model, "summary_us", at);
  const Json& first = member(model, "to_first", at);
  Row row{{name_cell(text(model, "path", at))}, {}};
  for (const char* key : {"min", "p10", "median", "q3", "max"})
    row.cells.push_back(number_cell(number(s, key, member_place(at, "summary_us")), 1));
  row.cells.push_back(number_cell(100 * number(model, "spread", at), 1));
  row.cells.push_back(number_cell(static_cast<double>(integer(model, "n", at)), 0));
  const std::string to = member_place(at, "to_first");
  const double ratio = number(first, "ratio", to);
  row.cells.push_back(
      {index == 0 ? "1" : ratio_text(ratio, number(first, "lo", to), number(first, "hi", to)), ratio});
  row.cells.push_back({index == 0 ? "reference" : text(first, "verdict", to)});
  return row;
}

// "image 1x3x32x32" of the first model.
std::string inputs_text(const Json& speed, const std::string& place) {
  const Json& models = list(speed, "models", place);
  if (models.empty() || !models[0].contains("inputs") || !models[0]["inputs"].is_object()) return {};
  std::string line;
  for (const auto& [name, shape] : models[0]["inputs"].items()) {
    std::string sizes;
    for (const Json& size : shape) sizes += (sizes.empty() ? "" : "x") + size.dump();
    line += fmt::format("{}{} {}", line.empty() ? "" : ", ", name, sizes);
  }
  return line;
}

// A member that is a number, or null where it could not be computed.
Cell maybe_number(const Json& object, const char* key, const std::string& at, const char* format) {
  const Json& value = member(object, key, at);
  if (value.is_null()) return {"-"};
  const double found = number(object, key, at);
  return {fmt::format(fmt::runtime(format), found), found};
}

void add_labels(Row& row, const Json& samples, const std::string& at) {
  if (!samples.contains("labelled") || samples["labelled"].is_null()) {
    for (int i = 0; i < 3; ++i) row.cells.push_back({"-"});
    return;
  }
  const Json& labelled = samples["labelled"];
  const std::string place = member_place(at, "labelled");
  const double a = number(labelled, "top1_a", place), b = number(labelled, "top1_b", place);
  row.cells.push_back({percent(a, 2), a});
  row.cells.push_back({percent(b, 2), b});
  const double p = number(labelled, "mcnemar_p", place);
  row.cells.push_back({fmt::format("{:.2g}", p), p});
}

// " Computed by onnxruntime 1.30.0." Documents of before do not say it.
std::string runner_text(const Json& samples, const std::string& place) {
  if (samples.empty() || !samples[0].contains("by")) return {};
  const std::string by = text(samples[0], "by", place + "[0]");
  return by.empty() ? by : fmt::format(" Computed by {}.", by);
}

// What is known of the first samples: the first of these that is there.
struct Answers {
  std::optional<std::pair<double, double>> top1 = {};  // of both models, on labelled samples
  std::optional<double> agreement = {}, divergence = {};
};

Answers answers_of(const Json& samples, const std::string& place) {
  if (samples.empty()) return {};
  const Json& s = samples[0];
  const std::string at = place + "[0]";
  if (s.contains("labelled") && !s["labelled"].is_null()) {
    const std::string labels = member_place(at, "labelled");
    return {std::pair{number(s["labelled"], "top1_a", labels), number(s["labelled"], "top1_b", labels)}};
  }
  if (s.contains("top1") && !s["top1"].is_null() && text(s, "source", at) != "random")
    return {{}, number(s["top1"], "agreement", member_place(at, "top1"))};
  const Json& divergence = member(s, "divergence", at);
  return divergence.is_number() ? Answers{{}, {}, divergence.get<double>()} : Answers{};
}

}  // namespace

std::string kind_of(const Json& document, const std::string& place) {
  constexpr const char* kNext = "give what a verb printed with --json, saved to a file";
  if (!document.is_object() || !document.contains("schema") || !document["schema"].is_string())
    throw Error(Code::bad_json, "this is no result: it names no schema", place, kNext);
  const std::string schema = text(document, "schema", place);
  constexpr std::string_view kHead = "tailor/", kTail = "/1";
  if (!schema.starts_with(kHead) || !schema.ends_with(kTail) || schema.size() <= kHead.size() + kTail.size())
    throw Error(Code::bad_json, fmt::format("'{}' is no schema of a result", schema), place, kNext);
  return schema.substr(kHead.size(), schema.size() - kHead.size() - kTail.size());
}

std::vector<std::string> verdict_sentences(const Json& document, const std::string& place, double network_us,
                                           const Meanings& meanings, const char* inner) {
  std::map<std::string, std::pair<double, int>> sums;  // us, layers
  const Json& layers = list(document, "layers", place);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string at = item_place(place, "layers", i);
    auto& [us, count] = sums[text(layers[i], "verdict", at)];
    us += number(inner ? member(layers[i], inner, at) : layers[i], "us", at), ++count;
  }
  std::vector<std::pair<double, std::string>> order;
  double whole_us = 0;
  for (const auto& [verdict, sum] : sums) order.emplace_back(sum.first, verdict), whole_us += sum.first;
  whole_us = std::max(whole_us, network_us);  // layers may add up to more than the network: shares must not
  std::sort(order.rbegin(), order.rend());
  std::vector<std::string> lines;
  for (const auto& [us, verdict] : order) {
    const int count = sums[verdict].second;
    if (share_of(us, whole_us) < 0.005) continue;  // "0 % of the time" says nothing
    const auto meaning = meanings.find(verdict);
    lines.push_back(fmt::format("{} of the time in {} layer{} judged {}{}.", percent(share_of(us, whole_us)),
                                count, count == 1 ? "" : "s", verdict,
                                meaning == meanings.end() ? "" : ": " + meaning->second));
  }
  return lines;
}

const Meanings& gpu_meanings() {
  static const Meanings meanings = {
      {"launch",
       "starting them costs as much as their work: fewer or larger layers help, other widths do not"},
      {"memory", "they move bytes as fast as the memory gives them"},
      {"sub-wave", "they do not fill the multiprocessors once: a larger batch helps, other widths hardly do"},
      {"tail", "their last wave of blocks is mostly idle"},
      {"pad", "tiles reach over their outputs"},
      {"ok", "they run as fast as their work allows"}};
  return meanings;
}

const Json& list(const Json& object, const char* key, const std::string& place) {
  const Json& found = member(object, key, place);
  if (!found.is_array()) throw Error(Code::bad_json, fmt::format("'{}' must be an array", key), place);
  return found;
}

std::string item_place(const std::string& place, const char* key, std::size_t index) {
  return fmt::format("{}.{}[{}]", place, key, index);
}

std::string member_place(const std::string& place, const char* key) { return place + "." + key; }

Cell step_cell(const Json& object, const char* key, const std::string& place) {
  const Json& step = member(object, key, place);
  if (step.is_null()) return {"-"};
  const std::string at = member_place(place, key);
  const auto width = static_cast<double>(integer(step, "width", at));
  // 0 - x: there is no minus before nothing
  return {fmt::format("{} ({:+.1f} us, {:+.0f} %)", width, 0 - number(step, "saved_us", at),
                      0 - 100 * number(step, "saved_share", at)),
          width};
}

std::string file_name(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  if (path.empty()) return "the model";
  return name.empty() ? path : name;
}

Cell ratio_cell(double ratio) { return {fmt::format("{:.3f}x", ratio), ratio}; }

std::string width_text(const std::string& workload) {
  try {
    const latency::Workload w = latency::parse_workload(workload);
    return w.g > 1 && w.g == w.ic ? fmt::format("{} depthwise", w.ic) : fmt::format("{} > {}", w.ic, w.oc);
  } catch (const Error&) {
    return workload;
  }
}

std::string percent(double share, int decimals) { return fmt::format("{:.{}f} %", 100 * share, decimals); }

Section speed_section(const Json& speed, const std::string& place) {
  Section section{"Speed",
                  "All models were timed in the same interleaved rounds. A ratio below 1 is faster; its "
                  "interval holds the median of the paired ratios with 95 %."};
  section.figures = {"speed"};
  Table table{"Time per run in microseconds",
              {{"model"},
               {"min", true},
               {"p10", true},
               {"median", true},
               {"q3", true},
               {"max", true},
               {"spread %", true, "distance of the quartiles over the median"},
               {"n", true, "rounds"},
               {"time / first", true, "median of the paired ratios, 95 % interval"},
               {"verdict"}},
              {}};
  const Json& models = list(speed, "models", place);
  for (std::size_t i = 0; i < models.size(); ++i)
    table.rows.push_back(speed_row(models[i], item_place(place, "models", i), i));
  section.table = std::move(table);
  return section;
}

std::vector<std::pair<std::string, std::string>> speed_method(const Json& speed, const std::string& place) {
  std::vector<std::pair<std::string, std::string>> lines = {
      {"runtime", text(speed, "runtime", place) + " " + text(speed, "version", place)},
      {"processor", text(speed, "processor", place) + ", " + text(speed, "isa", place)},
      {"threads", std::to_string(integer(speed, "threads", place))},
      {"clock", text(speed, "clock", place)},
      {"processes", std::to_string(integer(speed, "processes", place))},
      {"widest interval",
       fmt::format("{} (at most {} was to be trusted)", percent(number(speed, "noise", place), 1),
                   percent(number(speed, "max_noise", place), 1))}};
  if (speed.contains("precision")) lines.emplace_back("precision", text(speed, "precision", place));
  if (const std::string inputs = inputs_text(speed, place); !inputs.empty())
    lines.emplace_back("inputs", inputs);
  return lines;
}

Section samples_section(const Json& samples, const std::string& place) {
  Section section{"Outputs",
                  "Both models on the same samples. Divergence is the squared difference of the outputs over "
                  "their variance." +
                      runner_text(samples, place)};
  Table table{"What both models answer",
              {{"samples"},
               {"n", true},
               {"largest difference", true},
               {"cosine", true},
               {"divergence", true},
               {"same class", true},
               {"top-1 of the first", true},
               {"top-1 of the second", true},
               {"McNemar p", true, "probability of such a difference if both were equally good"}},
              {}};
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Json& s = samples[i];
    const std::string at = fmt::format("{}[{}]", place, i);
    Row row{{name_cell(text(s, "source", at)), number_cell(static_cast<double>(integer(s, "samples", at)), 0),
             maybe_number(s, "max_difference", at, "{:.3g}"), maybe_number(s, "cosine", at, "{:.6f}"),
             maybe_number(s, "divergence", at, "{:.3g}")},
            {}};
    if (s.contains("top1") && !s["top1"].is_null()) {
      const double agreement = number(s["top1"], "agreement", member_place(at, "top1"));
      row.cells.push_back({percent(agreement, 2), agreement});
    } else {
      row.cells.push_back({"-"});
    }
    add_labels(row, s, at);
    table.rows.push_back(std::move(row));
  }
  section.table = std::move(table);
  return section;
}

std::string accuracy_text(const Json& samples, const std::string& place) {
  const Answers answers = answers_of(samples, place);
  if (answers.top1)
    return fmt::format("top-1 {} -> {}", percent(answers.top1->first, 2), percent(answers.top1->second, 2));
  if (answers.agreement)
    return fmt::format("same class for {} of the samples", percent(*answers.agreement, 2));
  return answers.divergence ? fmt::format("outputs differ by {:.3g} of their variance", *answers.divergence)
                            : std::string();
}

std::string accuracy_clause(const Json& samples, const std::string& place) {
  const Answers answers = answers_of(samples, place);
  if (answers.top1)
    return fmt::format(", at {} top-1 accuracy instead of {}", percent(answers.top1->second, 2),
                       percent(answers.top1->first, 2));
  if (answers.agreement)
    return fmt::format(", and names the same class for {} of the samples", percent(*answers.agreement, 2));
  return answers.divergence
             ? fmt::format(", and its outputs differ by {:.3g} of their variance", *answers.divergence)
             : std::string();
}

}  // namespace tailor::report

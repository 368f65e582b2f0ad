// The line of the comparison: layers paired -> both timed in one call -> what each got -> steps of those that got nothing.
#include "tailor/pipeline/base_comparison.h"

#include "tailor/base/error.h"
#include "tailor/pipeline/analyze.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

namespace tailor::pipeline {
namespace {

using latency::Workload;

constexpr double kSurely = 0.02;  // of a time or of arithmetic: less is no difference

const graph::Node& node_of(const Subject& subject, std::size_t layer) {
  return subject.model.graph.nodes[static_cast<std::size_t>(subject.layers[layer].node)];
}

std::string layer_name(const Subject& subject, std::size_t layer) {
  const graph::Node& node = node_of(subject, layer);
  return node.name.empty() ? node.output(0) : node.name;
}

// Of the same kind: only widths and sizes may differ.
bool alike(const Workload& a, const Workload& b) {
  return a.kind == b.kind && a.type == b.type && a.kh == b.kh && a.kw == b.kw;
}

std::vector<std::pair<int, int>> by_name(const Subject& base, const Subject& present) {
  std::map<std::string, int> names;
  for (std::size_t i = 0; i < base.layers.size(); ++i)
    names.emplace(layer_name(base, i), static_cast<int>(i));
  std::vector<std::pair<int, int>> pairs;
  for (std::size_t i = 0; i < present.layers.size(); ++i) {
    const auto found = names.find(layer_name(present, i));
    if (found == names.end()) continue;
    const Workload& before = base.layers[static_cast<std::size_t>(found->second)].workload;
    if (alike(before, present.layers[i].workload)) pairs.emplace_back(found->second, static_cast<int>(i));
  }
  return pairs;
}

std::vector<std::pair<int, int>> by_order(const Subject& base, const Subject& present) {
  std::vector<std::pair<int, int>> pairs;
  if (base.layers.size() != present.layers.size()) return pairs;
  for (std::size_t i = 0; i < present.layers.size(); ++i) {
    if (!alike(base.layers[i].workload, present.layers[i].workload)) return {};
    pairs.emplace_back(static_cast<int>(i), static_cast<int>(i));
  }
  return pairs;
}

double macs_of(const Subject& subject) {
  double sum = 0;
  for (const latency::LayerWorkload& layer : subject.layers)
    sum += static_cast<double>(latency::macs(layer.workload));
  return sum;
}

Gained judged(const BaseLayer& layer) {
  const double given = 1 - layer.macs_ratio(), got = 1 - layer.us_ratio();
  // What is modelled errs alike on both sides.
  const bool exact = layer.after_us.how == How::modelled,
             surely = exact || layer.after_us.hi.value <= layer.before_us.lo.value,
             surely_more = exact || layer.after_us.lo.value >= layer.before_us.hi.value;
  if (given < kSurely) return Gained::same;
  if (got <= -kSurely && surely_more) return Gained::slower;
  if (got < kSurely || !surely) return Gained::nothing;
  return got < given / 2 ? Gained::partly : Gained::paid;
}

bool steps_can_be_asked(const BaseLayer& layer) {
  const Workload& w = layer.after;
  const bool simple = w.g == 1 || (w.g == w.ic && w.oc == w.ic);
  return simple && (layer.gained == Gained::nothing || layer.gained == Gained::slower);
}

// Output widths that are asked about: those of the sweeps of analyze, which are known already, and the one before.
std::vector<int> asked_widths(const BaseLayer& layer) {
  const int now = static_cast<int>(layer.after.oc), before = static_cast<int>(layer.before.oc);
  const std::vector<int> around = widths_around(now);
  std::set<int> widths(around.begin(), around.end());
  if (before > now && before <= 2 * now) widths.insert(before);
  return {widths.begin(), widths.end()};
}

// Walks from the present width as far as the time stays. @param us by width, the present one among them
WidthRange range_of(const std::map<int, double>& us, int present) {
  const auto here = us.find(present);
  WidthRange range{present, present};
  for (auto at = std::next(here); at != us.end() && at->second <= (1 + kSurely) * here->second; ++at)
    range.widest = at->first;
  for (auto at = here; at != us.begin();) {
    --at;
    if (at->second < (1 - kSurely) * here->second) {
      range.next = at->first, range.next_share = 1 - at->second / here->second;
      break;
    }
    range.narrowest = at->first;
  }
  return range;
}

void find_steps(std::vector<BaseLayer>& layers, latency::LatencyOracle& oracle) {
  std::vector<Workload> wanted;
  for (const BaseLayer& layer : layers)
    if (steps_can_be_asked(layer))
      for (int width : asked_widths(layer)) wanted.push_back(with_outputs(layer.after, width));
  if (wanted.empty()) return;
  const std::vector<latency::Estimate> found = oracle.evaluate(wanted);
  std::size_t next = 0;
  for (BaseLayer& layer : layers) {
    if (!steps_can_be_asked(layer)) continue;
    std::map<int, double> us;
    for (int width : asked_widths(layer)) us[width] = found[next++].value.value;
    layer.step = range_of(us, static_cast<int>(layer.after.oc));
  }
}

// "still on the step from 33 to 48; 32 would take 31 % less"
std::string step_text(const BaseLayer& layer) {
  if (!layer.step) return {};
  const WidthRange& s = *layer.step;
  const bool still = layer.before.oc > layer.after.oc && s.widest >= layer.before.oc;
  std::string text = s.widest > s.narrowest ? fmt::format("{} the step from {} to {} outputs",
                                                          still ? "still on" : "on", s.narrowest, s.widest)
                                            : std::string();
  if (s.next)
    text +=
        fmt::format("{}{} would take {:.0f} % less", text.empty() ? "" : "; ", *s.next, 100 * s.next_share);
  return text;
}

std::string why(const BaseLayer& layer) {
  if (layer.gained == Gained::same) return {};
  const double given = 100 * (1 - layer.macs_ratio()), got = 100 * (1 - layer.us_ratio());
  const bool overlap = layer.gained == Gained::nothing && std::abs(got) >= 100 * kSurely;
  const std::string said =
      fmt::format("{:.0f} % fewer multiply-accumulates, {:.0f} % {} time{}", given, std::abs(got),
                  got < -0.5 ? "more" : "less", overlap ? ", not surely: the measurements overlap" : "");
  const std::string step = step_text(layer);
  return step.empty() ? said : said + ": " + step;
}

std::vector<BaseLayer> timed_pairs(const Subject& base, const Subject& present,
                                   latency::LatencyOracle& oracle) {
  std::vector<BaseLayer> layers;
  std::vector<Workload> wanted;
  for (const auto& [before, after] : paired_layers(base, present)) {
    BaseLayer layer;
    layer.layer = after, layer.name = layer_name(present, static_cast<std::size_t>(after));
    layer.before = base.layers[static_cast<std::size_t>(before)].workload;
    layer.after = present.layers[static_cast<std::size_t>(after)].workload;
    if (!timeable(layer.before) || !timeable(layer.after)) continue;
    wanted.push_back(layer.before), wanted.push_back(layer.after);
    layers.push_back(std::move(layer));
  }
  const std::vector<latency::Estimate> found = oracle.evaluate(wanted);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers[i].before_us = found[2 * i], layers[i].after_us = found[2 * i + 1];
    layers[i].gained = judged(layers[i]);
  }
  return layers;
}

double ratio_of_sums(const std::vector<BaseLayer>& layers) {
  double before = 0, after = 0;
  for (const BaseLayer& layer : layers)
    before += layer.before_us.value.value, after += layer.after_us.value.value;
  return before > 0 ? after / before : 1;
}

}  // namespace

const char* name(Gained gained) {
  constexpr std::array names = {"same", "paid", "partly", "nothing", "slower"};
  return names[static_cast<std::size_t>(gained)];
}

double BaseLayer::macs_ratio() const {
  const auto was = static_cast<double>(latency::macs(before));
  return was > 0 ? static_cast<double>(latency::macs(after)) / was : 1;
}

double BaseLayer::us_ratio() const {
  return before_us.value.value > 0 ? after_us.value.value / before_us.value.value : 1;
}

int BaseComparison::count(Gained gained) const {
  return static_cast<int>(
      std::count_if(layers.begin(), layers.end(), [&](const BaseLayer& l) { return l.gained == gained; }));
}

std::vector<std::pair<int, int>> paired_layers(const Subject& base, const Subject& present) {
  std::vector<std::pair<int, int>> names = by_name(base, present);
  if (2 * names.size() >= present.layers.size()) return names;
  return by_order(base, present);
}

std::optional<Subject> base_of(const Subject& present, const std::filesystem::path& path) {
  if (path.empty()) return std::nullopt;
  Subject base = read_subject(path, present.overrides);
  if (paired_layers(base, present).empty())
    throw Error(Code::unknown_name,
                "fewer than half of the model's layers are found in this one, by name or by order",
                path.string(), "give the model that it was made of, exported in the same way");
  return base;
}

BaseComparison compare_with_base(const Subject& base, const Subject& present, latency::LatencyOracle& oracle,
                                 How how, std::optional<double> network_ratio) {
  BaseComparison comparison{base.path, base.sha256(), how};
  comparison.layers = timed_pairs(base, present, oracle);
  find_steps(comparison.layers, oracle);
  for (BaseLayer& layer : comparison.layers) layer.why = why(layer);
  const double before = macs_of(base);
  comparison.macs_ratio = before > 0 ? macs_of(present) / before : 1;
  comparison.network_ratio = network_ratio ? *network_ratio : ratio_of_sums(comparison.layers);
  comparison.unpaired = static_cast<int>(present.layers.size() - comparison.layers.size());
  return comparison;
}

Json to_json(const BaseComparison& comparison) {
  Json layers = Json::array();
  for (const BaseLayer& l : comparison.layers) {
    Json step = nullptr;
    if (l.step)
      step = {{"narrowest", l.step->narrowest},
              {"widest", l.step->widest},
              {"next", l.step->next ? Json(*l.step->next) : Json(nullptr)},
              {"next_share", l.step->next_share}};
    layers.push_back({{"layer", l.layer},
                      {"name", l.name},
                      {"before", latency::to_string(l.before)},
                      {"after", latency::to_string(l.after)},
                      {"macs_ratio", l.macs_ratio()},
                      {"before_us", l.before_us.value.value},
                      {"after_us", l.after_us.value.value},
                      {"gained", name(l.gained)},
                      {"step", step},
                      {"why", l.why}});
  }
  return {{"model", comparison.base.string()},
          {"sha256", comparison.sha256},
          {"how", tailor::name(comparison.how)},
          {"network_ratio", comparison.network_ratio},
          {"macs_ratio", comparison.macs_ratio},
          {"unpaired", comparison.unpaired},
          {"layers", layers}};
}

}  // namespace tailor::pipeline

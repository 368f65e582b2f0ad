// Sweeps over the widths of channel groups: which widths, what they cost, which steps they show.
#include "tailor/pipeline/analyze.h"
#include "tailor/rewrite/widen.h"

#include <algorithm>
#include <map>
#include <set>

namespace tailor::pipeline {
namespace {

using latency::Workload;
using Widths = std::map<int, int>;

constexpr double kWorthwhile = 0.02, kFree = 0.01, kEdge = 0.04;

int ceil_to(int value, int step) { return (value + step - 1) / step * step; }
int floor_to(int value, int step) { return value / step * step; }

bool depthwise(const Workload& w) { return w.g > 1 && w.g == w.ic; }

// One batched question, asked in any order.
class Prices {
 public:
  explicit Prices(latency::LatencyOracle& oracle) : oracle_(oracle) {}
  void want(const Workload& workload) { wanted_.insert(workload); }
  void ask() {
    const std::vector<Workload> list(wanted_.begin(), wanted_.end());
    const std::vector<latency::Estimate> answers = oracle_.evaluate(list);
    for (std::size_t i = 0; i < list.size(); ++i) known_[list[i]] = answers[i];
  }
  const latency::Estimate& estimate(const Workload& workload) const { return known_.at(workload); }
  double at(const Workload& workload) const { return estimate(workload).value.value; }

 private:
  latency::LatencyOracle& oracle_;
  std::set<Workload> wanted_;
  std::map<Workload, latency::Estimate> known_;
};

// Layers of each changeable group that can be timed.
std::map<int, std::vector<int>> layers_of_groups(const std::vector<LayerWidths>& layers) {
  std::map<int, std::vector<int>> lists;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!timeable(layers[i].workload)) continue;
    for (const auto* parts : {&layers[i].in, &layers[i].out})
      for (const auto& part : *parts)
        if (std::vector<int>& list = lists[part.first]; list.empty() || list.back() != static_cast<int>(i))
          list.push_back(static_cast<int>(i));
  }
  return lists;
}

std::optional<WidthStep> step_to(const GroupSweep& sweep, std::size_t at) {
  const double present = sweep.us_at(sweep.width), saved = present - sweep.us[at];
  return WidthStep{sweep.widths[at], saved, present > 0 ? saved / present : 0};
}

GroupSweep empty_sweep(const Subject& subject, int group, const std::vector<int>& layers) {
  GroupSweep sweep;
  sweep.group = group, sweep.name = subject.channels.groups[group].name;
  sweep.width = subject.channels.groups[group].width();
  sweep.layers = layers;
  return sweep;
}

// Do the quartiles tell the present width from `at`?
bool separate(const GroupSweep& sweep, std::size_t at) {
  if (sweep.lo.empty()) return true;
  auto present = std::lower_bound(sweep.widths.begin(), sweep.widths.end(), sweep.width);
  return sweep.lo[static_cast<std::size_t>(present - sweep.widths.begin())] > sweep.hi[at];
}

// Sweeps with their widths, not yet priced; `want` is called with every workload.
template <class Want>
std::vector<GroupSweep> planned(const Subject& subject, const std::vector<LayerWidths>& layers, Want want) {
  std::vector<GroupSweep> sweeps;
  for (const auto& [group, list] : layers_of_groups(layers)) {
    GroupSweep sweep = empty_sweep(subject, group, list);
    for (int width : widths_around(sweep.width)) {
      std::vector<Workload> workloads;
      for (int i : list) workloads.push_back(workload_at(subject, layers[i], Widths{{group, width}}));
      if (!std::all_of(workloads.begin(), workloads.end(), timeable)) continue;
      for (const Workload& workload : workloads) want(workload);
      sweep.widths.push_back(width);
    }
    sweeps.push_back(std::move(sweep));
  }
  return sweeps;
}

void price(GroupSweep& sweep, const Subject& subject, const std::vector<LayerWidths>& layers,
           const std::vector<double>& scale, const Prices& prices) {
  for (int width : sweep.widths) {
    double us = 0, lo = 0, hi = 0;
    for (int i : sweep.layers) {
      const auto& e = prices.estimate(workload_at(subject, layers[i], Widths{{sweep.group, width}}));
      us += scale[i] * e.value.value, lo += scale[i] * e.lo.value, hi += scale[i] * e.hi.value;
    }
    sweep.us.push_back(us), sweep.lo.push_back(lo), sweep.hi.push_back(hi);
  }
}

}  // namespace

double GroupSweep::us_at(int at) const {
  auto it = std::lower_bound(widths.begin(), widths.end(), at);
  return it != widths.end() && *it == at ? us[static_cast<std::size_t>(it - widths.begin())] : 0;
}

const std::optional<WidthStep>& GroupSweep::fitting() const {
  return wider && (!edge || wider->saved_us >= edge->saved_us) ? wider : edge;
}

bool timeable(const Workload& w) {
  return w.type == graph::DataType::f32 && w.ic > 0 && w.oc > 0 && w.ic % w.g == 0 && w.oc % w.g == 0;
}

Workload with_outputs(const Workload& workload, std::int64_t channels) {
  Workload w = workload;
  if (depthwise(w)) w.ic = w.g = channels;
  w.oc = workload.oc / (depthwise(workload) ? workload.ic : workload.oc) * channels;
  return w;
}

std::vector<int> widths_around(int width) {
  std::set<int> widths = {width};
  for (int step : {4, 8, 16}) {
    widths.insert(floor_to(width - 1, step));
    widths.insert(ceil_to(width + 1, step));
  }
  const int coarse = std::max(16, floor_to(width / 6, 16));
  for (int i = 1; i <= 2; ++i) {
    widths.insert(floor_to(width, 16) - i * coarse);
    widths.insert(ceil_to(width, 16) + i * coarse);
  }
  widths.insert(ceil_to(std::max(1, width / 2), std::min(16, std::max(1, width / 4))));
  std::erase_if(widths, [&](int w) { return w < 1 || 2 * w < width || w > 2 * width + 16; });
  return {widths.begin(), widths.end()};
}

void find_steps(GroupSweep& sweep) {
  const double present = sweep.us_at(sweep.width);
  double best = 0;
  for (std::size_t i = 0; i < sweep.widths.size(); ++i) {
    const double given_up = 1 - static_cast<double>(sweep.widths[i]) / sweep.width;
    const auto step = step_to(sweep, i);
    if (sweep.widths[i] > sweep.width && sweep.us[i] <= present * (1 + kFree)) sweep.up = step;
    if (step->saved_share < kWorthwhile || !separate(sweep, i)) continue;
    if (sweep.widths[i] > sweep.width) {
      if (!sweep.wider || step->saved_us > sweep.wider->saved_us) sweep.wider = step;
      continue;
    }
    sweep.down = step;
    const double gain = step->saved_share - given_up;
    if (gain > best && gain >= given_up && step->saved_share >= kEdge) best = gain, sweep.edge = step;
  }
}

std::vector<Workload> sweep_workloads(const Subject& subject) {
  std::set<Workload> wanted;
  planned(subject, layer_widths(subject), [&](const Workload& workload) { wanted.insert(workload); });
  return {wanted.begin(), wanted.end()};
}

std::vector<GroupSweep> sweep_groups(const Subject& subject, latency::LatencyOracle& oracle,
                                     const std::vector<double>& scale) {
  const std::vector<LayerWidths> layers = layer_widths(subject);
  Prices prices(oracle);
  std::vector<GroupSweep> sweeps =
      planned(subject, layers, [&](const Workload& workload) { prices.want(workload); });
  prices.ask();
  for (GroupSweep& sweep : sweeps) {
    price(sweep, subject, layers, scale, prices);
    find_steps(sweep);
    if (sweep.wider && !rewrite::obstacle_to_widening(subject.model, subject.channels, sweep.group).empty())
      sweep.wider.reset();
  }
  return sweeps;
}

std::vector<GroupSweep> own_sweeps(const Subject& subject, latency::LatencyOracle& oracle,
                                   const std::vector<double>& scale, const std::vector<GroupSweep>& sweeps) {
  const std::vector<LayerWidths> layers = layer_widths(subject);
  std::vector<GroupSweep> own(layers.size());
  Prices prices(oracle);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].out.empty() || !timeable(layers[i].workload)) continue;
    auto it = std::find_if(sweeps.begin(), sweeps.end(),
                           [&](const GroupSweep& s) { return s.group == layers[i].out.front().first; });
    if (it == sweeps.end()) continue;
    own[i] = empty_sweep(subject, it->group, {static_cast<int>(i)});
    own[i].widths = it->widths;
    for (int width : it->widths) prices.want(workload_at(subject, layers[i], Widths{{it->group, width}}));
  }
  prices.ask();
  for (GroupSweep& sweep : own) {
    if (sweep.widths.empty()) continue;
    price(sweep, subject, layers, scale, prices);
    find_steps(sweep);
  }
  return own;
}

std::map<int, int> fitting_widths(const std::vector<GroupSweep>& sweeps, bool only_wider) {
  std::map<int, int> widths;
  for (const GroupSweep& sweep : sweeps)
    if (const auto& step = only_wider ? sweep.wider : sweep.fitting()) widths[sweep.group] = step->width;
  return widths;
}

std::vector<double> joint_savings(const Subject& subject, latency::LatencyOracle& oracle,
                                  const std::vector<double>& scale, const std::map<int, int>& widths) {
  const std::vector<LayerWidths> layers = layer_widths(subject);
  Prices prices(oracle);
  std::vector<Workload> changed;
  for (const LayerWidths& layer : layers) {
    Workload workload = workload_at(subject, layer, widths);
    changed.push_back(timeable(workload) && timeable(layer.workload) ? workload : layer.workload);
    if (changed.back() != layer.workload) prices.want(changed.back()), prices.want(layer.workload);
  }
  prices.ask();
  std::vector<double> saved(layers.size(), 0);
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (changed[i] != layers[i].workload)
      saved[i] = scale[i] * (prices.at(layers[i].workload) - prices.at(changed[i]));
  return saved;
}

}  // namespace tailor::pipeline

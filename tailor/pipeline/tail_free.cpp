// read_widths     names of any kind -> groups
// make_tail_free  the table of widths near the given ones -> the planner's front up to what the given ones take -> its
//                 fastest point that loses no more -> both carried out and measured
#include "tailor/pipeline/tail_free.h"

#include "tailor/base/error.h"
#include "tailor/base/json.h"
#include "tailor/base/text.h"
#include "tailor/pipeline/merge.h"
#include "tailor/pipeline/width_plan.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace tailor::pipeline {
namespace {

int group_named(const std::map<std::string, int>& names, const std::string& name, const std::string& place) {
  if (auto it = names.find(name); it != names.end()) return it->second;
  std::vector<std::string> all;
  for (const auto& [known, group] : names) all.push_back(known);
  throw Error(Code::bad_cut, fmt::format("the model has no layer '{}'{}", name, did_you_mean(name, all)),
              place, "tailor inspect MODEL lists the channel groups");
}

void give(GivenWidths& given, const Subject& subject, int group, std::int64_t width,
          const std::string& place) {
  const graph::ChannelGroup& g = subject.channels.groups[static_cast<std::size_t>(group)];
  if (width < 1 || width > g.width())
    throw Error(Code::bad_cut, fmt::format("{} has {} channels, not {}", g.name, g.width(), width), place,
                "widths are at most those of the model");
  if (width == g.width()) return;
  if (!g.changeable())
    throw Error(Code::bad_cut, fmt::format("{} cannot change: {}", g.name, g.frozen), place);
  auto [it, fresh] = given.try_emplace(group, static_cast<int>(width));
  if (!fresh && it->second != width)
    throw Error(Code::bad_cut, fmt::format("{} is given two widths: {} and {}", g.name, it->second, width),
                place, "layers whose outputs are added up have one width");
}

// Candidates of every group with a layer; those that were not given have their own width alone.
std::vector<std::pair<int, std::vector<int>>> candidates(const Subject& original, const GivenWidths& given) {
  std::vector<std::pair<int, std::vector<int>>> list;
  for (const auto& [group, width] : given) {
    std::vector<int> widths =
        widths_near(width, original.channels.groups[static_cast<std::size_t>(group)].width());
    widths.pop_back();  // the full one is the table's own
    list.emplace_back(group, std::move(widths));
  }
  return list;
}

// Index of each group's given width among its candidates.
std::vector<int> choice_of(const CandidateTable& table, const GivenWidths& given, std::size_t variables) {
  std::vector<int> choice(variables, 0);
  for (std::size_t v = 0; v < table.groups.size(); ++v) {
    const auto& widths = table.groups[v].widths;
    auto it = std::find_if(widths.begin(), widths.end(), [&](const WidthCandidate& c) {
      return c.width == given.at(table.groups[v].group);
    });
    TAILOR_CHECK(it != widths.end());
    choice[v] = static_cast<int>(it - widths.begin());
  }
  return choice;
}

// The fastest point that loses no more than `limit`.
plan::Point fastest_within(const plan::Problem& problem, const plan::Cost& limit,
                           const std::vector<int>& given) {
  plan::PlannerOptions options;
  options.budget_us = limit.latency_us;
  for (const plan::Point& point : plan::plan_widths(problem, options).points)
    if (point.cost.loss <= limit.loss * (1 + 1e-9) + 1e-12) return point;
  return {limit, given, {}};
}

}  // namespace

std::map<std::string, int> names_of_groups(const Subject& subject) {
  std::map<std::string, int> names;
  for (const graph::LayerChannels& layer : subject.channels.layers) {
    if (!layer.out || layer.out->empty()) continue;
    const graph::Node& node = subject.model.graph.nodes[static_cast<std::size_t>(layer.node)];
    const int group = subject.channels.atoms[static_cast<std::size_t>(layer.out->front())].group;
    for (const std::string& name : {node.name, node.output(0)})
      if (!name.empty()) names.try_emplace(name, group);
  }
  for (std::size_t g = 0; g < subject.channels.groups.size(); ++g)
    names[subject.channels.groups[g].name] = static_cast<int>(g);
  return names;
}

GivenWidths read_widths(const std::filesystem::path& path, const Subject& original) {
  const Json json = read_json(path);
  const std::string place = path.string();
  const std::map<std::string, int> names = names_of_groups(original);
  GivenWidths given;
  if (json.is_object() && json.value("schema", Json()) == "tailor/plan/1") {
    // By name: a plan may number the groups of the same network with its shortcuts in another form.
    for (const GroupPlan& g : width_plan_from_json(json, place).groups)
      if (!g.kept.empty())
        give(given, original, group_named(names, g.layer, place), static_cast<std::int64_t>(g.kept.size()),
             place);
    return given;
  }
  const Json& widths = member(json, "widths", place);
  if (!widths.is_object())
    throw Error(Code::bad_json, "'widths' is an object: layer to number of channels", place);
  for (const auto& [name, width] : widths.items()) {
    if (!width.is_number_integer())
      throw Error(Code::bad_json, fmt::format("the width of '{}' is no integer", name), place);
    give(given, original, group_named(names, name, place), width.get<std::int64_t>(), place);
  }
  return given;
}

std::vector<int> widths_near(int given, int full) {
  std::set<int> near = {given, full};
  for (int step : {4, 8, 16})
    for (int width : {given / step * step, (given + step - 1) / step * step})
      if (width >= 1 && width <= full) near.insert(width);
  return {near.begin(), near.end()};
}

TailFree make_tail_free(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
                        LatencyBook& book, const GivenWidths& given, const RoundOptions& options) {
  const Present present = present_network(runner, original, {}, calibration, calibration.fit,
                                          {options.repair, options.table.recover, true, false});
  TableOptions of_table = options.table;
  of_table.branches = of_table.kernels = false;
  const CandidateTable table = fill_table(runner, original, present.subject, present.kept, present.equations,
                                          calibration, candidates(original, given), of_table);
  const std::vector<LayerWidths> layers = written_layers(present.subject);
  book.learn(needed_workloads(present.subject, layers, table));
  const plan::Problem problem = width_problem(present.subject, layers, table, book.all());
  const std::vector<int> as_given = choice_of(table, given, problem.variables.size());
  const plan::Cost limit = plan::evaluate(problem, as_given);
  const plan::Point point = fastest_within(problem, limit, as_given);
  auto carried_out = [&](const std::vector<int>& choice) {
    return carry_out(runner, original, calibration, merge(original, {}, present.subject, table, choice),
                     options);
  };
  TailFree result;
  Searched of_given = carried_out(as_given);
  result.given_ratio = of_given.ratio, result.given_loss = of_given.loss;
  result.found = point.choice == as_given ? of_given : carried_out(point.choice);
  result.certificate = point.certificate;
  result.better = result.found.ratio < result.given_ratio;
  for (std::size_t v = 0; v < table.groups.size(); ++v) {
    result.moved_down += point.choice[v]<as_given[v], result.moved_up += point.choice[v]> as_given[v];
    result.candidates += static_cast<int>(table.groups[v].widths.size());
  }
  if (options.say)
    options.say(fmt::format(
        "as given {:.3f} of the original's {}, loss {:.4f}; {} widths down and {} up: {:.3f}, {:.4f}",
        result.given_ratio, options.yardstick.quantity, result.given_loss, result.moved_down, result.moved_up,
        result.found.ratio, result.found.loss));
  if (!result.better) result.found = std::move(of_given), result.moved_down = result.moved_up = 0;
  return result;
}

}  // namespace tailor::pipeline

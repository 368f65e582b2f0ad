// The page of tailor patterns: what excites each filter, in clusters of those that are for the same; with a plan, which
// of them stay.
#include "tailor/base/error.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace tailor::report {
namespace {

struct Group {
  std::string name;
  std::vector<int> cluster;  // of each unit; -1: in none
  std::vector<bool> kept;    // by the plan; all without one
};

// Units of each cluster; those in none are alone.
std::vector<std::vector<std::size_t>> members(const Group& group) {
  std::map<int, std::vector<std::size_t>> clusters;
  std::vector<std::vector<std::size_t>> found;
  for (std::size_t unit = 0; unit < group.cluster.size(); ++unit)
    if (group.cluster[unit] >= 0)
      clusters[group.cluster[unit]].push_back(unit);
    else
      found.push_back({unit});
  for (auto& [cluster, units] : clusters) found.push_back(std::move(units));
  return found;
}

std::size_t kept_of(const Group& group) {
  return static_cast<std::size_t>(std::count(group.kept.begin(), group.kept.end(), true));
}

// Clusters of which nothing stays.
std::size_t lost_of(const Group& group) {
  const auto clusters = members(group);
  return static_cast<std::size_t>(std::count_if(clusters.begin(), clusters.end(), [&](const auto& units) {
    return std::none_of(units.begin(), units.end(), [&](std::size_t unit) { return group.kept[unit]; });
  }));
}

Group group_of(const Json& json, const std::string& at) {
  Group group{text(json, "name", at), {}, {}};
  const Json& clusters = list(json, "clusters", at);
  if (integer(json, "width", at) != static_cast<std::int64_t>(clusters.size()))
    throw Error(Code::bad_json, "a group has not as many clusters listed as channels", at);
  for (const Json& cluster : clusters) {
    const std::int64_t number = cluster.is_number_integer() ? cluster.get<std::int64_t>() : -2;
    if (number < -1 || number >= static_cast<std::int64_t>(clusters.size()))
      throw Error(Code::bad_json, "'clusters' holds something else than a cluster", at);
    group.cluster.push_back(static_cast<int>(number));
  }
  group.kept.assign(clusters.size(), true);
  return group;
}

std::vector<Group> groups_of(const Json& document, const std::string& place) {
  std::vector<Group> groups;
  const Json& found = list(document, "groups", place);
  for (std::size_t i = 0; i < found.size(); ++i)
    groups.push_back(group_of(found[i], item_place(place, "groups", i)));
  return groups;
}

// Marks what goes of the group that the plan's entry is about.
void enter(std::vector<Group>& groups, const Json& planned, const std::string& at) {
  const std::string name = text(planned, "layer", at);
  const std::int64_t width = integer(planned, "before", at);
  const Json& kept = list(planned, "kept", at);
  for (Group& group : groups) {
    if (group.name != name || static_cast<std::int64_t>(group.kept.size()) != width) continue;
    if (kept.empty()) continue;  // none goes
    group.kept.assign(group.kept.size(), false);
    for (const Json& unit : kept) {
      const std::int64_t number = unit.is_number_integer() ? unit.get<std::int64_t>() : -1;
      if (number < 0 || number >= width) throw Error(Code::bad_json, "a unit is kept that is not there", at);
      group.kept[static_cast<std::size_t>(number)] = true;
    }
  }
}

void carry_out(std::vector<Group>& groups, const Json& document, const std::string& place,
               const std::string& sha256) {
  const bool inside = kind_of(document, place) == "optimize";
  const Json& plan = inside ? member(document, "plan", place) : document;
  const std::string at = inside ? member_place(place, "plan") : place;
  const Json& model = member(plan, "model", at);
  if (text(model, "sha256", member_place(at, "model")) != sha256)
    throw Error(Code::plan_mismatch,
                fmt::format("this plan is for {}, and the patterns are of another model",
                            text(model, "path", member_place(at, "model"))),
                place, "give a plan for the model that the patterns were drawn of");
  const Json& planned = list(plan, "groups", at);
  for (std::size_t i = 0; i < planned.size(); ++i) enter(groups, planned[i], item_place(at, "groups", i));
}

struct Filter {
  int group = -1, cluster = -1;
  bool kept = true, silent = false;
  double start = 0, reached = 0;
  std::string png;
};

Filter filter_of(const Json& json, const std::vector<Group>& groups, const std::string& at) {
  constexpr std::size_t kLargest = std::size_t{1} << 16;  // letters of a picture
  Filter filter{-1,
                -1,
                true,
                boolean(json, "silent", at),
                number(json, "start", at),
                number(json, "reached", at),
                text(json, "picture", at)};
  if (filter.png.size() > kLargest) throw Error(Code::bad_json, "a picture of more than 64 KiB", at);
  const std::int64_t group = integer(json, "group", at), unit = integer(json, "unit", at);
  if (group == -1) return filter;
  if (group < 0 || group >= static_cast<std::int64_t>(groups.size()))
    throw Error(Code::bad_json, fmt::format("there is no group {}", group), at);
  const Group& own = groups[static_cast<std::size_t>(group)];
  if (unit < 0 || unit >= static_cast<std::int64_t>(own.cluster.size()))
    throw Error(Code::bad_json, fmt::format("the group has no unit {}", unit), at);
  filter.group = static_cast<int>(group), filter.cluster = own.cluster[static_cast<std::size_t>(unit)];
  filter.kept = own.kept[static_cast<std::size_t>(unit)];
  return filter;
}

struct Layer {
  std::string name, sheet;
  std::vector<Filter> filters;
};

std::vector<Layer> layers_of(const Json& document, const std::vector<Group>& groups,
                             const std::string& place) {
  std::vector<Layer> layers;
  const Json& found = list(document, "layers", place);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::string at = item_place(place, "layers", i);
    Layer& layer = layers.emplace_back(Layer{text(found[i], "layer", at), text(found[i], "sheet", at), {}});
    const Json& filters = list(found[i], "filters", at);
    for (std::size_t k = 0; k < filters.size(); ++k)
      layer.filters.push_back(filter_of(filters[k], groups, item_place(at, "filters", k)));
  }
  return layers;
}

Picture picture_of(const Filter& filter, std::size_t index) {
  std::string says = fmt::format("filter {}: answer {:.3g} at the start, {:.3g} in the end", index,
                                 filter.start, filter.reached);
  if (filter.silent)
    says = fmt::format("filter {}: no input moves its answer of {:.3g}", index, filter.start);
  if (!filter.kept) says += "; it goes";
  return {filter.png, std::to_string(index), says, !filter.kept};
}

std::string strip_title(const std::vector<std::size_t>& filters, const Layer& layer, bool planned) {
  const auto stay =
      std::count_if(filters.begin(), filters.end(), [&](std::size_t i) { return layer.filters[i].kept; });
  return fmt::format("{} alike{}", filters.size(), planned ? fmt::format(", {} stay", stay) : "");
}

// Clusters with several of the layer's filters first, the largest in front; then those that are alone in it.
std::vector<Strip> strips_of(const Layer& layer, bool planned) {
  std::map<std::pair<int, int>, std::vector<std::size_t>> clusters;
  std::vector<std::size_t> alone;
  for (std::size_t i = 0; i < layer.filters.size(); ++i) {
    const Filter& filter = layer.filters[i];
    filter.cluster < 0 ? alone.push_back(i) : clusters[{filter.group, filter.cluster}].push_back(i);
  }
  std::vector<std::vector<std::size_t>> several;
  for (const auto& [key, filters] : clusters)
    filters.size() == 1 ? alone.push_back(filters.front()) : several.push_back(filters);
  std::stable_sort(several.begin(), several.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  std::sort(alone.begin(), alone.end());
  std::vector<Strip> strips;
  for (const std::vector<std::size_t>& filters : several)
    strips.push_back({strip_title(filters, layer, planned), {}});
  if (!alone.empty()) strips.push_back({"Like no other one", {}}), several.push_back(alone);
  for (std::size_t s = 0; s < strips.size(); ++s)
    for (std::size_t i : several[s]) strips[s].pictures.push_back(picture_of(layer.filters[i], i));
  return strips;
}

Cell count_cell(std::size_t count) { return number_cell(static_cast<double>(count), 0); }

Section groups_section(const std::vector<Group>& groups, bool planned) {
  Section section{"Channel groups",
                  "Channels of a cluster are for the same: one of them can answer for the others."};
  Table table{"Groups and the clusters of their channels",
              {{"group"},
               {"channels", true},
               {"clusters", true},
               {"alone", true, "clusters of one channel"},
               {"largest", true, "channels of the largest cluster"}},
              {}};
  if (planned) table.columns.push_back({"kept", true, "channels that the plan keeps"});
  if (planned) table.columns.push_back({"clusters lost", true, "of which the plan keeps no channel"});
  for (const Group& group : groups) {
    const auto clusters = members(group);
    std::size_t alone = 0, largest = 0;
    for (const auto& units : clusters) alone += units.size() == 1, largest = std::max(largest, units.size());
    table.rows.push_back({{name_cell(group.name), count_cell(group.cluster.size()),
                           count_cell(clusters.size()), count_cell(alone), count_cell(largest)},
                          {}});
    if (planned) table.rows.back().cells.push_back(count_cell(kept_of(group)));
    if (planned) table.rows.back().cells.push_back(count_cell(lost_of(group)));
  }
  section.table = std::move(table);
  return section;
}

Section layers_section(const std::vector<Layer>& layers) {
  Section section{"Layers", "Medians of the filters' answers before their activation function."};
  Table table{"Answers at the beginning and at the end of the ascent",
              {{"layer"},
               {"filters", true},
               {"start", true},
               {"reached", true},
               {"silent", true, "filters whose answer no input moves"},
               {"sheet"}},
              {}};
  const auto median = [](std::vector<double> values) {
    if (values.empty()) return 0.0;
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  for (const Layer& layer : layers) {
    std::vector<double> start, reached;
    std::size_t silent = 0;
    for (const Filter& f : layer.filters)
      start.push_back(f.start), reached.push_back(f.reached), silent += f.silent;
    table.rows.push_back(
        {{name_cell(layer.name), count_cell(layer.filters.size()), number_cell(median(start), 3),
          number_cell(median(reached), 3), count_cell(silent), name_cell(layer.sheet)},
         {}});
  }
  section.table = std::move(table);
  return section;
}

// Over all groups.
struct Totals {
  std::size_t channels = 0, clusters = 0, kept = 0, lost = 0, silent = 0, filters = 0;
};

Totals totals_of(const std::vector<Group>& groups, const std::vector<Layer>& layers) {
  Totals t;
  for (const Group& group : groups)
    t.channels += group.cluster.size(), t.clusters += members(group).size(), t.kept += kept_of(group),
        t.lost += lost_of(group);
  for (const Layer& layer : layers) {
    t.filters += layer.filters.size();
    for (const Filter& filter : layer.filters) t.silent += filter.silent;
  }
  return t;
}

std::string verdict_of(const std::string& model, const Totals& t, bool planned) {
  std::string line =
      fmt::format("{}: {} channels in {} clusters, so that {} repeat what another one is for",
                  file_name(model), t.channels, t.clusters, t.channels - std::min(t.channels, t.clusters));
  if (!planned) return line + ".";
  return line + (t.lost == 0 ? fmt::format("; the plan keeps {}, of every cluster at least one.", t.kept)
                             : fmt::format("; the plan keeps {}, and of {} clusters none.", t.kept, t.lost));
}

std::vector<std::string> remarks(const Json& document, const std::string& place) {
  const std::int64_t samples = integer(document, "samples", place);
  std::vector<std::string> lines = {fmt::format(
      "Any two channels of a cluster are at least {:.2g} alike: by the cosine of their pictures{}.",
      number(document, "similar", place),
      samples > 0 ? fmt::format(" and by the correlation of their answers on {} samples", samples)
                  : ", since no samples were given")};
  lines.emplace_back(
      "A picture is one of many that excite a filter: ascent from another --seed ends elsewhere. What "
      "a width loses is measured by optimize.");
  return lines;
}

std::vector<std::pair<std::string, std::string>> method_of(const Json& document, const std::string& place) {
  return {{"objective", text(document, "objective", place)},
          {"steps",
           fmt::format("{}, rate {:g}", integer(document, "steps", place), number(document, "rate", place))},
          {"regularised by",
           fmt::format("decay {:g}, blur {:g} pixels every {} steps, shifts up to {} pixels",
                       number(document, "decay", place), number(document, "blur", place),
                       integer(document, "blur_every", place), integer(document, "jitter", place))},
          {"seed", std::to_string(integer(document, "seed", place))},
          {"model", text(document, "sha256", place)}};
}

Content content_of(const Json& document, const std::string& place, std::vector<Group> groups, bool planned) {
  const std::vector<Layer> layers = layers_of(document, groups, place);
  const std::string model = text(document, "model", place);
  const Totals t = totals_of(groups, layers);
  Content content{"Patterns of the filters of " + model, verdict_of(model, t, planned), "computed"};
  content.cards = {{"filters", std::to_string(t.filters), fmt::format("of {} layers", layers.size())},
                   {"clusters", std::to_string(t.clusters), fmt::format("of {} channels", t.channels)},
                   {"silent", std::to_string(t.silent), "filters that no input moves"}};
  if (planned)
    content.cards.push_back({"kept", std::to_string(t.kept), fmt::format("{} clusters are lost", t.lost)});
  content.limits_title = "What to know";
  content.limits = remarks(document, place);
  if (!planned)
    content.next = {{fmt::format("tailor optimize {} -o fast.onnx --latency 0.7x --calib DATA --criterion "
                                 "functionality --patterns {}",
                                 shell_word(model), shell_word(place)),
                     "takes channels out of clusters only, as long as one has two"}};
  content.sections = {groups_section(groups, planned), layers_section(layers)};
  for (const Layer& layer : layers)
    content.sections.push_back(
        {"Filters of " + layer.name,
         fmt::format("Numbers are places in the layer; {} holds them in that order.", layer.sheet),
         {},
         {},
         strips_of(layer, planned)});
  content.method = method_of(document, place);
  return content;
}

}  // namespace

Content patterns_content(const Json& document, const std::string& place) {
  return content_of(document, place, groups_of(document, place), false);
}

Content patterns_content(const Json& document, const std::string& place, const Json& plan,
                         const std::string& plan_place) {
  std::vector<Group> groups = groups_of(document, place);
  carry_out(groups, plan, plan_place, text(document, "sha256", place));
  return content_of(document, place, std::move(groups), true);
}

}  // namespace tailor::report

// File -> clusters by value and position. Layers that make a group -> positions of the original -> clusters of its
// units.
#include "tailor/pipeline/pattern_clusters.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/json.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::pipeline {
namespace {

constexpr const char* kSchema = "tailor/patterns/1";
constexpr std::size_t kLargestFile = std::size_t{1} << 30;
constexpr std::int64_t kMostUnits = 1 << 24;

[[noreturn]] void damaged(const std::string& what, const std::string& place) {
  throw Error(Code::bad_json, what, place, "tailor patterns MODEL -o FOLDER writes such a file");
}

const Json& array(const Json& object, const char* key, const std::string& place) {
  const Json& found = member(object, key, place);
  if (!found.is_array()) damaged(fmt::format("\"{}\" must be an array", key), place);
  return found;
}

// Clusters of the units of each group, numbered on from group to group.
std::vector<std::vector<int>> groups_of(const Json& json, const std::string& place) {
  std::vector<std::vector<int>> groups;
  int next = 0;
  for (const Json& group : array(json, "groups", place)) {
    const Json& list = array(group, "clusters", place);
    std::vector<int>& clusters = groups.emplace_back();
    for (const Json& cluster : list) {
      const bool whole = cluster.is_number_integer();
      const std::int64_t number = whole ? cluster.get<std::int64_t>() : -2;
      if (number < -1 || number >= static_cast<std::int64_t>(list.size()))
        damaged("\"clusters\" holds something else than a cluster", place);
      clusters.push_back(number < 0 ? -1 : next + static_cast<int>(number));
    }
    next += static_cast<int>(list.size());
    if (next > kMostUnits) damaged("more channels than a network has", place);
  }
  return groups;
}

int cluster_of(const Json& filter, const std::vector<std::vector<int>>& groups, const std::string& place) {
  const std::int64_t group = integer(filter, "group", place), unit = integer(filter, "unit", place);
  if (group == -1) return -1;
  if (group < 0 || group >= static_cast<std::int64_t>(groups.size()))
    damaged(fmt::format("there is no group {}", group), place);
  const std::vector<int>& clusters = groups[static_cast<std::size_t>(group)];
  if (unit < 0 || unit >= static_cast<std::int64_t>(clusters.size()))
    damaged(fmt::format("group {} has no unit {}", group, unit), place);
  return clusters[static_cast<std::size_t>(unit)];
}

// Enters what one value of `present` says about the units of the group.
void enter(std::vector<int>& found, const Subject& present, int group, const std::string& value,
           const std::vector<int>& clusters, const rewrite::KeptChannels& kept) {
  const graph::Label label = present.channels.find(value, 1);
  if (!label) return;
  for (std::size_t i = 0; i < label->size(); ++i) {
    const graph::AtomPlace place = present.channels.atoms[static_cast<std::size_t>((*label)[i])];
    if (place.group != group) continue;
    const std::size_t at = rewrite::place_in_original(kept, value, 1, i);
    if (at >= clusters.size())
      throw Error(Code::bad_json, "a value has more channels than its patterns", value,
                  "run `tailor patterns` on the model that is to be optimized");
    int& of_unit = found[static_cast<std::size_t>(place.unit)];
    if (of_unit < 0) of_unit = clusters[at];
  }
}

}  // namespace

PatternClusters read_pattern_clusters(const std::filesystem::path& path, const std::string& sha256) {
  const std::string place = path.string();
  const Bytes bytes = map_file(path);
  if (bytes.size() > kLargestFile) throw Error(Code::bad_json, "larger than 1 GB", place);
  const Json json = parse_json(bytes.view(), place);
  if (text(json, "schema", place) != kSchema) damaged(fmt::format("this is no \"{}\"", kSchema), place);
  if (text(json, "sha256", place) != sha256)
    throw Error(Code::dataset_mismatch,
                fmt::format("these patterns are of another model ({})", text(json, "model", place)), place,
                "run `tailor patterns` on the model that is to be optimized");
  const std::vector<std::vector<int>> groups = groups_of(json, place);
  PatternClusters clusters;
  for (const Json& layer : array(json, "layers", place)) {
    std::vector<int>& of_value = clusters.of_value[text(layer, "value", place)];
    of_value.clear();
    for (const Json& filter : array(layer, "filters", place))
      of_value.push_back(cluster_of(filter, groups, place));
  }
  return clusters;
}

std::vector<int> unit_clusters(const Subject& present, int group, const PatternClusters& clusters,
                               const rewrite::KeptChannels& kept) {
  const auto width =
      static_cast<std::size_t>(present.channels.groups[static_cast<std::size_t>(group)].width());
  std::vector<int> found(width, -1);
  for (const graph::Node& node : present.model.graph.nodes)
    if (const auto known = clusters.of_value.find(node.output(0)); known != clusters.of_value.end())
      enter(found, present, group, known->first, known->second, kept);
  if (std::all_of(found.begin(), found.end(), [](int cluster) { return cluster < 0; })) return {};
  int next = 1 + *std::max_element(found.begin(), found.end());
  for (int& cluster : found)
    if (cluster < 0) cluster = next++;
  return found;
}

}  // namespace tailor::pipeline

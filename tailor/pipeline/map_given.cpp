// given_mapping: the assignment of each layer out of the document, counted, priced by the platform's cost models.
#include "tailor/base/error.h"
#include "tailor/pipeline/map_layers.h"
#include "tailor/pipeline/mapping_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::pipeline {
namespace {

[[noreturn]] void mismatch(const MappingFile& file, const std::string& what) {
  throw Error(
      Code::plan_mismatch, what, file.path.string(),
      "give the model that the mapping was made for, or what training made of it, and the same --platform");
}

void check_platform(const MappingFile& file, const device::Platform& platform) {
  if (file.platform != platform.name || file.ways != keepings(platform))
    mismatch(file, fmt::format("a mapping over {} ({} ways to keep weights), not over {}", file.platform,
                               file.ways.size(), platform.name));
}

const std::vector<int>& assignment_of(const MappingFile& file, const plan::LayerToMap& layer) {
  auto at = file.layers.find(layer.name);
  if (at == file.layers.end()) mismatch(file, fmt::format("it has no layer '{}'", layer.name));
  if (at->second.size() != static_cast<std::size_t>(layer.workload.oc))
    mismatch(file, fmt::format("'{}' has {} channels, and it assigns {}", layer.name, layer.workload.oc,
                               at->second.size()));
  return at->second;
}

plan::Split split_of(const MapResult& result, const plan::LayerToMap& layer,
                     const std::vector<int>& assignment, const MappingFile& file) {
  std::vector<int> counts(layer.loss.size());
  double loss = 0;
  for (std::size_t c = 0; c < assignment.size(); ++c) {
    const auto option = static_cast<std::size_t>(assignment[c]);
    ++counts[option], loss += layer.loss[option][c];
  }
  plan::Split split = plan::split_with(plan::split_problem(result.platform, layer, result.objective), counts);
  if (!std::isfinite(split.cost))
    mismatch(file, fmt::format("'{}' goes to a unit that cannot compute it", layer.name));
  split.loss = loss;
  return split;
}

}  // namespace

plan::Mapping given_mapping(const MapResult& result, const std::vector<plan::LayerToMap>& layers,
                            const std::filesystem::path& path) {
  const MappingFile file = read_mapping(path);
  check_platform(file, result.platform);
  if (file.layers.size() != layers.size())
    mismatch(file, fmt::format("it maps {} layers, and the model has {} that can be mapped",
                               file.layers.size(), layers.size()));
  std::vector<plan::Split> splits;
  std::vector<std::vector<int>> assignment;
  for (const plan::LayerToMap& layer : layers) {
    assignment.push_back(assignment_of(file, layer));
    splits.push_back(split_of(result, layer, assignment.back(), file));
  }
  plan::Mapping mapping = plan::price_mapping(result.platform, layers, std::move(splits));
  mapping.assignment = std::move(assignment);
  return mapping;
}

}  // namespace tailor::pipeline

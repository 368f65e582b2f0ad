/// \file Clusters of channels that `tailor patterns` found: what must not be lost as a whole, from a file.
#pragma once

#include "tailor/pipeline/surgery.h"
#include "tailor/rewrite/repair.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// Per value that a layer of the original gives, per position of axis 1: the cluster of its channel; -1: in none.
/// Clusters of different groups have different numbers.
struct PatternClusters {
  std::map<std::string, std::vector<int>> of_value;
};

/// Reads a document "tailor/patterns/1". @param sha256 of the model that it must have been made from
/// @throws Error file_missing, bad_json (damaged, groups and units that are not there), dataset_mismatch (of another
/// model)
PatternClusters read_pattern_clusters(const std::filesystem::path& path, const std::string& sha256);

/// Per unit of `group` its cluster, by the layers of `present` that make it; a unit that is in none is a cluster of its
/// own. Empty if the file knows nothing of the group. @param kept what stays of the original's values in `present`
/// @throws Error bad_json if a value has more channels than the file knows
std::vector<int> unit_clusters(const Subject& present, int group, const PatternClusters& clusters,
                               const rewrite::KeptChannels& kept);

}  // namespace tailor::pipeline

/// \file Graphs of operators out of files, and splits as documents.
#pragma once

#include "tailor/base/json.h"
#include "tailor/plan/placement.h"

#include <filesystem>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// A graph with the names that its file gives the operators.
struct NamedGraph {
  plan::OperatorGraph graph;
  std::vector<std::int64_t> ids;  // of the operators, in their order
};

/// A workload as the benchmark of arXiv:2006.16423 writes it: maxFPGAs, maxCPUs, maxSizePerFPGA, nodes (id,
/// cpuLatency, fpgaLatency, size, supportedOnFpga, isBackwardNode, colorClass and name if any), edges
/// (sourceId, destId, cost: of the output of the source, so the same on all of its edges).
/// @throws Error file_missing, bad_json; bad_workload for two operators of one id, edges to unknown ones,
/// outputs of several costs, and as plan::check
NamedGraph read_operator_graph(const std::filesystem::path& path);
NamedGraph operator_graph_from(const Json& json, const std::string& place);

/// {"accelerators": [{"nodes": ids, "load", "bytes"}], "cpus": [...], "largest"}
Json placement_json(const NamedGraph& named, const plan::Placement& placement);

}  // namespace tailor::pipeline

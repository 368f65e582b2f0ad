// The benchmark's JSON in, splits in its manner out.
#include "tailor/pipeline/placement_file.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <unordered_map>

namespace tailor::pipeline {
namespace {

constexpr std::int64_t kMostEntries = 1000000;  // operators, or edges

// true, false, 1 or 0.
bool truth(const Json& object, const char* key, const std::string& place) {
  const Json& value = member(object, key, place);
  if (value.is_boolean()) return value.get<bool>();
  std::int64_t number = integer(object, key, place);
  if (number != 0 && number != 1)
    throw Error(Code::bad_json, fmt::format("'{}' is neither 0 nor 1", key), place);
  return number == 1;
}

const Json& list(const Json& object, const char* key, const std::string& place) {
  const Json& value = member(object, key, place);
  if (!value.is_array()) throw Error(Code::bad_json, fmt::format("'{}' is no list", key), place);
  if (value.size() > kMostEntries)
    throw Error(Code::bad_json, fmt::format("'{}' has more than {} entries", key, kMostEntries), place);
  return value;
}

int count(const Json& object, const char* key, const std::string& place) {
  std::int64_t value = integer(object, key, place);
  if (value < 0 || value > 1000)
    throw Error(Code::bad_json, fmt::format("'{}' is not 0 to 1000", key), place);
  return static_cast<int>(value);
}

plan::Operator read_node(const Json& node, const std::string& place) {
  plan::Operator op;
  op.cpu = number(node, "cpuLatency", place), op.accelerator = number(node, "fpgaLatency", place);
  op.bytes = number(node, "size", place);
  op.supported = truth(node, "supportedOnFpga", place);
  op.backward = truth(node, "isBackwardNode", place);
  op.name = node.contains("name") ? text(node, "name", place) : fmt::format("{}", integer(node, "id", place));
  if (!node.contains("colorClass")) return op;
  std::int64_t colour = integer(node, "colorClass", place);
  if (colour < 0 || colour > 1000000000) throw Error(Code::bad_json, "'colorClass' is not 0 to 1e9", place);
  op.colour = static_cast<int>(colour);
  return op;
}

void read_edges(const Json& json, const std::string& place,
                const std::unordered_map<std::int64_t, int>& index, plan::OperatorGraph& graph) {
  std::vector<bool> known(graph.operators.size());
  for (const Json& edge : list(json, "edges", place)) {
    auto end = [&](const char* key) {
      auto found = index.find(integer(edge, key, place));
      if (found == index.end())
        throw Error(Code::bad_workload,
                    fmt::format("an edge names an operator {} that is not there", integer(edge, key, place)),
                    place);
      return found->second;
    };
    int from = end("sourceId"), to = end("destId");
    plan::Operator& op = graph.operators[static_cast<std::size_t>(from)];
    double cost = number(edge, "cost", place);
    if (known[static_cast<std::size_t>(from)] && std::abs(cost - op.transfer) > 1e-9 * std::abs(cost))
      throw Error(Code::bad_workload, "edges out of one operator have several costs",
                  fmt::format("{}: {}", place, op.name),
                  "the cost is that of transferring the operator's output");
    op.transfer = cost, known[static_cast<std::size_t>(from)] = true;
    graph.edges.emplace_back(from, to);
  }
}

Json device_json(const NamedGraph& named, const plan::Placement& placement, int device,
                 const plan::Loads& loads) {
  Json nodes = Json::array();
  for (std::size_t v = 0; v < placement.device.size(); ++v)
    if (placement.device[v] == device) nodes.push_back(named.ids[v]);
  return {{"nodes", nodes},
          {"load", loads.load[static_cast<std::size_t>(device)]},
          {"bytes", loads.bytes[static_cast<std::size_t>(device)]}};
}

}  // namespace

NamedGraph operator_graph_from(const Json& json, const std::string& place) {
  if (!json.is_object()) throw Error(Code::bad_json, "no object", place);
  NamedGraph result;
  plan::OperatorGraph& graph = result.graph;
  graph.accelerators = count(json, "maxFPGAs", place), graph.cpus = count(json, "maxCPUs", place);
  graph.memory = number(json, "maxSizePerFPGA", place);
  std::unordered_map<std::int64_t, int> index;
  for (const Json& node : list(json, "nodes", place)) {
    result.ids.push_back(integer(node, "id", place));
    if (!index.emplace(result.ids.back(), static_cast<int>(graph.operators.size())).second)
      throw Error(Code::bad_workload, fmt::format("two operators have the id {}", result.ids.back()), place);
    graph.operators.push_back(read_node(node, place));
  }
  read_edges(json, place, index, graph);
  try {
    plan::check(graph);
  } catch (const Error& error) {
    throw Error(error.code(), error.what(),
                error.place().empty() ? place : fmt::format("{}: {}", place, error.place()), error.help());
  }
  return result;
}

NamedGraph read_operator_graph(const std::filesystem::path& path) {
  try {
    return operator_graph_from(read_json(path), path.string());
  } catch (const Error& error) {
    if (error.code() != Code::bad_json || !error.help().empty()) throw;
    throw Error(error.code(), error.what(), error.place(),
                "give a workload in JSON, with operators and edges, as docs/verbs.md describes it");
  }
}

Json placement_json(const NamedGraph& named, const plan::Placement& placement) {
  if (placement.device.empty()) return nullptr;
  plan::Loads loads = plan::loads(named.graph, placement.device);
  Json accelerators = Json::array(), cpus = Json::array();
  for (int d = 0; d < named.graph.accelerators + named.graph.cpus; ++d)
    (d < named.graph.accelerators ? accelerators : cpus).push_back(device_json(named, placement, d, loads));
  return {{"accelerators", accelerators}, {"cpus", cpus}, {"largest", placement.largest}};
}

}  // namespace tailor::pipeline

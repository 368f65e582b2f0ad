// Analysis <-> JSON. Sums and shares are written for readers; reading computes them anew where they follow.
#include "tailor/base/error.h"
#include "tailor/pipeline/analyze.h"

#include <nlohmann/json.hpp>

namespace tailor::pipeline {
namespace {

constexpr const char* kSchema = "tailor/analysis/1";

std::optional<WidthStep> read_step(const Json& object, const char* key, const std::string& place) {
  const Json& json = member(object, key, place);
  if (json.is_null()) return std::nullopt;
  return WidthStep{static_cast<int>(integer(json, "width", place)), number(json, "saved_us", place),
                   number(json, "saved_share", place)};
}

const Json& list(const Json& object, const char* key, const std::string& place) {
  const Json& found = member(object, key, place);
  if (!found.is_array()) throw Error(Code::bad_json, std::string(key) + " must be an array", place);
  return found;
}

template <class T>
std::vector<T> numbers(const Json& object, const char* key, const std::string& place) {
  std::vector<T> found;
  for (const Json& item : list(object, key, place)) {
    if (!item.is_number()) throw Error(Code::bad_json, std::string(key) + " must hold numbers", place);
    found.push_back(item.get<T>());
  }
  return found;
}

Json node_json(const ExecutedNode& node) {
  return {{"name", node.name},
          {"op", node.op},
          {"kind", node.kind},
          {"us", node.us},
          {"reported_us", node.reported_us},
          {"layer", node.layer},
          {"matched_by", node.matched_by},
          {"shapes", node.shapes}};
}

ExecutedNode read_node(const Json& json, const std::string& place) {
  return {text(json, "name", place),       text(json, "op", place),
          text(json, "kind", place),       number(json, "reported_us", place),
          number(json, "us", place),       static_cast<int>(integer(json, "layer", place)),
          text(json, "matched_by", place), text(json, "shapes", place)};
}

Json in_place_json(const InPlace& in_place) {
  Json json = {{"network_us", in_place.network_us},
               {"sum_us", in_place.sum_us},
               {"difference", in_place.difference()},
               {"reported_us", in_place.reported_us},
               {"reported_difference", in_place.reported_difference()},
               {"profiled_us", in_place.profiled_us},
               {"profiler_node_us", in_place.profiler_node_us},
               {"node_us", in_place.node_us},
               {"runs", in_place.runs},
               {"unprofiled_runs", in_place.unprofiled_runs},
               {"nodes", Json::array()}};
  for (const ExecutedNode& node : in_place.nodes) json["nodes"].push_back(node_json(node));
  return json;
}

InPlace read_in_place(const Json& json, const std::string& place) {
  InPlace in_place;
  for (auto [key, field] : {std::pair{"network_us", &in_place.network_us},
                            {"sum_us", &in_place.sum_us},
                            {"reported_us", &in_place.reported_us},
                            {"profiled_us", &in_place.profiled_us},
                            {"profiler_node_us", &in_place.profiler_node_us},
                            {"node_us", &in_place.node_us}})
    *field = number(json, key, place);
  in_place.runs = static_cast<int>(integer(json, "runs", place));
  in_place.unprofiled_runs = static_cast<int>(integer(json, "unprofiled_runs", place));
  for (const Json& node : list(json, "nodes", place)) in_place.nodes.push_back(read_node(node, place));
  return in_place;
}

Json layer_json(const AnalyzedLayer& layer) {
  return {{"name", layer.name},
          {"op", layer.op},
          {"workload", latency::to_string(layer.workload)},
          {"in_group", layer.in_group},
          {"out_group", layer.out_group},
          {"us", layer.us},
          {"how", layer.in_place ? "in place" : "alone"},
          {"alone_us", layer.alone_us},
          {"share", layer.share},
          {"macs", latency::macs(layer.workload)},
          {"gflops", layer.gflops},
          {"gbytes", layer.gbytes},
          {"verdict", name(layer.verdict)},
          {"why", layer.why},
          {"down", to_json(layer.down)},
          {"up", to_json(layer.up)},
          {"recoverable_us", layer.recoverable_us}};
}

LayerVerdict parse_verdict(const std::string& word, const std::string& place) {
  for (LayerVerdict verdict : {LayerVerdict::fallback, LayerVerdict::launch, LayerVerdict::pad,
                               LayerVerdict::memory, LayerVerdict::ok})
    if (word == name(verdict)) return verdict;
  throw Error(Code::bad_json, "there is no verdict '" + word + "'", place);
}

latency::Workload read_workload(const std::string& words, const std::string& place) {
  try {
    return latency::parse_workload(words);
  } catch (const Error& error) {
    throw Error(Code::bad_json, error.what(), place);
  }
}

AnalyzedLayer read_layer(const Json& json, const std::string& place) {
  AnalyzedLayer layer;
  layer.name = text(json, "name", place), layer.op = text(json, "op", place);
  layer.workload = read_workload(text(json, "workload", place), place);
  layer.in_group = text(json, "in_group", place), layer.out_group = text(json, "out_group", place);
  layer.in_place = text(json, "how", place) == "in place";
  for (auto [key, field] : {std::pair{"us", &layer.us},
                            {"alone_us", &layer.alone_us},
                            {"share", &layer.share},
                            {"gflops", &layer.gflops},
                            {"gbytes", &layer.gbytes},
                            {"recoverable_us", &layer.recoverable_us}})
    *field = number(json, key, place);
  layer.verdict = parse_verdict(text(json, "verdict", place), place);
  layer.why = text(json, "why", place);
  layer.down = read_step(json, "down", place), layer.up = read_step(json, "up", place);
  return layer;
}

GroupSweep read_group(const Json& json, const std::string& place) {
  GroupSweep sweep;
  sweep.group = static_cast<int>(integer(json, "group", place));
  sweep.name = text(json, "name", place);
  sweep.width = static_cast<int>(integer(json, "width", place));
  sweep.widths = numbers<int>(json, "widths", place), sweep.us = numbers<double>(json, "us", place);
  sweep.lo = numbers<double>(json, "lo", place), sweep.hi = numbers<double>(json, "hi", place);
  if (sweep.us.size() != sweep.widths.size()) throw Error(Code::bad_json, "not one time per width", place);
  sweep.layers = numbers<int>(json, "layers", place);
  sweep.down = read_step(json, "down", place), sweep.up = read_step(json, "up", place);
  sweep.edge = read_step(json, "edge", place);
  if (json.contains("wider")) sweep.wider = read_step(json, "wider", place);  // absent in documents of before
  return sweep;
}

Json picture_json(const Analysis& analysis) {
  if (!analysis.picture) return nullptr;
  Json edges = Json::array();
  for (const latency::Edge& edge : analysis.picture->edges)
    edges.push_back({{"last", edge.last}, {"next", edge.next}, {"ratio", edge.ratio}});
  return {{"layer", analysis.picture_layer},
          {"widths", analysis.picture->widths},
          {"us", analysis.picture->latencies_us},
          {"edges", std::move(edges)}};
}

void read_picture(Analysis& analysis, const Json& json, const std::string& place) {
  if (json.is_null()) return;
  analysis.picture_layer = text(json, "layer", place);
  try {
    analysis.picture = latency::find_staircase(numbers<std::int64_t>(json, "widths", place),
                                               numbers<double>(json, "us", place));
  } catch (const Error& error) {
    throw Error(Code::bad_json, error.what(), place);
  }
}

Json totals_json(const Analysis& analysis) {
  const InPlace& in_place = analysis.in_place;
  Json matched = {{"layers", analysis.layers.size()}};
  for (const char* how : {"name", "shape", "order"}) matched[how] = in_place.matched(how);
  Json kinds = Json::object();
  for (const ExecutedNode& node : in_place.nodes) kinds[node.kind] = in_place.us_of(node.kind);
  return {{"network_us", in_place.network_us},   {"sum_us", in_place.sum_us},
          {"difference", in_place.difference()}, {"recoverable_us", analysis.recoverable_us()},
          {"free_us", analysis.free_us},         {"misfits", analysis.misfits()},
          {"matched", std::move(matched)},       {"us_by_kind", std::move(kinds)}};
}

}  // namespace

Json to_json(const GroupSweep& sweep) {
  return {{"group", sweep.group},
          {"name", sweep.name},
          {"width", sweep.width},
          {"widths", sweep.widths},
          {"us", sweep.us},
          {"lo", sweep.lo},
          {"hi", sweep.hi},
          {"layers", sweep.layers},
          {"down", to_json(sweep.down)},
          {"up", to_json(sweep.up)},
          {"edge", to_json(sweep.edge)},
          {"wider", to_json(sweep.wider)}};
}

Json to_json(const std::optional<WidthStep>& step) {
  if (!step) return nullptr;
  return {{"width", step->width}, {"saved_us", step->saved_us}, {"saved_share", step->saved_share}};
}

Json to_json(const Analysis& analysis) {
  Json json = {{"schema", kSchema},
               {"runtime", analysis.runtime},
               {"version", analysis.version},
               {"isa", analysis.isa},
               {"processor", analysis.processor},
               {"threads", analysis.threads},
               {"device", "cpu"},
               {"model", {{"path", analysis.model.string()}, {"sha256", analysis.sha256}}},
               {"totals", totals_json(analysis)},
               {"layers", Json::array()},
               {"groups", Json::array()},
               {"in_place", in_place_json(analysis.in_place)},
               {"streaming_gbytes", analysis.streaming_gbytes},
               {"shortcuts", {{"padded", analysis.shortcuts}, {"ratio", analysis.shortcuts_ratio}}},
               {"measured", analysis.measured},
               {"known", analysis.known},
               {"staircase", picture_json(analysis)}};
  for (const AnalyzedLayer& layer : analysis.layers) json["layers"].push_back(layer_json(layer));
  for (const GroupSweep& sweep : analysis.groups) json["groups"].push_back(to_json(sweep));
  if (analysis.base) json["base"] = to_json(*analysis.base);
  return json;
}

Analysis analysis_from_json(const Json& json, const std::string& place) {
  if (text(json, "schema", place) != kSchema) throw Error(Code::bad_json, "not an analysis", place);
  Analysis analysis;
  for (auto [key, field] : {std::pair{"runtime", &analysis.runtime},
                            {"version", &analysis.version},
                            {"isa", &analysis.isa},
                            {"processor", &analysis.processor}})
    *field = text(json, key, place);
  analysis.threads = static_cast<int>(integer(json, "threads", place));
  const Json& model = member(json, "model", place);
  analysis.model = text(model, "path", place), analysis.sha256 = text(model, "sha256", place);
  for (const Json& layer : list(json, "layers", place)) analysis.layers.push_back(read_layer(layer, place));
  for (const Json& group : list(json, "groups", place)) analysis.groups.push_back(read_group(group, place));
  analysis.in_place = read_in_place(member(json, "in_place", place), place);
  analysis.streaming_gbytes = number(json, "streaming_gbytes", place);
  if (json.contains("shortcuts")) {  // absent in documents of before
    const Json& shortcuts = json["shortcuts"];
    analysis.shortcuts = static_cast<int>(integer(shortcuts, "padded", place + ".shortcuts"));
    analysis.shortcuts_ratio = number(shortcuts, "ratio", place + ".shortcuts");
  }
  if (const Json& totals = member(json, "totals", place); totals.contains("free_us"))
    analysis.free_us = number(totals, "free_us", place + ".totals");
  analysis.measured = static_cast<int>(integer(json, "measured", place));
  analysis.known = static_cast<int>(integer(json, "known", place));
  read_picture(analysis, member(json, "staircase", place), place);
  return analysis;
}

}  // namespace tailor::pipeline

// Netron's attachment, a trace of Chrome's format, a table in commas.
#include "tailor/report/exports.h"

#include "tailor/base/error.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <optional>

namespace tailor::report {
namespace {

// A layer of either kind of document.
struct Layer {
  std::string name, op, workload, verdict, why, how;
  double us = 0, share = 0, recoverable_us = 0;
  std::optional<std::int64_t> narrower = {}, free_up_to = {};  // widths
};

std::optional<std::int64_t> width_of(const Json& layer, const char* key, const std::string& at) {
  const Json& step = member(layer, key, at);
  if (step.is_null()) return std::nullopt;
  return integer(step, "width", member_place(at, key));
}

// A launch on a GPU: the runner's words stand for the workload, the kernel for the reason.
Layer launch_of(const Json& json, const std::string& at) {
  const std::string asked = text(json, "layer", at);
  return {text(json, "name", at),     asked.substr(0, asked.find(' ')), asked,
          text(json, "verdict", at),  text(json, "kernel", at),         text(json, "how", at),
          number(json, "us", at),     number(json, "share", at),        number(json, "recoverable_us", at),
          width_of(json, "down", at), width_of(json, "up", at)};
}

Layer layer_of(const Json& json, const std::string& at, bool modelled) {
  const Json& timed = modelled ? member(json, "model", at) : json;
  return {text(json, "name", at),
          text(json, "op", at),
          text(json, "workload", at),
          text(json, "verdict", at),
          text(json, "why", at),
          modelled ? std::string("modelled") : "measured " + text(json, "how", at),
          number(timed, "us", at),
          number(json, "share", at),
          number(json, "recoverable_us", at),
          width_of(json, modelled ? "narrower" : "down", at),
          width_of(json, modelled ? "free_up_to" : "up", at)};
}

std::string kind_of_analysis(const Json& analysis, const std::string& place) {
  std::string kind = kind_of(analysis, place);
  if (kind != "analysis" && kind != "device-analysis" && kind != "gpu-analysis")
    throw Error(Code::bad_json, fmt::format("this is a result of kind {}, not an analysis", kind), place);
  return kind;
}

void for_each_layer(const Json& analysis, const std::string& place,
                    const std::function<void(const Layer&)>& act) {
  const std::string kind = kind_of_analysis(analysis, place);
  const Json& layers = list(analysis, "layers", place);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string at = item_place(place, "layers", i);
    act(kind == "gpu-analysis" ? launch_of(layers[i], at)
                               : layer_of(layers[i], at, kind == "device-analysis"));
  }
}

Json event(const std::string& name, const std::string& category, double begin, double us, Json arguments,
           int thread = 1) {
  return {{"name", name}, {"cat", category}, {"ph", "X"},     {"ts", begin},
          {"dur", us},    {"pid", 1},        {"tid", thread}, {"args", std::move(arguments)}};
}

Json name_event(const char* what, const std::string& name, int thread = 1) {
  return {{"name", what}, {"ph", "M"}, {"pid", 1}, {"tid", thread}, {"args", {{"name", name}}}};
}

void add_nodes(Json& events, const Json& analysis, const std::string& place) {
  const std::string at = member_place(place, "in_place");
  const Json& nodes = list(member(analysis, "in_place", place), "nodes", at);
  double begin = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const std::string node = item_place(at, "nodes", i);
    const double us = number(nodes[i], "us", node);
    const std::string op = text(nodes[i], "op", node), name = text(nodes[i], "name", node);
    events.push_back(event(name.empty() ? op : name, text(nodes[i], "kind", node), begin, us,
                           {{"operator", op}, {"inputs", text(nodes[i], "shapes", node)}}));
    begin += us;
  }
}

void add_layers(Json& events, const Json& analysis, const std::string& place) {
  double begin = 0;
  for_each_layer(analysis, place, [&](const Layer& layer) {
    events.push_back(event(layer.name, layer.verdict, begin, layer.us,
                           {{"operator", layer.op}, {"workload", layer.workload}, {"why", layer.why}}));
    begin += layer.us;
  });
}

// The parts of one layer, a thread for each unit; the time that the slowest takes.
double add_parts(Json& events, const Json& layer, double begin, double mhz, const std::string& at) {
  const Json& cycles = list(layer, "cycles", at);
  double longest = 0;
  for (std::size_t unit = 0; unit < cycles.size(); ++unit) {
    if (!cycles[unit].is_number()) throw Error(Code::bad_json, "cycles must be numbers", at);
    const double us = cycles[unit].get<double>() / mhz;
    if (us > 0)
      events.push_back(event(text(layer, "name", at), "layer", begin, us,
                             {{"workload", text(layer, "workload", at)}, {"cycles", cycles[unit]}},
                             static_cast<int>(unit) + 1));
    longest = std::max(longest, us);
  }
  return longest;
}

// A layer begins when all units have done with the one before.
Json mapping_events(const Json& mapping, const std::string& place) {
  const double mhz = number(mapping, "frequency_mhz", place);
  if (!(mhz > 0)) throw Error(Code::bad_json, "the frequency must be above 0", place);
  const Json& units = list(mapping, "units", place);
  Json events = Json::array({name_event("process_name", "tailor map (modelled)")});
  for (std::size_t unit = 0; unit < units.size(); ++unit)
    events.push_back(name_event("thread_name", units[unit].is_string() ? units[unit].get<std::string>() : "?",
                                static_cast<int>(unit) + 1));
  const Json& layers = list(mapping, "layers", place);
  double begin = 0;
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (const std::string at = item_place(place, "layers", i);
        layers[i].is_object() && layers[i].contains("cycles"))
      begin += add_parts(events, layers[i], begin, mhz, at);
  return events;
}

std::string quoted(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
  std::string text = "\"";
  for (char c : field) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

// What a person reads in a side bar: five digits.
double readable(double value) { return std::strtod(fmt::format("{:.5g}", value).c_str(), nullptr); }

std::string width_or_nothing(std::optional<std::int64_t> width) {
  return width ? std::to_string(*width) : std::string();
}

}  // namespace

Json netron_attachment(const Json& analysis, const std::string& place) {
  Json metrics = Json::array();
  for_each_layer(analysis, place, [&](const Layer& layer) {
    auto add = [&](const char* name, Json value, const char* type) {
      metrics.push_back({{"kind", "node"},
                         {"target", layer.name},
                         {"name", name},
                         {"value", std::move(value)},
                         {"type", type}});
    };
    add("latency_us", readable(layer.us), "float64");
    add("share_percent", readable(100 * layer.share), "float64");
    add("recoverable_us", readable(layer.recoverable_us), "float64");
    add("verdict", layer.verdict, "string");
    add("how", layer.how, "string");
    if (layer.narrower) add("narrower_width", *layer.narrower, "int64");
    if (layer.free_up_to) add("free_up_to", *layer.free_up_to, "int64");
  });
  return {{"signature", "netron:attachment"}, {"metadata", Json::array()}, {"metrics", std::move(metrics)}};
}

Json trace(const Json& analysis, const std::string& place) {
  if (kind_of(analysis, place) == "map")
    return {{"displayTimeUnit", "ns"}, {"traceEvents", mapping_events(analysis, place)}};
  const std::string kind = kind_of_analysis(analysis, place);
  const bool nodes = kind == "analysis";
  Json events = Json::array();
  events.push_back(name_event(
      "process_name", kind == "device-analysis" ? "tailor analyze (modelled)" : "tailor analyze (measured)"));
  events.push_back(name_event("thread_name", nodes ? "executed nodes" : "layers"));
  nodes ? add_nodes(events, analysis, place) : add_layers(events, analysis, place);
  return {{"displayTimeUnit", "ns"}, {"traceEvents", std::move(events)}};
}

std::string csv(const Json& analysis, const std::string& place) {
  std::string text =
      "layer,operator,workload,us,share,verdict,recoverable_us,narrower_width,free_up_to,how,why\r\n";
  for_each_layer(analysis, place, [&](const Layer& l) {
    text += fmt::format("{},{},{},{},{},{},{},{},{},{},{}\r\n", quoted(l.name), quoted(l.op),
                        quoted(l.workload), Json(l.us).dump(), Json(l.share).dump(), quoted(l.verdict),
                        Json(l.recoverable_us).dump(), width_or_nothing(l.narrower),
                        width_or_nothing(l.free_up_to), quoted(l.how), quoted(l.why));
  });
  return text;
}

}  // namespace tailor::report

// Netron's attachment, the trace and the table in commas against the documents that they are made of.
#include "tailor/report/exports.h"

#include "tailor/base/error.h"
#include "tests/report/samples.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <set>
#include <sstream>

namespace tailor::report {
namespace {

using namespace testing;

TEST(Netron, EveryLayerHasItsLatency) {
  for (const Json& document : {analysis_document(5), device_document(), gpu_document(5)}) {
    const Json attachment = netron_attachment(document, "run");
    EXPECT_EQ(attachment["signature"], "netron:attachment");
    std::size_t found = 0;
    for (const Json& metric : attachment["metrics"]) {
      EXPECT_EQ(metric["kind"], "node");
      if (metric["name"] != "latency_us") continue;
      const Json& layer = document["layers"][found++];
      EXPECT_EQ(metric["target"], layer["name"]);
      const double us = (layer.contains("model") ? layer["model"]["us"] : layer["us"]).get<double>();
      EXPECT_NEAR(metric["value"].get<double>(), us, 5e-5 * us);
      EXPECT_LE(metric["value"].dump().size(), 12U) << "too many digits for a side bar";
    }
    EXPECT_EQ(found, document["layers"].size());
  }
}

// Everything that the trace event format asks of the two kinds of events that are written: complete ones ("X") and names
// of processes and threads ("M"). Every thread with events is named, once; names are texts, times are finite numbers.
void expect_trace(const Json& json) {
  ASSERT_TRUE(json.is_object() && json["traceEvents"].is_array());
  EXPECT_TRUE(json["displayTimeUnit"] == "ns" || json["displayTimeUnit"] == "ms");
  std::set<std::pair<int, int>> named, used;
  std::set<int> processes;
  for (const Json& event : json["traceEvents"]) {
    ASSERT_TRUE(event.is_object());
    EXPECT_TRUE(event["name"].is_string() && event["ph"].is_string() && event["args"].is_object()) << event;
    EXPECT_TRUE(event["pid"].is_number_integer() && event["tid"].is_number_integer()) << event;
    const std::pair thread{event["pid"].get<int>(), event["tid"].get<int>()};
    if (event["ph"] == "M") {
      EXPECT_TRUE(event["args"]["name"].is_string()) << event;
      EXPECT_TRUE(event["name"] == "process_name" || event["name"] == "thread_name") << event;
      const bool first = event["name"] == "thread_name" ? named.insert(thread).second
                                                        : processes.insert(thread.first).second;
      EXPECT_TRUE(first) << "named twice: " << event;
      continue;
    }
    EXPECT_EQ(event["ph"], "X");
    EXPECT_TRUE(event["cat"].is_string()) << event;
    for (const char* key : {"ts", "dur"}) {
      ASSERT_TRUE(event[key].is_number()) << event;
      EXPECT_TRUE(std::isfinite(event[key].get<double>()) && event[key].get<double>() >= 0) << event;
    }
    used.insert(thread);
  }
  EXPECT_EQ(processes.size(), 1u);
  for (const auto& thread : used) EXPECT_TRUE(named.contains(thread)) << thread.second;
}

TEST(Trace, IsOfTheTraceEventFormat) {
  for (const Json& document : {analysis_document(7), analysis_document(16, hostile_names()),
                               device_document(), gpu_document(16, hostile_names()), map_document()})
    expect_trace(parse_json(trace(document, "run").dump(1, ' ', false, Json::error_handler_t::replace),
                            "written and read"));
}

// One line, no gap, no overlap.
TEST(Trace, EventsFollowEachOther) {
  for (const Json& document : {analysis_document(7), device_document(), gpu_document(7)}) {
    double end = 0;
    std::size_t complete = 0;
    const Json json = trace(document, "run");
    for (const Json& event : json["traceEvents"]) {
      if (event["ph"] == "M") continue;
      EXPECT_DOUBLE_EQ(event["ts"].get<double>(), end);
      end += event["dur"].get<double>(), ++complete;
    }
    EXPECT_EQ(complete, document["layers"].size());
    const double expected = document.contains("total_us")     ? document["total_us"].get<double>()
                            : document.contains("kernels_us") ? document["kernels_us"].get<double>()
                                                              : document["in_place"]["sum_us"].get<double>();
    EXPECT_NEAR(end, expected, 1e-6 * expected);
  }
}

// Units work side by side within a layer and wait for each other at its end; cycles are the document's.
TEST(Trace, AMappingHasALineForEachUnit) {
  const Json document = map_document();
  const double mhz = document["frequency_mhz"];
  const Json events = trace(document, "run")["traceEvents"];
  double begin = 0;
  std::size_t at = 1 + document["units"].size();
  for (const Json& layer : document["layers"]) {
    double longest = 0;
    for (std::size_t unit = 0; unit < document["units"].size(); ++unit) {
      const double us = layer["cycles"][unit].get<double>() / mhz;
      if (us == 0) continue;
      ASSERT_LT(at, events.size());
      EXPECT_EQ(events[at]["name"], layer["name"]);
      EXPECT_EQ(events[at]["tid"], unit + 1);
      EXPECT_DOUBLE_EQ(events[at]["ts"].get<double>(), begin);
      EXPECT_DOUBLE_EQ(events[at]["dur"].get<double>(), us);
      longest = std::max(longest, us), ++at;
    }
    begin += longest;
  }
  EXPECT_EQ(at, events.size());
}

// Reads one record of RFC 4180.
std::vector<std::string> record(std::istream& text) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (char c; text.get(c);) {
    if (quoted && c == '"' && text.peek() == '"')
      fields.back() += static_cast<char>(text.get());
    else if (c == '"')
      quoted = !quoted;
    else if (c == ',' && !quoted)
      fields.emplace_back();
    else if (c == '\r' && !quoted)
      continue;
    else if (c == '\n' && !quoted)
      break;
    else
      fields.back() += c;
  }
  return fields;
}

TEST(Csv, ReadsBack) {
  const Json document = analysis_document(16, hostile_names());
  std::istringstream text(csv(document, "run"));
  EXPECT_EQ(record(text).front(), "layer");
  for (const Json& layer : document["layers"]) {
    const std::vector<std::string> fields = record(text);
    ASSERT_EQ(fields.size(), 11u);
    EXPECT_EQ(fields[0], layer["name"].get<std::string>());
    EXPECT_EQ(std::stod(fields[3]), layer["us"].get<double>());
    EXPECT_EQ(fields[7], layer["down"].is_null() ? "" : layer["down"]["width"].dump());
  }
  EXPECT_EQ(text.peek(), std::char_traits<char>::eof());
}

TEST(Exports, OnlyAnalysesAreTaken) {
  EXPECT_THROW(csv(bench_document(), "run"), Error);
  EXPECT_THROW(trace(Json::object(), "run"), Error);
  EXPECT_THROW(netron_attachment({{"schema", "tailor/analysis/1"}}, "run"), Error);
}

}  // namespace
}  // namespace tailor::report

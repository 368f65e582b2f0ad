// Netron's attachment, the trace and the table in commas against the documents that they are made of.
#include "tailor/report/exports.h"

#include "tailor/base/error.h"
#include "tests/report/samples.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sstream>

namespace tailor::report {
namespace {

using namespace testing;

TEST(Netron, EveryLayerHasItsLatency) {
  for (const Json& document : {analysis_document(5), device_document()}) {
    const Json attachment = netron_attachment(document, "run");
    EXPECT_EQ(attachment["signature"], "netron:attachment");
    std::size_t found = 0;
    for (const Json& metric : attachment["metrics"]) {
      EXPECT_EQ(metric["kind"], "node");
      if (metric["name"] != "latency_us") continue;
      const Json& layer = document["layers"][found++];
      EXPECT_EQ(metric["target"], layer["name"]);
      EXPECT_EQ(metric["value"], layer.contains("model") ? layer["model"]["us"] : layer["us"]);
    }
    EXPECT_EQ(found, document["layers"].size());
  }
}

// What the trace event format asks of complete events, and that they follow each other without overlap.
TEST(Trace, EventsFollowEachOther) {
  for (const Json& document : {analysis_document(7), device_document()}) {
    const Json json = trace(document, "run");
    double end = 0, sum = 0;
    std::size_t complete = 0;
    for (const Json& event : json["traceEvents"]) {
      for (const char* key : {"name", "ph", "pid", "tid"}) EXPECT_TRUE(event.contains(key)) << event;
      if (event["ph"] == "M") continue;
      EXPECT_EQ(event["ph"], "X");
      EXPECT_DOUBLE_EQ(event["ts"].get<double>(), end);
      EXPECT_GE(event["dur"].get<double>(), 0);
      end += event["dur"].get<double>(), sum += event["dur"].get<double>(), ++complete;
    }
    EXPECT_EQ(complete, document["layers"].size());
    const double expected = document.contains("total_us") ? document["total_us"].get<double>()
                                                          : document["in_place"]["sum_us"].get<double>();
    EXPECT_NEAR(sum, expected, 1e-6 * expected);
  }
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

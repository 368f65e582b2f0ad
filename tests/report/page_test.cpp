// Pages as text: complete without a script, inert, allowed by their own policy, and never a crash.
#include "tailor/report/page.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/random.h"
#include "tailor/report/markup.h"
#include "tests/report/samples.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>

namespace tailor::report {
namespace {

using namespace testing;

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + word.size()))
    ++found;
  return found;
}

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t from = text.find(begin);
  if (from == std::string::npos) return {};
  return text.substr(from + begin.size(), text.find(end, from) - from - begin.size());
}

// Another way to Base64: bits one by one.
std::string base64(const std::string& hex) {
  const std::string letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bits, text;
  for (char c : hex)
    for (int bit = 3; bit >= 0; --bit)
      bits += (std::stoi(std::string(1, c), nullptr, 16) >> bit & 1) ? '1' : '0';
  while (bits.size() % 6) bits += '0';
  for (std::size_t i = 0; i < bits.size(); i += 6) text += letters[std::stoul(bits.substr(i, 6), nullptr, 2)];
  while (text.size() % 4) text += '=';
  return text;
}

TEST(Page, EveryKindHasOne) {
  std::vector<std::string> kinds;
  for (const Json& document : all_documents()) {
    const std::string schema = document["schema"];
    kinds.push_back(schema.substr(7, schema.size() - 9));
    const std::string text = page(document, "run.json");
    for (const char* part :
         {"<h1>", "class=\"cards\"", "<table>", "<caption>", "How this was found", "</html>"})
      EXPECT_NE(text.find(part), std::string::npos) << schema << " lacks " << part;
  }
  EXPECT_EQ(kinds, kinds_with_page());
}

TEST(Page, PolicyNamesItsStyleAndItsScript) {
  const std::string text = page(analysis_document(3), "run.json");
  const std::string policy = between(text, "Content-Security-Policy\" content=\"", "\"");
  EXPECT_TRUE(policy.starts_with("default-src 'none'; ")) << policy;
  EXPECT_EQ(policy.find("unsafe"), std::string::npos);
  const std::string style = between(text, "<style>", "</style>"),
                    script = between(text, "<script>", "</script>");
  EXPECT_NE(policy.find("style-src 'sha256-" + base64(sha256(style)) + "'"), std::string::npos) << policy;
  EXPECT_EQ(script.empty(), !has_charts());
  if (has_charts())
    EXPECT_NE(policy.find("script-src 'sha256-" + base64(sha256(script)) + "'"), std::string::npos) << policy;
  else
    EXPECT_NE(text.find("built without the chart library"), std::string::npos);
  for (const char* request : {"src=", "href=", "@import", "url("})
    EXPECT_EQ(text.substr(0, text.find("<script")).find(request), std::string::npos) << request;
}

TEST(Page, TablesHoldTheDocumentsNumbers) {
  const Json document = analysis_document(12);
  const std::string text = page(document, "run.json");
  for (const Json& layer : document["layers"])
    for (const char* key : {"us", "gflops", "recoverable_us"})
      EXPECT_NE(text.find("data-v=\"" + layer[key].dump() + "\""), std::string::npos)
          << key << " " << layer[key];
  const Json device = device_document();
  const std::string modelled = page(device, "run.json");
  for (const Json& layer : device["layers"])
    for (const char* key : {"work_us", "idle_us", "padding_us", "bytes_us", "launch_us"})
      EXPECT_NE(modelled.find("data-v=\"" + layer["spent"][key].dump() + "\""), std::string::npos) << key;
  EXPECT_NE(modelled.find("modelled: nothing was run"), std::string::npos);
}

TEST(Page, HostileNamesAreInert) {
  const Json document = analysis_document(16, hostile_names());
  const std::string text = page(document, "\"><script>run</script>.json");
  EXPECT_EQ(count(text, "<script"), has_charts() ? 2u : 0u);
  EXPECT_EQ(count(text, "</script"), has_charts() ? 2u : 0u);
  EXPECT_EQ(count(text, "<img"), 0u);
  EXPECT_EQ(count(text, "<!--"), 0u);
  EXPECT_GE(count(text, std::string(10000, 'x')), 2u) << "the whole name is there";
}

TEST(Page, OtherDocumentsAreRefusedWithAReason) {
  auto code_of = [](const Json& document) {
    try {
      static_cast<void>(page(document, "run.json"));
    } catch (const Error& error) {
      return error.code();
    }
    return Code::bug;
  };
  EXPECT_EQ(code_of({{"schema", "tailor/doctor/1"}}), Code::bad_json);
  EXPECT_EQ(code_of({{"schema", "other"}}), Code::bad_json);
  EXPECT_EQ(code_of(Json::array()), Code::bad_json);
  EXPECT_EQ(code_of({{"schema", "tailor/bench/1"}}), Code::bad_json);
}

// Every place in a document, as JSON pointers.
void places(const Json& json, const Json::json_pointer& at, std::vector<Json::json_pointer>& found) {
  found.push_back(at);
  if (json.is_object())
    for (const auto& [key, value] : json.items()) places(value, at / key, found);
  if (json.is_array())
    for (std::size_t i = 0; i < std::min<std::size_t>(json.size(), 2); ++i) places(json[i], at / i, found);
}

TEST(Page, DamagedDocumentsGiveAPageOrAnError) {
  const std::vector<Json> others = {nullptr,       1e300,          -1,   "</script>",
                                    Json::array(), Json::object(), true, Json::array({Json::array()})};
  int errors = 0, pages = 0;
  for (const Json& document : all_documents()) {
    std::vector<Json::json_pointer> found;
    places(document, Json::json_pointer(""), found);
    for (std::size_t i = 0; i < found.size(); ++i) {
      Json damaged = document;
      damaged[found[i]] = others[i % others.size()];
      try {
        pages += !page(damaged, "run.json").empty();
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::bad_json) << error.what();
        ++errors;
      }
    }
  }
  EXPECT_GT(errors, 300);
  EXPECT_GT(pages, 20);
}

TEST(Comparison, PairsLayersByName) {
  const Json before = analysis_document(12);
  Json after = before;
  after["layers"][3]["us"] = 12.5;
  after["layers"][5]["name"] = "only here";
  const std::string text = comparison_page(before, "a.json", after, "b.json");
  EXPECT_NE(text.find("data-v=\"12.5\""), std::string::npos);
  EXPECT_NE(text.find("only here"), std::string::npos);
  EXPECT_EQ(count(text, "<tr data-layer="), 13u) << "twelve, and the one that is only in the second run";
  EXPECT_THROW(comparison_page(before, "a.json", bench_document(), "b.json"), Error);
}

// What is only in one plan has the width that it had in the other.
TEST(Comparison, PlansPairGroupsThatOneOfThemLeaves) {
  const Json before = plan_document();
  Json after = before;
  const Json gone = after["groups"][2];
  after["groups"].erase(2);
  const std::string text = comparison_page(before, "a.plan.json", after, "b.plan.json");
  const std::string row = between(text, "<bdi>" + gone["layer"].get<std::string>() + "</bdi>", "</tr>");
  EXPECT_NE(row.find("data-v=\"" + gone["after"].dump() + ".0\""), std::string::npos) << row;
  EXPECT_NE(row.find("data-v=\"" + gone["before"].dump() + ".0\""), std::string::npos) << row;
  EXPECT_EQ(count(text, "<tr data-layer="), before["groups"].size());
}

TEST(Page, TuningHoldsItsTimesAndWhatAChoiceCostsElsewhere) {
  const Json document = tune_document();
  const std::string text = page(document, "run.json");
  for (const Json& task : document["tasks"]) {
    EXPECT_NE(text.find("data-v=\"" + task["own"]["us"].dump() + "\""), std::string::npos);
    for (const Json& there : task["at_shares"]) {
      const bool shown =
          there["us"].is_null() || text.find("data-v=\"" + there["us"].dump() + "\"") != std::string::npos;
      EXPECT_TRUE(shown) << there;
    }
  }
  EXPECT_EQ(count(text, ">not measured<"), 3u) << "of the third operator, at the whole processor";
  // The second operator: its kernel for a quarter, at a half, over the one that is best there.
  const Json &quarter = document["tasks"][3], &half = document["tasks"][4];
  const double ratio = quarter["at_shares"][1]["us"].get<double>() / half["own"]["us"].get<double>();
  EXPECT_NE(text.find("data-v=\"" + Json(ratio).dump() + "\""), std::string::npos) << ratio;
}

TEST(Page, TuningOfEarlierVersionsHasAPage) {
  Json document = tune_document();
  for (Json& task : document["tasks"]) task.erase("history"), task.erase("at_shares");
  document.erase("model"), document.erase("file");
  EXPECT_NE(page(document, "run.json").find("Only one share was tuned for"), std::string::npos);
}

TEST(Page, TwoThousandLayersStaySmall) {
  EXPECT_LT(page(analysis_document(60), "run.json").size(), 1u << 20) << "a usual model";
  EXPECT_EQ(count(page(analysis_document(2000), "run.json"), "<tr data-layer="), 2000u);
}

}  // namespace
}  // namespace tailor::report

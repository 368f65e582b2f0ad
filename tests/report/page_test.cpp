// Pages as text: complete without a script, inert, allowed by their own policy, and never a crash.
#include "tailor/report/page.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/random.h"
#include "tailor/report/content.h"
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

TEST(Page, SharesOfVerdictsAreOfOneWhole) {
  const Json document =
      parse_json(R"({"layers": [{"verdict": "ok", "us": 66}, {"verdict": "memory", "us": 54}]})", "test");
  const std::vector<std::string> longer = verdict_sentences(document, "run.json", 100, {}),
                                 shorter = verdict_sentences(document, "run.json", 200, {});
  EXPECT_EQ(longer, (std::vector<std::string>{"55 % of the time in 1 layer judged ok.",
                                              "45 % of the time in 1 layer judged memory."}));
  EXPECT_EQ(shorter, (std::vector<std::string>{"33 % of the time in 1 layer judged ok.",
                                               "27 % of the time in 1 layer judged memory."}));
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

TEST(Page, InterferenceHasEveryPairInBothTables) {
  const Json document = interference_document();
  const std::string text = page(document, "run.json");
  for (const Json& cell : document["cells"])
    for (const char* key : {"first_slowdown", "second_slowdown"}) {
      if (cell[key].is_null()) continue;
      const std::string ratio = "data-v=\"" + cell[key]["ratio"].dump() + "\"";
      EXPECT_GE(count(text, ratio), 2u) << ratio << ": once in its part's table, once with its interval";
    }
  EXPECT_NE(text.find("14 of 17 kernels"), std::string::npos) << between(text, "<h1>", "</p>");
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

// Every number below `at` that is not part of a list of points stands in the page, exactly.
void expect_numbers(const std::string& text, const Json& items, const std::vector<const char*>& keys) {
  ASSERT_FALSE(items.empty());
  for (const Json& item : items)
    for (const char* key : keys)
      EXPECT_NE(text.find("data-v=\"" + Json(item[key].get<double>()).dump() + "\""), std::string::npos)
          << key << " " << item[key];
}

TEST(Page, ChannelsThatCostNothingAreListed) {
  for (const Json& document : {gpu_document(12), devices_document()}) {
    const std::string text = page(document, "run.json");
    expect_numbers(text, document["free"]["groups"], {"width", "free_to", "together", "us", "free_us"});
    EXPECT_NE(text.find("data-figure=\"free\""), std::string::npos);
    EXPECT_NE(text.find("1 group cannot grow"), std::string::npos);
  }
  Json none = devices_document();
  none["free"]["groups"] = Json::array();
  EXPECT_NE(page(none, "run.json").find("No group can be wider for nothing"), std::string::npos);
  EXPECT_EQ(page(optimize_document(), "run.json").find("Channels that cost nothing"), std::string::npos);
}

TEST(Page, PrecisionsThatTakeTurnsSayWhatEachLayerGot) {
  const Json document = turns_document();
  const std::string text = page(document, "run.json");
  for (const char* part :
       {"int8 us", "bf16 us", "Conversions of the chosen network", "as fast [", "keep 7: sums",
        "refused for 2 of 3 layers", "0.30 points lost on 500 samples of test.bin"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
  for (const Json& layer : document["layers"])
    for (const Json& way : layer["ways"])
      EXPECT_NE(text.find("data-v=\"" + way["us"].dump() + "\""), std::string::npos) << way.dump();
}

TEST(Page, APrecisionGoalThatIsMissedSaysWhy) {
  const std::string text = page(turns_document(false), "run.json");
  EXPECT_NE(text.find("No choice of precisions meets the goal: every choice loses more than 1 point."),
            std::string::npos);
  EXPECT_EQ(text.find("Conversions of the chosen network"), std::string::npos);
}

TEST(Page, OneModelForSeveralDevicesSaysWhatEachGivesUp) {
  const Json document = devices_document();
  const std::string text = page(document, "run.json"), head = between(text, "<h1>", "</h1>");
  expect_numbers(text, document["devices"], {"before_us", "after_us", "ratio"});
  EXPECT_NE(text.find("data-v=\"" + Json(100 * document["devices"][0]["regret"].get<double>()).dump() + "\""),
            std::string::npos);
  EXPECT_NE(text.find("On a small GPU one model for all devices takes 3.1 % longer"), std::string::npos);
  EXPECT_NE(text.find("On a large GPU widths for it alone would be no faster"), std::string::npos);
  for (const char* words : {"1.45x as fast on a small GPU", "1.19x as fast on a large GPU", "by the model",
                            "The goal is not met: 0.690 of the latency"})
    EXPECT_NE(head.find(words), std::string::npos) << words << " is not in " << head;
  EXPECT_NE(text.find("3 of them were moved down, 2 up"), std::string::npos);
}

TEST(Page, ANetworkBesideItsBaseSaysWhatItGot) {
  const Json document = analysis_document(12);
  const std::string text = page(document, "run.json");
  expect_numbers(text, document["base"]["layers"], {"before_us", "after_us"});
  EXPECT_NE(text.find("Against bigger.onnx it has 30 % fewer multiply-accumulates and takes 7.0 % less time "
                      "(measured); 8 of 12 layers that became smaller are not surely faster."),
            std::string::npos);
  Json without = document;
  without.erase("base");
  EXPECT_EQ(page(without, "run.json").find("bigger.onnx"), std::string::npos);
}

TEST(Page, EveryChangeOfAPlanIsNamed) {
  const std::string text = page(plan_document(), "run.json");
  for (const char* words :
       {"8 channel groups change, 1 branch goes, 1 branch becomes one convolution, 1 kernel gets smaller, 1 "
        "shortcut becomes a convolution",
        "branch replaced by one convolution, kernel 3x3", "kernel 3x3 to 3x1, from row 0 and column 1 on",
        "padded shortcut becomes a convolution"})
    EXPECT_NE(text.find(words), std::string::npos) << words;
  const std::string row = between(text, "<bdi>/blocks/5/conv/Conv</bdi>", "</tr>");
  EXPECT_NE(row.find("data-v=\"2.0\">2<"), std::string::npos) << "two channels are merged: " << row;
}

TEST(Page, TheVerdictNamesSpeedAccuracyAndGoal) {
  EXPECT_EQ(
      between(page(optimize_document(), "run.json"), "<h1>", "</h1>"),
      "original.onnx runs 1.43x as fast as it did: 282.8 us instead of 404.0 us, at 91.80 % top-1 accuracy "
      "instead of 92.20 %. The goal is met: at most 0.7 of the latency.");
  Json failed = verify_document();
  failed["outcome"] = failed["gates"][0]["outcome"] = "FAIL";
  EXPECT_TRUE(between(page(failed, "run.json"), "<h1>", "</h1>")
                  .starts_with("FAIL (min-speedup: &gt;= 1.3x was wanted, 1.43x [1.42, 1.44] was found). "));
  Json disturbed = analysis_document(3);
  disturbed["in_place"]["difference"] = 0.08;
  EXPECT_NE(page(disturbed, "run.json").find("measured, disturbed"), std::string::npos);
}

TEST(Comparison, EveryKindCanBeComparedWithItself) {
  for (const Json& document : all_documents()) {
    const std::string text = comparison_page(document, "a.json", document, "b.json");
    EXPECT_NE(between(text, "<h1>", "</h1>").find("no change"), std::string::npos) << document["schema"];
    EXPECT_EQ(text.find("The first run is of"), std::string::npos) << "both are of the same";
  }
}

TEST(Outcomes, EveryResultIsAPointWithItsIntervals) {
  const Json first = optimize_document();
  Json second = first, third = devices_document();
  Json& labelled = second["proof"]["samples"][0]["labelled"];
  labelled["top1_b"] = 0.93;
  second["proof"]["speed"]["models"][1]["to_first"]["ratio"] = 0.625;
  const std::string text = outcomes_page({{"a.json", first}, {"b.json", second}, {"c.json", third}});
  EXPECT_EQ(between(text, "<h1>", "</h1>"),
            "Of 3 results b.json keeps most: 93.00 % accuracy instead of 92.20 % at 0.625x of the time.");
  for (const Json& document : {first, second, third}) {
    const Json& reached = document["proof"]["speed"]["models"][1]["to_first"];
    for (const char* key : {"ratio", "lo", "hi"})
      EXPECT_NE(text.find("data-v=\"" + reached[key].dump() + "\""), std::string::npos) << key;
  }
  EXPECT_EQ(count(text, "<tr data-layer="), 3u);
  EXPECT_NE(text.find(">modelled<"), std::string::npos);
  EXPECT_NE(comparison_page(first, "a.json", second, "b.json").find("data-figure=\"outcomes\""),
            std::string::npos);
  const Json bench = bench_document();
  EXPECT_THROW(outcomes_page({{"a.json", first}, {"b.json", bench}, {"c.json", third}}), Error);
  Json damaged = third;
  damaged["proof"]["speed"]["models"] = Json::array();
  EXPECT_THROW(outcomes_page({{"a.json", first}, {"b.json", second}, {"c.json", damaged}}), Error);
}

TEST(Comparison, AnalysesOfTwoDevicesNameBoth) {
  const Json before = gpu_document(7);
  Json after = before;
  after["device"] = "another GPU", after["network_us"] = 0.5 * before["network_us"].get<double>();
  const std::string text = comparison_page(before, "a.json", after, "b.json");
  EXPECT_NE(between(text, "<h1>", "</h1>").find("50.0 % less"), std::string::npos);
  EXPECT_NE(
      text.find("The first run is of network.onnx on a GPU in f16; the second of network.onnx on another GPU "
                "in f16."),
      std::string::npos);
  EXPECT_NE(text.find("were not interleaved"), std::string::npos);
  const std::string modelled = comparison_page(device_document(), "a.json", device_document(), "b.json");
  EXPECT_EQ(modelled.find("were not interleaved"), std::string::npos);
  EXPECT_NE(modelled.find("Nothing was run"), std::string::npos);
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

TEST(Page, PatternsAreInThePageOnce) {
  const Json document = patterns_document();
  const std::string text = page(document, "folder/patterns.json");
  std::size_t filters = 0;
  for (const Json& layer : document["layers"])
    for (const Json& filter : layer["filters"]) {
      EXPECT_EQ(count(text, "base64," + filter["picture"].get<std::string>() + "\""), 1u);
      ++filters;
    }
  EXPECT_EQ(count(text, "<img "), filters);
  EXPECT_EQ(count(text, document["layers"][0]["filters"][0]["picture"].get<std::string>()), 1u)
      << "the document behind the page holds no second one";
  EXPECT_NE(between(text, "Content-Security-Policy\" content=\"", "\"").find("; img-src data:;"),
            std::string::npos);
  EXPECT_EQ(page(bench_document(), "run.json").find("img-src"), std::string::npos);
  EXPECT_EQ(between(text, "<h1>", "</h1>"),
            "original.onnx: 46 channels in 39 clusters, so that 7 repeat what another one is for.");
  EXPECT_NE(text.find("<h3>3 alike</h3>"), std::string::npos);
  EXPECT_NE(text.find("no input moves its answer"), std::string::npos);
  EXPECT_NE(text.find("--patterns folder/patterns.json"), std::string::npos);
}

TEST(Page, PatternsOfAUsualLayerStaySmall) {
  EXPECT_LT(page(patterns_document(64, 32), "run.json").size(), 1u << 20);
}

TEST(Page, PatternsThatAreNoPicturesStayInert) {
  Json document = patterns_document();
  document["layers"][0]["filters"][0]["picture"] = "\"><script>taken</script>";
  document["layers"][1]["layer"] = document["groups"][0]["name"] = document["layers"][0]["sheet"] =
      hostile_names()[0];
  const std::string text = page(document, "run.json");
  EXPECT_EQ(count(text, "<script"), has_charts() ? 2u : 0u);
  EXPECT_NE(text.find("base64,scripttaken/script\""), std::string::npos);
  document["layers"][0]["filters"][0]["picture"] = std::string(70000, 'A');
  EXPECT_THROW(page(document, "run.json"), Error);
}

TEST(Comparison, PatternsBesideAPlanSayWhatStays) {
  const Json patterns = patterns_document();
  Json plan = plan_document();
  for (int unit = 2; unit < 34; ++unit) plan["groups"][0]["kept"].push_back(unit);
  const std::string text = comparison_page(patterns, "p.json", plan, "fast.plan.json");
  EXPECT_NE(between(text, "<h1>", "</h1>").find("the plan keeps 44, and of 2 clusters none."),
            std::string::npos);
  EXPECT_EQ(count(text, "<li class=\"gone\">"), 2u);
  EXPECT_NE(text.find("; it goes"), std::string::npos);
  EXPECT_NE(text.find("<h3>3 alike, 3 stay</h3>"), std::string::npos);
  Json result = optimize_document();
  result["plan"] = plan;
  EXPECT_EQ(count(comparison_page(patterns, "p.json", result, "fast.json"), "<li class=\"gone\">"), 2u);
  plan["model"]["sha256"] = std::string(64, 'c');
  try {
    static_cast<void>(comparison_page(patterns, "p.json", plan, "fast.plan.json"));
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::plan_mismatch);
  }
  plan["model"]["sha256"] = std::string(64, 'b'), plan["groups"][0]["kept"].push_back(34);
  EXPECT_THROW(comparison_page(patterns, "p.json", plan, "fast.plan.json"), Error) << "there is no unit 34";
}

TEST(Page, TwoThousandLayersStaySmall) {
  EXPECT_LT(page(analysis_document(60), "run.json").size(), 1u << 20) << "a usual model";
  EXPECT_EQ(count(page(analysis_document(2000), "run.json"), "<tr data-layer="), 6000u)
      << "its layers, the same beside the base, and their groups";
}

}  // namespace
}  // namespace tailor::report

// Described devices as users meet them: tailor devices, analyze -d, optimize -d.
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

namespace tailor::testing {
namespace {

std::string write_free(const std::filesystem::path& folder, int width) {
  onnx::write(with_free_batch(small_model(width)), folder / "free.onnx");
  return (folder / "free.onnx").string();
}

void expect_valid(const char* schema, const Json& json) {
  for (const std::string& line : violations(document(run({"schema", schema})), json)) ADD_FAILURE() << line;
}

TEST(DevicesVerb, ListsAndShows) {
  const Finished list = run({"devices", "list"});
  ASSERT_EQ(list.exit, 0) << list.err;
  for (const char* word : {"a100", "mi300x", "SMs", "GB/s", "f32, 5 %"})
    EXPECT_NE(list.out.find(word), std::string::npos) << word;
  const Json json = document(run({"devices", "list", "--json"}));
  expect_valid("devices", json);
  EXPECT_EQ(json["devices"].size(), 15u);
  const Finished show = run({"devices", "show", "t4"});
  EXPECT_NE(show.out.find("# [D]"), std::string::npos) << "the description with its sources";
  EXPECT_EQ(document(run({"devices", "show", "t4", "--json"}))["devices"][0]["multiprocessors"], 40);
  const Finished unknown = run({"devices", "show", "a10"});
  EXPECT_EQ(unknown.exit, 2);
  EXPECT_NE(unknown.err.find("E2108"), std::string::npos) << unknown.err;
}

TEST(DevicesVerb, ANewOneCanBeUsed) {
  TemporaryFolder folder;
  const std::string toml = (folder.path() / "mine.toml").string();
  const Finished made =
      run({"devices", "new", "mine", "--like", "a100", "--multiprocessors", "54", "-o", toml});
  ASSERT_EQ(made.exit, 0) << made.err;
  const std::string model = write_small(folder.path(), "small.onnx", 18).string();
  const Json half = document(run({"analyze", "-d", toml, model, "--json"})),
             whole = document(run({"analyze", "-d", "a100", model, "--json"}));
  EXPECT_EQ(half["device"]["name"], "mine");
  EXPECT_TRUE(half["median_error"].is_null()) << "a fit of another device is none of this one";
  EXPECT_FALSE(whole["median_error"].is_null());
  EXPECT_NE(half["total_us"], whole["total_us"]);
  EXPECT_EQ(run({"devices", "new", "Mine!", "--like", "a100"}).exit, 2);
}

TEST(AnalyzeDescribed, DocumentAndTable) {
  TemporaryFolder folder;
  const std::string model = write_free(folder.path(), 18);
  const Json json = document(run({"analyze", model, "-d", "v100", "--precision", "f16", "--shape",
                                  "x:64x3x32x32", "--layer", "second", "--over", "ic", "--json"}));
  expect_valid("device-analysis", json);
  EXPECT_EQ(json["layers"].size(), 3u);
  EXPECT_EQ(json["how"], "modelled");
  EXPECT_EQ(json["picture"]["over"], "ic");
  const Finished text = run({"analyze", model, "-d", "v100", "--top", "1", "--layer", "second"});
  ASSERT_EQ(text.exit, 0) << text.err;
  for (const char* word : {"MODELLED", "2 more layers: --all", "verdicts", "lever", "modelled time over oc"})
    EXPECT_NE(text.out.find(word), std::string::npos) << word << '\n' << text.out;
}

// One image is too little for any of these layers to fill the device, so wider ones cost next to nothing.
TEST(AnalyzeDescribed, ListsFreeChannels) {
  TemporaryFolder folder;
  const std::string model = write_small(folder.path(), "small.onnx", 18).string();
  const Json json = document(run({"analyze", model, "-d", "h200", "--free", "--json"}));
  expect_valid("device-analysis", json);
  EXPECT_EQ(json["free"]["how"], "modelled");
  ASSERT_FALSE(json["free"]["groups"].empty()) << json["free"];
  for (const Json& g : json["free"]["groups"]) {
    EXPECT_LE(g["free_us"].get<double>(), 1.0101 * g["us"].get<double>()) << g;
    EXPECT_LE(g["together"].get<int>(), g["free_to"].get<int>()) << g;
  }
  const Finished text = run({"analyze", model, "-d", "h200", "--free"});
  for (const char* word : {"free channels", "with the others", "modelled"})
    EXPECT_NE(text.out.find(word), std::string::npos) << word << "\n" << text.out;
}

TEST(AnalyzeDescribed, OptionsOfTheOtherHalfAreRefused) {
  TemporaryFolder folder;
  const std::string model = write_small(folder.path(), "small.onnx", 18).string();
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{{"--precision", "f16"},
                                             {"--over", "mb"},
                                             {"-d", "t4", "--fresh"},
                                             {"-d", "t4", "--threads", "2"},
                                             {"-d", "cuda", "--threads", "2"},
                                             {"--free"},
                                             {"-d", "t4", "--over", "mb"}}) {
    std::vector<std::string> arguments = {"analyze", model};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished f = run(arguments);
    EXPECT_EQ(f.exit, 2) << more.front();
    EXPECT_NE(f.err.find("error[E2000]"), std::string::npos) << f.err;
  }
  EXPECT_NE(run({"analyze", model, "-d", "t4", "--precision", "bf16"}).err.find("E2002"), std::string::npos);
}

TEST(AnalyzeDescribed, AcceleratorsAreAnotherVerbs) {
  TemporaryFolder folder;
  const Finished f = run({"analyze", write_free(folder.path(), 34), "-d", "eyeriss"});
  EXPECT_EQ(f.exit, 2);
  EXPECT_NE(f.err.find("platform predict"), std::string::npos) << f.err;
}

TEST(OptimizeDescribed, OneModelForTwoDevices) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  const std::string model = write_free(folder.path(), 66);
  const std::string out = (folder.path() / "out.onnx").string();
  std::vector<std::string> arguments = {
      "optimize",  model,          "-o",           out,       "-d",
      "t4",        "-d",           "a100",         "--calib", write_cifar(folder.path(), 64).string(),
      "--latency", "0.9x",         "--rounds",     "1",       "--fit",
      "32",        "--judge",      "16",           "--refit", "32",
      "--shape",   "x:64x3x32x32", "--best-effort"};
  arguments.insert(arguments.end(), {"--free", "--json"});
  const Finished f = run(arguments, {.environment = {{"TAILOR_CACHE", folder.path().string()}}});
  ASSERT_TRUE(f.exit == 0 || f.exit == 4) << f.err;
  const Json json = document(f);
  expect_valid("optimize", json);
  ASSERT_EQ(json["devices"].size(), 2u);
  double mean = 0;
  for (const Json& d : json["devices"]) {
    EXPECT_EQ(d["how"], "modelled");
    mean += d["ratio"].get<double>() / 2;
    ASSERT_TRUE(d["regret"].is_number()) << d;
    EXPECT_GE(d["regret"].get<double>(), 0) << d;
  }
  EXPECT_NEAR(mean, json["proof"]["speed"]["models"][1]["to_first"]["ratio"].get<double>(), 1e-6);
  EXPECT_EQ(json["plan"]["latency"]["how"], "modelled");
  EXPECT_EQ(json["free"]["how"], "modelled");
  EXPECT_EQ(json["free"]["asked"].get<int>() + json["free"]["stuck"].get<int>(), 2) << json["free"];
  EXPECT_EQ(f.exit, mean <= 0.9 ? 0 : 4);
  EXPECT_TRUE(std::filesystem::exists(out));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "profile.jsonl")) << "nothing was measured";
}

// An accelerator's stairs are those of its array: what the layers cost afterwards is what platform predict says.
TEST(OptimizeDescribed, WidthsFitAnAccelerator) {
  TAILOR_NEEDS_RUNTIME();
  TemporaryFolder folder;
  const std::string model = write_free(folder.path(), 34);
  const std::string out = (folder.path() / "out.onnx").string();
  const Finished f = run({"optimize",
                          model,
                          "-o",
                          out,
                          "-d",
                          "eyeriss",
                          "--calib",
                          write_cifar(folder.path(), 64).string(),
                          "--latency",
                          "0.9x",
                          "--rounds",
                          "1",
                          "--fit",
                          "32",
                          "--judge",
                          "16",
                          "--refit",
                          "32",
                          "--best-effort",
                          "--json"},
                         {.environment = {{"TAILOR_CACHE", folder.path().string()}}});
  ASSERT_TRUE(f.exit == 0 || f.exit == 4) << f.err;
  const Json json = document(f);
  expect_valid("optimize", json);
  ASSERT_EQ(json["devices"].size(), 1u);
  EXPECT_EQ(json["devices"][0]["device"], "eyeriss");
  const Json predicted = document(run({"platform", "predict", "eyeriss", out, "--json"}));
  EXPECT_NEAR(json["devices"][0]["after_us"].get<double>(), predicted["us"].get<double>(), 1e-6);
  EXPECT_EQ(json["proof"]["speed"]["runtime"], "loop nests");
}

TEST(OptimizeDescribed, MisspeltAcceleratorsAreNamed) {
  const Finished f =
      run({"optimize", "x.onnx", "-o", "y.onnx", "--calib", "z", "-d", "eyeris", "--latency", "0.5x"});
  EXPECT_EQ(f.exit, 2) << f.err;
  EXPECT_NE(f.err.find("did you mean 'eyeriss'?"), std::string::npos) << f.err;
}

TEST(OptimizeDescribed, KindsAreNotMixed) {
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{{"-d", "cpu", "-d", "t4", "--latency", "0.5x"},
                                             {"-d", "t4", "-d", "a100", "--latency", "5ms"},
                                             {"--precision", "f16", "--latency", "0.5x"},
                                             {"-d", "t4", "--fresh", "--latency", "0.5x"},
                                             {"-d", "eyeriss", "--precision", "f16", "--latency", "0.5x"},
                                             {"-d", "t4", "--time", "9s", "--latency", "0.5x"}}) {
    std::vector<std::string> arguments = {"optimize", "x.onnx", "-o", "y.onnx", "--calib", "z"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Finished f = run(arguments);
    EXPECT_EQ(f.exit, 2);
    EXPECT_NE(f.err.find("error[E2000]"), std::string::npos) << f.err;
  }
}

}  // namespace
}  // namespace tailor::testing

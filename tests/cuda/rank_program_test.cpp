// tailor tune rank as its users start it, with a compiler that is a script.
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/cuda/scripted_runner.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::testing {
namespace {

using Words = std::vector<std::string>;
constexpr const char* kLayer = "gemm_m4096_k1024_n1000_f16+bias";

Words rank(const Words& more) {
  Words words = {"tune", "rank", "--runner", scripted_compiler()};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST(TuneRank, PrintsWhatItsSchemaSays) {
  const Json json = document(run(rank({kLayer, "-d", "h200", "--variants", "40", "--top", "40", "--json"})));
  for (const std::string& line : violations(document(run({"schema", "tune-rank"})), json))
    ADD_FAILURE() << line;
  EXPECT_EQ(json["how"], "modelled");
  EXPECT_EQ(json["architecture"], "sm_90a");
  EXPECT_EQ(json["multiprocessors"], 132);
  const Json& op = json["operators"][0];
  EXPECT_EQ(op["compiled"], 40);
  EXPECT_GT(op["configurations"], 10000);
  EXPECT_NEAR(op["compile_s"].get<double>(),
              0.25 * (40 - op["failed"].get<int>()) + 0.1 * op["failed"].get<int>(), 1e-9);
  EXPECT_GT(op["failed"], 0) << "tiles of 256 rows";
  // Best first; what spills behind what does not, what did not compile last.
  auto standing = [](const Json& v) { return v["outcome"] != "ok" ? 2 : v["spill_stores"] > 0 ? 1 : 0; };
  const Json& variants = op["variants"];
  ASSERT_EQ(variants.size(), 40u);
  EXPECT_EQ(variants[0]["relative"], 1.0);
  for (std::size_t i = 1; i < variants.size(); ++i) {
    EXPECT_LE(standing(variants[i - 1]), standing(variants[i])) << i;
    if (standing(variants[i]) > 0) continue;
    EXPECT_LE(variants[i - 1]["us"], variants[i]["us"]) << i;
  }
  EXPECT_TRUE(variants.back()["us"].is_null());
  EXPECT_EQ(variants.back()["message"], "too large");
}

TEST(TuneRank, SaysThatNothingWasMeasured) {
  const Finished f = run(rank({kLayer, "-d", "a100", "--variants", "5", "--sms", "54"}));
  EXPECT_EQ(f.exit, 0) << f.err;
  EXPECT_NE(f.out.find("not measured on hardware"), std::string::npos) << f.out;
  EXPECT_NE(f.out.find("54 of 108 multiprocessors"), std::string::npos) << f.out;
  EXPECT_NE(f.out.find("5 of "), std::string::npos) << f.out;
}

TEST(TuneRank, LayersOfAModelAreRankedInF16) {
  TemporaryFolder folder;
  const std::string model = write_small(folder.path(), "small.onnx", 16).string();
  const Json json = document(
      run(rank({model, "-d", "h200", "--variants", "2", "--most", "2", "--shape", "x:1x3x32x32", "--json"})));
  for (const std::string& line : violations(document(run({"schema", "tune-rank"})), json))
    ADD_FAILURE() << line;
  EXPECT_EQ(json["retyped"], true);
  EXPECT_EQ(json["operators"].size(), 2u);
  EXPECT_NE(json["operators"][0]["op"].get<std::string>().find("_f16"), std::string::npos);
  int left_out = 0;
  for (const Json& reason : json["left_out"]) left_out += reason["layers"].get<int>();
  EXPECT_GT(left_out, 0);
}

TEST(TuneRank, WhatMakesNoSenseIsSaid) {
  const std::string grouped = "conv_mb1_g8_ic8ih8iw8_oc8oh8ow8_kh3kw3_sh1sw1_ph1pw1_f16";
  for (const auto& [more, exit, said] : std::vector<std::tuple<Words, int, std::string>>{
           {{kLayer}, 2, "--device"},
           {{kLayer, "-d", "h20"}, 2, "E2108"},
           {{kLayer, "-d", "v100"}, 2, "E2002"},
           {{kLayer, "-d", "mi300x"}, 2, "E2002"},
           {{kLayer, "-d", "b200"}, 6, "E6003"},
           {{kLayer, "-d", "h200", "--sms", "133"}, 2, "E2002"},
           {{kLayer, "-d", "h200", "--sms", "-1"}, 2, "E2002"},
           {{kLayer, "-d", "h200", "--jobs", "33"}, 2, "E2002"},
           {{kLayer, "-d", "h200", "--variants", "-1"}, 2, "E2002"},
           {{kLayer, "-d", "h200", "--top", "0"}, 2, "E2002"},
           {{"gemm_m8_k8_n8_f32", "-d", "h200"}, 3, "not f16"},
           {{"gemm_m8_k8_n8_i8", "-d", "h200"}, 3, "E3205"},
           {{grouped, "-d", "h200"}, 3, "grouped convolution"},
           {{"nonsense", "-d", "h200"}, 2, "E2002"}}) {
    const Finished f = run(rank(more));
    EXPECT_EQ(f.exit, exit) << said << ": " << f.err;
    EXPECT_NE(f.err.find(said), std::string::npos) << said << ": " << f.err;
    EXPECT_EQ(f.out, "");
  }
}

TEST(TuneRank, WithoutNvrtcItSaysWhatToDo) {
  TemporaryFolder folder;
  write_file(folder.path() / "libnvrtc.so.13", "no library");
  const Finished f = run({"tune", "rank", kLayer, "-d", "h200"},
                         {.environment = {{"TAILOR_CUDA_LIBRARIES", folder.path().string()}}});
  EXPECT_EQ(f.exit, 6) << f.err;
  EXPECT_NE(f.err.find("E6001"), std::string::npos) << f.err;
  EXPECT_NE(f.err.find("libnvrtc.so.13"), std::string::npos) << f.err;
  EXPECT_NE(f.err.find("\n  help: "), std::string::npos) << f.err;
}

TEST(TuneRank, ACompilerThatRefusesEverythingIsAnError) {
  const std::string script =
      R"(exec sed -u -E 's%.*"op":"compiler".*"id":([0-9]+).*%{"id":\1,"ok":true,"version":"13.0","library":"l","architectures":[90]}%;t;)"
      R"(s%.*"id":([0-9]+).*%{"id":\1,"ok":true,"outcome":"compile","seconds":0.1,"message":"a bad day"}%')";
  const Finished f =
      run({"tune", "rank", "--runner", script, kLayer, "-d", "h200", "--variants", "3", "--json"});
  EXPECT_EQ(f.exit, 6) << f.err;
  EXPECT_NE(f.err.find("none of 3 variants compiled, the first one: compile: a bad day"), std::string::npos)
      << f.err;
}

TEST(TuneRank, DoctorSaysWhatCompiles) {
  const Json json = document(run({"doctor", "--noise-test", "0s", "--json"}));
  bool told = false;
  for (const Json& finding : json["findings"])
    if (finding["what"] == "nvrtc") {
      told = true;
      EXPECT_TRUE(finding["state"] == "ok" || !finding["fix"].get<std::string>().empty());
    }
  EXPECT_TRUE(told);
}

TEST(TuneRank, CtrlCEndsIt) {
  const Finished f =
      run({"tune", "rank", "--runner", "exec sleep 60", kLayer, "-d", "h200"}, {.interrupt_after_s = 0.5});
  EXPECT_EQ(f.exit, 130) << f.err;
}

}  // namespace
}  // namespace tailor::testing

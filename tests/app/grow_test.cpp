// tailor grow on made models and on the demonstration's.
#include "tailor/onnx/onnx.h"
#include "tests/app/models.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

namespace tailor::testing {
namespace {

const std::string kDemo = std::string(TAILOR_SOURCE_DIR) + "/demo/shapes.onnx";

class Grow : public ::testing::Test {
 protected:
  std::vector<std::string> words(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {
        "grow", kDemo, "-o", out(), "--profile", folder.path() / "profile.jsonl", "--time", "0.2s"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::string out() const { return folder.path() / "wide.onnx"; }
  TemporaryFolder folder;
};

TEST_F(Grow, TheDemonstrationComputesTheSameWithMoreChannels) {
  TAILOR_NEEDS_RUNTIME();
  Finished finished = run(words({"--latency", "8x", "--widths", "2", "--json"}));
  ASSERT_EQ(finished.exit, 0) << finished.err;
  const Json json = document(finished);
  for (const std::string& line : violations(document(run({"schema", "grow"})), json)) ADD_FAILURE() << line;
  ASSERT_FALSE(json["groups"].empty());
  for (const Json& group : json["groups"]) {
    EXPECT_GT(group["to"], group["from"]);
    EXPECT_LE(group["to"], 2 * group["from"].get<int>());
  }
  EXPECT_GT(json["macs"]["after"], json["macs"]["before"]);
  EXPECT_GT(json["weights"]["after"], json["weights"]["before"]);
  EXPECT_LT(json["max_difference"], 1e-3);
  EXPECT_EQ(json["written"], out());
  EXPECT_NO_THROW(onnx::read(out()));
}

TEST_F(Grow, SaysWhatIsWrong) {
  auto expect = [&](const std::vector<std::string>& more, int exit, const std::string& code,
                    const std::string& text) {
    Finished finished = run(words(more));
    EXPECT_EQ(finished.exit, exit) << finished.err;
    EXPECT_NE(finished.err.find("error[" + code + "]"), std::string::npos) << finished.err;
    EXPECT_NE(finished.err.find(text), std::string::npos) << finished.err;
    EXPECT_FALSE(std::filesystem::exists(out()));
  };
  const Finished nowhere = run({"grow", kDemo, "-o", folder.path() / "nowhere" / "wide.onnx", "--profile",
                                folder.path() / "profile.jsonl"});
  EXPECT_EQ(nowhere.exit, 8) << nowhere.err;
  EXPECT_NE(nowhere.err.find("nowhere"), std::string::npos) << nowhere.err;
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "profile.jsonl")) << "said before anything is timed";
  expect({"--latency", "5ms"}, 2, "E2002", "--latency");
  expect({"--latency", "0.1x"}, 2, "E2002", "--latency");
  expect({"--most", "1x"}, 2, "E2002", "--most");
  expect({"--widths", "1"}, 2, "E2002", "--widths");
}

}  // namespace
}  // namespace tailor::testing

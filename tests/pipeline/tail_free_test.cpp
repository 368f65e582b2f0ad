// Given widths on a made staircase: the answer is no slower, no worse by the table, and what is written of them is read.
#include "tailor/pipeline/tail_free.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/pipeline/width_plan.h"
#include "tests/pipeline/stairs.h"

#include <nlohmann/json.hpp>

#include <optional>

namespace tailor::pipeline {
namespace {

using testing::Given;

TEST(TailFree, WidthsNearAGivenOne) {
  EXPECT_EQ(widths_near(11, 16), (std::vector<int>{8, 11, 12, 16}));
  EXPECT_EQ(widths_near(45, 64), (std::vector<int>{32, 40, 44, 45, 48, 64}));
  EXPECT_EQ(widths_near(16, 64), (std::vector<int>{16, 64}));
  EXPECT_EQ(widths_near(3, 7), (std::vector<int>{3, 4, 7}));
  EXPECT_EQ(widths_near(5, 5), (std::vector<int>{4, 5}));
}

TEST(TailFree, IsFasterThanWhatWasGivenAndLosesNoMore) {
  TAILOR_NEEDS_RUNNER();
  Given g;
  const GivenWidths widths = {{g.group("r"), 17}, {g.group("s"), 33}};
  const TailFree result =
      make_tail_free(*testing::runner(), g.subject, g.calibration, g.book, widths, g.options);
  EXPECT_LE(result.found.ratio, result.given_ratio);
  EXPECT_EQ(result.better, result.found.ratio < result.given_ratio);
  EXPECT_TRUE(result.certificate.optimal);
  EXPECT_EQ(result.candidates, 4 + 4) << "16 17 20 24, and 32 33 36 40";
}

// At the edge of its step a width has no faster neighbour that loses no more.
TEST(TailFree, NothingToMoveMeansTheGivenWidths) {
  TAILOR_NEEDS_RUNNER();
  Given g;
  const GivenWidths widths = {{g.group("r"), 16}};
  const TailFree result =
      make_tail_free(*testing::runner(), g.subject, g.calibration, g.book, widths, g.options);
  EXPECT_FALSE(result.better);
  EXPECT_EQ(result.moved_down + result.moved_up, 0);
  EXPECT_EQ(width_after(g.subject, result.found.surgery, g.group("r")), 16);
}

std::optional<Code> code_of(const Given& g, const std::string& text) {
  TemporaryFolder folder;
  write_file(folder.path() / "widths.json", text);
  try {
    read_widths(folder.path() / "widths.json", g.subject);
  } catch (const Error& error) {
    return error.code();
  }
  return std::nullopt;
}

TEST(TailFree, ReadsThePlansOfTailorByTheNamesOfTheirGroups) {
  Given g;
  WidthPlan plan = describe(g.subject, {.kept = {{g.group("r"), {0, 1, 2}}}});
  plan.groups[0].group = 77;  // numbered in another form of the network
  TemporaryFolder folder;
  write_file(folder.path() / "plan.json", to_json(plan).dump());
  EXPECT_EQ(read_widths(folder.path() / "plan.json", g.subject), (GivenWidths{{g.group("r"), 3}}));
}

TEST(TailFree, ReadsWidthsByAnyName) {
  Given g;
  TemporaryFolder folder;
  write_file(folder.path() / "widths.json", R"({"widths": {"a": 17, "n2": 33}})");
  EXPECT_EQ(read_widths(folder.path() / "widths.json", g.subject),
            (GivenWidths{{g.group("r"), 17}, {g.group("s"), 33}}));
  EXPECT_EQ(code_of(g, R"({"widths": {"a": 24}})"), std::nullopt) << "its own width";
  EXPECT_EQ(code_of(g, R"({"widths": {"a": 25}})"), Code::bad_cut);
  EXPECT_EQ(code_of(g, R"({"widths": {"a": 0}})"), Code::bad_cut);
  EXPECT_EQ(code_of(g, R"({"widths": {"a": 3, "n0": 4}})"), Code::bad_cut) << "two widths for one group";
  EXPECT_EQ(code_of(g, R"({"widths": {"y": 3}})"), Code::bad_cut) << "frozen";
  EXPECT_EQ(code_of(g, R"({"widths": {"nowhere": 3}})"), Code::bad_cut);
  EXPECT_EQ(code_of(g, R"({"widths": {"a": 1.5}})"), Code::bad_json);
  EXPECT_EQ(code_of(g, R"({"widths": []})"), Code::bad_json);
  EXPECT_EQ(code_of(g, "[]"), Code::bad_json);
  EXPECT_EQ(code_of(g, "{"), Code::bad_json);
}

}  // namespace
}  // namespace tailor::pipeline

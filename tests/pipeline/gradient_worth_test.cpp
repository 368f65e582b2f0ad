// Worths from a file: which units go first, in the present network's positions; files that cannot be used.
#include "tailor/pipeline/gradient_worth.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/pipeline/criterion.h"
#include "tests/rewrite/graphs.h"

#include <gtest/gtest.h>

namespace tailor::pipeline {
namespace {

// r is read by a Conv and, flattened (4 positions a channel), by a Gemm.
Subject two_readers() {
  return make_subject(testing::graph_of({"Conv x 6x4x1x1 6 -> a", "Relu a -> r", "Conv r 5x6x1x1 -> c",
                                         "Flatten r -> f", "Gemm f 24x3 3 -> y"},
                                        {1, 4, 2, 2}),
                      {});
}

int group_of(const Subject& subject) {
  return subject.channels.atoms[static_cast<std::size_t>(subject.channels.find("r", 1)->front())].group;
}

GradientWorth worth_of_both() {
  GradientWorth worth;
  worth.taylor["r"] = {5, 4, 3, 2, 1, 6};
  worth.taylor["f"] = std::vector<double>(24, 0.25);
  worth.taylor["f"][4 * 4 + 1] = 5;  // channel 4
  worth.fisher["r"] = {1, 2, 3, 4, 5, 6};
  return worth;
}

TEST(GradientWorth, OfAllReadersIsAddedUp) {
  const Subject s = two_readers();
  const GradientWorth worth = worth_of_both();
  EXPECT_EQ(gradient_worth(s, group_of(s), worth.taylor, {}), (std::vector<double>{6, 5, 4, 3, 6.75, 7}));
  EXPECT_EQ(removal_order(s, group_of(s), Criterion::taylor, {nullptr, nullptr, 1e-4, &worth}),
            (std::vector<int>{3, 2, 1, 0, 4, 5}));
  EXPECT_EQ(removal_order(s, group_of(s), Criterion::fisher, {nullptr, nullptr, 1e-4, &worth}),
            (std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST(GradientWorth, PositionsAreThoseOfTheOriginal) {
  const Subject original = two_readers();
  Surgery surgery;
  surgery.kept[group_of(original)] = {1, 3, 4};
  const Subject present = make_subject(apply(original, surgery), {});
  const GradientWorth worth = worth_of_both();
  EXPECT_EQ(gradient_worth(present, group_of(present), worth.taylor, kept_values(original, surgery)),
            (std::vector<double>{5, 3, 6.75}));
}

TEST(GradientWorth, UnknownValuesAreL1AndTooShortOnesAnError) {
  const Subject s = two_readers();
  GradientWorth worth;
  EXPECT_EQ(removal_order(s, group_of(s), Criterion::taylor, {nullptr, nullptr, 1e-4, &worth}),
            removal_order(s, group_of(s), Criterion::l1, {}));
  worth.taylor["r"] = {1, 2, 3};
  EXPECT_THROW(gradient_worth(s, group_of(s), worth.taylor, {}), Error);
}

Code code_of(const std::string& text) {
  TemporaryFolder folder;
  const std::filesystem::path path = folder.fresh(".json");
  write_file(path, text);
  try {
    read_gradient_worth(path, "aa");
  } catch (const Error& error) {
    return error.code();
  }
  return Code::bug;
}

std::string document(const std::string& sha256, const std::string& taylor) {
  return R"({"schema":"tailor/worth/1","model":"m.onnx","sha256":")" + sha256 +
         R"(","values":[{"value":"r","taylor":)" + taylor + R"(,"fisher":[0.5]}]})";
}

TEST(GradientWorth, FilesAreChecked) {
  TemporaryFolder folder;
  const std::filesystem::path path = folder.fresh(".json");
  write_file(path, document("aa", "[2]"));
  const GradientWorth read = read_gradient_worth(path, "aa");
  EXPECT_EQ(read.taylor.at("r"), (std::vector<double>{2}));
  EXPECT_EQ(read.fisher.at("r"), (std::vector<double>{0.5}));
  EXPECT_EQ(code_of(document("bb", "[2]")), Code::dataset_mismatch);
  for (const char* bad : {"[-1]", "[null]", "[\"1\"]", "7", "[1e999]"})
    EXPECT_EQ(code_of(document("aa", bad)), Code::bad_json) << bad;
  EXPECT_EQ(code_of("{"), Code::bad_json);
  EXPECT_EQ(code_of(R"({"schema":"tailor/plan/1"})"), Code::bad_json);
  EXPECT_EQ(code_of(R"({"schema":"tailor/worth/1","model":"m","sha256":"aa","values":{}})"), Code::bad_json);
}

}  // namespace
}  // namespace tailor::pipeline

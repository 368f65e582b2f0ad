#include "tailor/base/error.h"

#include <gtest/gtest.h>

namespace tailor {
namespace {

TEST(Error, FirstDigitIsTheExitCode) {
  EXPECT_EQ(exit_code(Code::bug), 1);
  EXPECT_EQ(exit_code(Code::plan_mismatch), 2);
  EXPECT_EQ(exit_code(Code::bad_cut), 3);
  EXPECT_EQ(exit_code(Code::write_failed), 8);
  EXPECT_EQ(exit_code(Code::interrupted), 130);
}

TEST(Error, CodesAreFoundBySpelling) {
  EXPECT_EQ(spelling(Code::not_onnx), "E3001");
  ASSERT_NE(find_code("E3001"), nullptr);
  EXPECT_EQ(find_code("e3001")->code, Code::not_onnx);
  EXPECT_EQ(find_code("3001")->code, Code::not_onnx);
  EXPECT_EQ(find_code("E9999"), nullptr);
  EXPECT_EQ(find_code("E3001x"), nullptr);
  EXPECT_EQ(find_code(""), nullptr);
}

TEST(Error, ExplainsTheCodeAskedFor) { EXPECT_EQ(explain(Code::interrupted).code, Code::interrupted); }

TEST(Error, PlaceIsAddedOnce) {
  Error bare(Code::bad_shape, "m", "", "h");
  EXPECT_EQ(bare.at("a").place(), "a");
  EXPECT_EQ(bare.at("a").at("b").place(), "a");
  EXPECT_EQ(bare.at("a").help(), "h");
}

TEST(Error, CheckThrowsABug) {
  try {
    TAILOR_CHECK(1 + 1 == 3);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bug);
    EXPECT_NE(std::string(error.what()).find("1 + 1 == 3"), std::string::npos);
  }
}

}  // namespace
}  // namespace tailor

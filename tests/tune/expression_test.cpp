// Conditions by their values, and what is refused.
#include "tailor/tune/expression.h"

#include "tests/tune/spaces.h"

#include <limits>

namespace tailor::tune {
namespace {

using testing::code_of;

bool holds(const std::string& text, const std::vector<std::pair<std::string, Value>>& values = {}) {
  std::vector<std::string> names;
  std::vector<const Value*> pointers;
  for (const auto& [name, value] : values) names.push_back(name), pointers.push_back(&value);
  return Expression(text, names).holds(pointers);
}

TEST(Expression, ArithmeticIsPythons) {
  for (const char* text :
       {"1 + 2 * 3 == 7", "(1 + 2) * 3 == 9", "7 // 2 == 3", "-7 // 2 == -4", "-7 % 3 == 2", "7 % -3 == -2",
        "7 / 2 == 3.5", "2 ** 3 ** 2 == 512", "-2 ** 2 == -4", "2 ** -1 == 0.5", "1e3 == 1000",
        "min(3, 2, 4) == 2", "max(3, 2) == 3", "abs(-4) == 4", "10 - 3 - 2 == 5", "9007199254740993 % 2 == 1",
        "-(-3) == 3"})
    EXPECT_TRUE(holds(text)) << text;
}

TEST(Expression, LogicBindsAsInPython) {
  for (const char* text : {"1 < 2 < 3", "not 1 > 2", "True and not False", "0 or 1", "1 == 1 or 1 / 0 == 1",
                           "1 < 2 && !(2 < 1) || 0", "'nhwc' == \"nhwc\"", "'a' != 1", "not not 1"})
    EXPECT_TRUE(holds(text)) << text;
  for (const char* text : {"3 > 2 > 2", "not 1", "1 and 0", "False or False", "'a' == 'b'", "0"})
    EXPECT_FALSE(holds(text)) << text;
}

TEST(Expression, NamesAreLookedUp) {
  EXPECT_TRUE(holds("MWG % (MDIMC * VWM) == 0", {{"MWG", 64}, {"MDIMC", 8}, {"VWM", 4}}));
  EXPECT_FALSE(holds("MWG % (MDIMC * VWM) == 0", {{"MWG", 16}, {"MDIMC", 8}, {"VWM", 4}}));
  EXPECT_TRUE(holds("layout == 'nhwc' and 32 <= x * y <= 1024",
                    {{"layout", std::string("nhwc")}, {"x", 16}, {"y", 8}}));
  EXPECT_EQ(Expression("b + b > a", {"a", "b", "c"}).reads(), (std::vector<int>{0, 1}));
}

TEST(Expression, WhatHasNoAnswerIsFalse) {
  for (const char* text :
       {"1 / 0 == 1", "not 1 % 0", "1 // 0 < 1", "'a' + 1 == 1", "'a' < 'b'", "2 ** 5000 > 1"})
    EXPECT_FALSE(holds(text)) << text;
}

TEST(Expression, IntegersThatDoNotFitBecomeReal) {
  EXPECT_TRUE(holds("4611686018427387904 * 4 > 1"));
  EXPECT_TRUE(holds("x - 1 < 0", {{"x", std::numeric_limits<std::int64_t>::min()}}));
  EXPECT_TRUE(holds("x // -1 > 0", {{"x", std::numeric_limits<std::int64_t>::min()}}));
}

TEST(Expression, WhatIsNotUnderstoodIsRefused) {
  for (const std::string& text :
       std::vector<std::string>{"", "1 +", "(1", "1)", "a b", "x == 1", "__import__('os')", "f(1)",
                                "1 ? 2 : 3", "'open", "1 = 1", "x.y", "lambda: 1", "1..2 == 1", "min()",
                                "1 < ", "@", std::string(200, '('), std::string(5000, '1')})
    EXPECT_EQ(code_of([&] { Expression(text, {"a", "b"}); }), Code::bad_space) << text;
}

TEST(Expression, RandomTextNeverCrashes) {
  Random random(1);
  const std::string letters = "ab01 ()+-*/%<>=!&|'\",.enotrdmix";
  int understood = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (std::size_t n = random.below(14); n > 0; --n) text += letters[random.below(letters.size())];
    try {
      const Value a = std::int64_t{3}, b = 0.5;
      const std::vector<const Value*> values = {&a, &b};
      Expression(text, {"a", "b"}).holds(values);
      ++understood;
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), Code::bad_space) << text;
    }
  }
  EXPECT_GT(understood, 100);
}

}  // namespace
}  // namespace tailor::tune

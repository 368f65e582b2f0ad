#include "tailor/base/text.h"

#include "tailor/base/progress.h"
#include "tailor/base/random.h"
#include "tailor/base/table.h"

#include <gtest/gtest.h>

namespace tailor {
namespace {

TEST(Text, EditDistance) {
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("conv", "cnov"), 1u);  // neighbours swapped
  EXPECT_EQ(edit_distance("same", "same"), 0u);
  Random random(1);
  auto word = [&] {
    std::string text;
    for (std::size_t i = random.below(7); i > 0; --i) text += static_cast<char>('a' + random.below(3));
    return text;
  };
  for (int i = 0; i < 500; ++i) {
    std::string a = word(), b = word();
    EXPECT_EQ(edit_distance(a, b), edit_distance(b, a));
    EXPECT_LE(edit_distance(a, b), std::max(a.size(), b.size()));
    EXPECT_EQ(edit_distance(a, b) == 0, a == b);
  }
}

TEST(Text, DidYouMean) {
  std::vector<std::string> verbs = {"analyze", "optimize", "verify", "inspect"};
  EXPECT_EQ(did_you_mean("analyse", verbs), " (did you mean 'analyze'?)");
  EXPECT_EQ(did_you_mean("opt", verbs), " (did you mean 'optimize'?)");
  EXPECT_EQ(did_you_mean("frobnicate", verbs), "");
  EXPECT_EQ(did_you_mean("", verbs), "");
  EXPECT_EQ(did_you_mean("conv3", {"conv1", "conv2", "fc"}), " (did you mean 'conv1' or 'conv2'?)");
}

TEST(Text, WidthOnATerminal) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("\xc3\xa9"), 1u);          // e with acute accent
  EXPECT_EQ(display_width("e\xcc\x81"), 1u);         // e and a combining accent
  EXPECT_EQ(display_width("\xe5\xb1\x82"), 2u);      // a Chinese character
  EXPECT_EQ(display_width("\xf0\x9f\x98\x80"), 2u);  // an emoji
  EXPECT_EQ(display_width("\xff\xc3"), 2u);          // damaged
}

TEST(Table, AlignsByWidthNotBytes) {
  Table table({{"layer"}, {"us", Align::right}, {""}});
  table.row({"conv1", "9.5"});
  table.row({"\xe5\xb1\x82", "123.0", "x\ny"});
  EXPECT_EQ(table.text(), "layer     us\nconv1    9.5\n\xe5\xb1\x82     123.0  x y\n");
  EXPECT_EQ(Table({{""}}).text(), "");
}

// A clock and a screen of its own.
struct Screen {
  double now = 0;
  std::string text;
  ProgressStyle style(bool terminal) {
    ProgressStyle s;
    s.terminal = terminal;
    s.now_s = [this] { return now; };
    s.write = [this](const std::string& line) { text += line; };
    return s;
  }
};

TEST(Progress, OneLineOnATerminal) {
  Screen screen;
  {
    Progress progress("prune", screen.style(true));
    screen.now = 10;
    progress.update(5, 20, "layer\n1");
    EXPECT_EQ(screen.text, "\r\033[Kprune [#####---------------] 25 % 5/20 layer 1 ETA 00:30");
    progress.update(6, 20);  // too soon
    EXPECT_EQ(screen.text.find("6/20"), std::string::npos);
  }
  EXPECT_TRUE(screen.text.ends_with("\r\033[K"));
}

TEST(Progress, PlainLinesElsewhere) {
  Screen screen;
  Progress progress("tune", screen.style(false));
  for (screen.now = 1; screen.now <= 31; ++screen.now) progress.update(screen.now, 100);
  EXPECT_EQ(screen.text, "tune 15 % 15/100 ETA 01:25\ntune 30 % 30/100 ETA 01:10\n");
}

TEST(Progress, WhatBeginsAnewHasItsOwnPace) {
  Screen screen;
  Progress progress("plan", screen.style(true));
  screen.now = 1000;
  progress.update(50, 50);
  screen.now = 1001;
  progress.update(1, 50);
  screen.now = 1011;
  progress.update(11, 50);
  EXPECT_TRUE(screen.text.ends_with("22 % 11/50 ETA 00:35")) << screen.text;
}

TEST(Progress, LongNamesAreCutToTheWidth) {
  Screen screen;
  auto style = screen.style(true);
  style.width = 60;
  Progress progress("x", style);
  screen.now = 1;
  progress.update(0, 0, std::string(500, 'y'));
  EXPECT_LE(display_width(screen.text), 60u + 4);
}

TEST(Progress, Quiet) {
  Screen screen;
  auto style = screen.style(true);
  style.quiet = true;
  Progress progress("x", style);
  progress.update(1, 2);
  set_quiet(true);
  Progress another("x", screen.style(true));
  another.update(1, 2);
  set_quiet(false);
  EXPECT_EQ(screen.text, "");
}

TEST(Text, LosesItsMiddle) {
  EXPECT_EQ(shortened("/blocks/conv1", 13), "/blocks/conv1");
  EXPECT_EQ(shortened("/blocks/conv1", 12), "/bloc...onv1");
  EXPECT_EQ(shortened("abcdef", 4), "a...");
  EXPECT_EQ(shortened("\u4e16\u754c\u4e16\u754c\u4e16\u754c", 8), "\u4e16...\u754c");
  for (std::size_t width = 4; width < 20; ++width)
    EXPECT_LE(display_width(shortened("a\u4e16b\xff\u754c name that is long", width)), width);
}

TEST(Text, BreaksAtBlanks) {
  EXPECT_EQ(wrapped("one two three", 7, 2), "one two\n  three");
  EXPECT_EQ(wrapped("a  b\nlonger lines follow\n", 12, 0), "a  b\nlonger lines\nfollow\n");
  EXPECT_EQ(wrapped("unbreakable word", 4, 1), "unbreakable\n word");
  EXPECT_EQ(wrapped("", 4, 1), "");
}

TEST(Table, FitsByShorteningNames) {
  Table table({{"layer", Align::left, true}, {"us", Align::right}});
  table.row({"/blocks/blocks.3/conv2/Conv", "32.6"});
  EXPECT_EQ(table.text({}, 26), "layer                   us\n/blocks/b...nv2/Conv  32.6\n");
  EXPECT_EQ(table.text({}, 3), "layer           us\n/bloc...Conv  32.6\n") << "never below 12";
  EXPECT_EQ(table.text(), table.text({}, 100));
}

}  // namespace
}  // namespace tailor

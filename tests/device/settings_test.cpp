// Tables of TOML as other modules read them: values, bounds, and the line of what is wrong.
#include "tailor/device/settings.h"

#include "tailor/base/error.h"

#include <gtest/gtest.h>

#include <functional>

namespace tailor::device {
namespace {

Settings parsed(const char* toml) { return parse_settings(toml, "space.toml", "docs say more"); }

TEST(Settings, GivesWhatIsWritten) {
  Settings s = parsed(
      "name = 'net'\nshare = 0.5\ncount = 3\non = true\nlist = [1, 2]\nnames = ['a', 'b']\nreals = [1, 0.5]\n"
      "[inner]\nx = 1\n[[part]]\ny = 1\n[[part]]\ny = 2\n");
  EXPECT_EQ(s.text("name"), "net");
  EXPECT_EQ(s.number("share", 0, 1), 0.5);
  EXPECT_EQ(s.number("count", 0, 9), 3.0);
  EXPECT_EQ(s.integer("count", 0, 9), 3);
  EXPECT_EQ(s.flag("on"), true);
  EXPECT_EQ(s.integers("list", 1, 2), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(s.texts("names"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(s.numbers("reals", 0, 1), (std::vector<double>{1, 0.5}));
  EXPECT_EQ(s.table("inner")->integer("x", 0, 9), 1);
  ASSERT_EQ(s.tables("part").size(), 2u);
  EXPECT_EQ(s.tables("part")[1].integer("y", 0, 9), 2);
  EXPECT_EQ(s.place("count"), "space.toml:3");
  EXPECT_FALSE(s.text("absent"));
  EXPECT_FALSE(s.table("absent"));
  s.done();
}

void refused(const char* toml, const char* place, const std::function<void(Settings&)>& read) {
  try {
    Settings s = parsed(toml);
    read(s);
    ADD_FAILURE() << toml;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_toml) << toml;
    EXPECT_EQ(error.place(), place) << error.what();
    EXPECT_EQ(error.help(), "docs say more");
  }
}

TEST(Settings, NamesTheLineOfWhatIsWrong) {
  refused("\nx = 'a'\n", "space.toml:2", [](Settings& s) { s.number("x", 0, 1); });
  refused("x = 2\n", "space.toml:1", [](Settings& s) { s.number("x", 0, 1); });
  refused("x = nan\n", "space.toml:1", [](Settings& s) { s.number("x", 0, 1); });
  refused("x = 1.0\n", "space.toml:1", [](Settings& s) { s.integer("x", 0, 1); });
  refused("x = [1,\n 7]\n", "space.toml:2", [](Settings& s) { s.integers("x", 0, 5); });
  refused("x = 1\n", "space.toml:1", [](Settings& s) { s.texts("x"); });
  refused("x = 1\n", "space.toml:1", [](Settings& s) { s.table("x"); });
  refused("x = [1]\n", "space.toml:1", [](Settings& s) { s.tables("x"); });
  refused("x = ''\n", "space.toml:1", [](Settings& s) { s.text("x"); });
  refused("x = 1\n", "space.toml:1", [](Settings& s) { s.flag("x"); });
  refused("\n\nwidht = 1\n", "space.toml:3", [](Settings& s) { s.has("width"), s.done(); });
  refused("x = = 1\n", "space.toml:1", [](Settings&) {});
  refused("x = 1\nx = 2\n", "space.toml:2", [](Settings&) {});
}

}  // namespace
}  // namespace tailor::device

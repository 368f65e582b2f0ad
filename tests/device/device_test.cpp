// Descriptions: what comes with the program, round trips, and everything that can be wrong in a file.
#include "tailor/device/device.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace tailor::device {
namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string t4() { return to_toml(find_device("t4")); }

Error refusal(const std::string& toml) {
  try {
    parse_device(toml, "x.toml");
  } catch (const Error& error) {
    return error;
  }
  return Error(Code::bug, "accepted");
}

TEST(Device, FifteenComeWithTheProgram) {
  std::set<std::string> names;
  for (const Device& device : known_devices()) names.insert(device.name);
  EXPECT_EQ(names, (std::set<std::string>{"p4", "p100", "v100", "t4", "a100", "rtx3090", "orin", "nano", "l4",
                                          "h100", "h200", "b200", "mi100", "mi210", "mi300x"}));
}

// The peak of f32 is lanes x clock x multiprocessors x 2, up to what vendors round and count double.
TEST(Device, FiguresFitTogether) {
  for (const Device& d : known_devices()) {
    const double computed = 2e-6 * d.sm.count * d.sm.lanes * d.clock_mhz, stated = d.peak_tflops.at("f32");
    const double ratio = stated / computed;
    EXPECT_TRUE((ratio > 0.93 && ratio < 1.07) || (d.vendor == "amd" && ratio > 1.8 && ratio < 2.1))
        << d.name << ": " << stated << " stated, " << computed << " computed";
    EXPECT_EQ(d.work.size(), d.error.size()) << d.name;
  }
}

TEST(Device, TextsReadBack) {
  for (const Device& device : known_devices()) EXPECT_EQ(parse_device(to_toml(device), "again"), device);
}

TEST(Device, CapabilityOfNames) {
  EXPECT_EQ(find_device("b200").capability(), (std::pair{10, 0}));
  EXPECT_EQ(find_device("p100").capability(), (std::pair{6, 0}));
  EXPECT_EQ(find_device("mi210").capability(), (std::pair{0, 0}));
}

TEST(Device, ComesFromAFile) {
  TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "mine.toml";
  write_file(path, replaced(t4(), "count = 40", "count = 20"));
  EXPECT_EQ(find_device(path.string()).sm.count, 20);
}

TEST(Device, UnknownNamesAreAnswered) {
  try {
    find_device("a10O");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unknown_device);
    EXPECT_NE(std::string(error.what()).find("a100"), std::string::npos) << error.what();
  }
}

TEST(Device, WhatIsWrongIsNamed) {
  EXPECT_NE(
      std::string(refusal(replaced(t4(), "count = 40", "cuont = 40")).what()).find("'count' is missing"),
      std::string::npos);
  EXPECT_NE(
      std::string(refusal(replaced(t4(), "lanes = 64", "lanes = 64\nlames = 3")).what()).find("did you mean"),
      std::string::npos);
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"count = 40", "count = 0"},
           {"count = 40", "count = -1"},
           {"count = 40", "count = 4.5"},
           {"count = 40", "count = \"40\""},
           {"count = 40", "count = 99999999999999"},
           {"count = 40", "count = "},
           {"gbytes_per_s = 320", "gbytes_per_s = nan"},
           {"gbytes_per_s = 320", "gbytes_per_s = inf"},
           {"name = \"t4\"", "name = \"../t4\""},
           {"vendor = \"nvidia\"", "vendor = \"acme\""},
           {"[memory]", "[memroy]"},
           {"[peak_tflops]", "[peak_tflops]\nf8 = 1"},
           {"tailor/device/1", "tailor/device/2"},
           {"[multiprocessors]", "multiprocessors = 3\n[other]"}}) {
    Error error = refusal(replaced(t4(), from, to));
    EXPECT_EQ(error.code(), Code::bad_toml) << to;
    EXPECT_NE(error.place().find("x.toml"), std::string::npos) << to;
  }
}

TEST(Device, HostileTextsAreRefused) {
  for (const std::string& text :
       {std::string(), std::string("\0\0\0", 3), std::string(2 << 20, '#'), std::string(5000, '['),
        "a = " + std::string(100000, '[') + std::string(100000, ']')})
    EXPECT_EQ(refusal(text).code(), Code::bad_toml) << text.substr(0, 20);
}

// A byte changed, removed or doubled, a line moved: a description or a clear refusal, never anything else.
TEST(Device, MutantsAreReadOrRefused) {
  Random random(17);
  int read = 0, refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string text = t4();
    for (std::size_t edits = 1 + random.below(4); edits > 0; --edits) {
      const std::size_t at = random.below(text.size());
      switch (random.below(4)) {
        case 0:
          text[at] = static_cast<char>(random.below(256));
          break;
        case 1:
          text.erase(at, 1 + random.below(20));
          break;
        case 2:
          text.insert(at, text.substr(random.below(text.size()), random.below(40)));
          break;
        default:
          text.insert(at, random.below(2) ? "9999999999" : "\n[");
      }
      if (text.empty()) text = "x";
    }
    try {
      const Device device = parse_device(text, "mutant");
      EXPECT_EQ(parse_device(to_toml(device), "again"), device) << text;
      ++read;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_toml) << text;
      ++refused;
    }
  }
  EXPECT_GT(read, 10);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace tailor::device

// Platforms out of TOML: the built-in ones, and whatever a file can get wrong.
#include "tailor/device/platform.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/random.h"

#include <gtest/gtest.h>

namespace tailor::device {
namespace {

constexpr const char* kSmall = R"(schema = "tailor/platform/1"
name = "small"
title = "two units"
frequency_mhz = 100
[[unit]]
name = "a"
weights = ["int8", "int4"]
scale = "channel"
power_mw = 2
idle_mw = 0.5
[unit.cost]
model = "depthwise_engine"
channels = 16
setup = 9
row = 9
pixel = 4
[[unit]]
name = "b"
weights = ["ternary"]
scale = "layer"
power_of_two = true
computes = "depthwise"
[unit.cost]
model = "pe_array"
channels = 16
columns = 8
bytes_per_cycle = 4
[[together]]
units = ["b", "a"]
power_mw = 3
[transfer]
cycles = 70
cycles_per_byte = 0.25
)";

std::string with(std::string from, const std::string& to) {
  std::string text = kSmall;
  std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void expect_refused(const std::string& toml, const std::string& words, Code code = Code::bad_toml) {
  try {
    parse_platform(toml, "test.toml");
    FAIL() << "accepted: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    EXPECT_TRUE(error.place().starts_with("test.toml")) << error.place();
  }
}

TEST(Platform, EveryBuiltInOneIsReadUnderItsName) {
  ASSERT_EQ(presets().size(), 6u);
  for (const auto& [name, toml] : presets()) {
    Platform platform = find_platform(std::string(name));
    EXPECT_EQ(platform.name, name);
    EXPECT_FALSE(platform.units.empty());
  }
}

TEST(Platform, AllMembersAreRead) {
  Platform platform = parse_platform(kSmall, "test.toml");
  EXPECT_EQ(platform.name, "small");
  EXPECT_EQ(platform.frequency_mhz, 100);
  ASSERT_EQ(platform.units.size(), 2u);
  const Unit &a = platform.units[0], &b = platform.units[1];
  ASSERT_EQ(a.weights.size(), 2u);
  EXPECT_EQ(a.weights[1], (WeightFormat{"int4", 4, true, false}));
  EXPECT_EQ(b.weights[0], (WeightFormat{"ternary", 2, false, true}));
  EXPECT_EQ(a.computes, Computes::layer);
  EXPECT_EQ(b.computes, Computes::depthwise);
  EXPECT_EQ(a.power_mw, 2);
  EXPECT_EQ(a.idle_mw, 0.5);
  EXPECT_LT(b.power_mw, 0);
  EXPECT_FALSE(platform.knows_power());
  EXPECT_EQ(a.parameters.at("pixel"), 4);
  ASSERT_EQ(platform.together.size(), 1u);
  EXPECT_EQ(platform.together[0].units, (std::vector<int>{0, 1}));
  EXPECT_EQ(platform.transfer.cycles_per_byte, 0.25);
  EXPECT_FALSE(platform.transfer.free());
}

TEST(Platform, BitsOfActivationsMayBeStated) {
  EXPECT_EQ(parse_platform(kSmall, "test.toml").activation_bits, 0);
  const Platform seven =
      parse_platform(with("frequency_mhz = 100", "frequency_mhz = 100\nactivation_bits = 7"), "test.toml");
  EXPECT_EQ(seven.activation_bits, 7);
  EXPECT_EQ(parse_platform(to_toml(seven), "again.toml"), seven);
  EXPECT_EQ(find_platform("diana").activation_bits, 7);
  for (const char* bad : {"1", "9", "7.5", "\"7\""})
    expect_refused(with("frequency_mhz = 100", std::string("frequency_mhz = 100\nactivation_bits = ") + bad),
                   "activation_bits");
}

TEST(Platform, WhatIsWrongIsNamed) {
  expect_refused("schema = \"tailor/platform/2\"", "schema");
  expect_refused("= 3", "");
  expect_refused(with("title = \"two units\"\n", ""), "'title' is missing");
  expect_refused(with("frequency_mhz = 100", "frequency_mhz = 0"), "frequency_mhz");
  expect_refused(with("frequency_mhz = 100", "frequency_mhz = nan"), "frequency_mhz");
  expect_refused(with("frequency_mhz = 100", "frequency_mhz = inf"), "frequency_mhz");
  expect_refused(with("frequency_mhz = 100", "frequency_mhz = \"fast\""), "frequency_mhz");
  expect_refused(with("frequency_mhz", "frequncy_mhz"), "'frequency_mhz' is missing");
  expect_refused(with("idle_mw", "idel_mw"), "did you mean 'idle_mw'");
  expect_refused(with("\"int4\"", "\"int99\""), "int99");
  expect_refused(with("\"int4\"", "\"int8\""), "twice");
  expect_refused(with("scale = \"channel\"", "scale = \"row\""), "scale");
  expect_refused(with("[\"int8\", \"int4\"]", "[]"), "weights");
  expect_refused(with("\"pe_array\"", "\"pe_aray\""), "did you mean 'pe_array'");
  expect_refused(with("columns = 8", "columns = 0"), "columns");
  expect_refused(with("columns = 8", "columns = -1"), "columns");
  expect_refused(with("pixel = 4\n", ""), "'pixel' is missing");
  expect_refused(with("pixel = 4", "pixel = 4\nextra = 1"), "unknown key 'extra'");
  expect_refused(with("name = \"b\"", "name = \"a\""), "two units are called 'a'");
  expect_refused(with("[\"b\", \"a\"]", "[\"b\", \"c\"]"), "no unit 'c'");
  expect_refused(with("[\"b\", \"a\"]", "[\"b\", \"b\"]"), "twice");
  expect_refused(with("computes = \"depthwise\"", "computes = \"all\""), "computes");
  expect_refused(with("power_of_two = true", "power_of_two = 1"), "power_of_two");
}

TEST(Platform, TheLineIsInThePlace) {
  try {
    parse_platform(with("columns = 8", "columns = 0"), "test.toml");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.place(), "test.toml:26");
  }
}

TEST(Platform, UnknownNamesAreGuessed) {
  try {
    find_platform("dianna");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unknown_device);
    EXPECT_NE(std::string(error.what()).find("did you mean 'diana'"), std::string::npos) << error.what();
  }
  EXPECT_THROW(find_platform("./nowhere.toml"), Error);
}

TEST(Platform, FilesAreReadAndBounded) {
  TemporaryFolder folder;
  write_file(folder.path() / "small.toml", kSmall);
  EXPECT_EQ(find_platform((folder.path() / "small.toml").string()), parse_platform(kSmall, "x"));
  write_file(folder.path() / "large.toml", std::string(2 << 20, '\n'));
  try {
    read_platform(folder.path() / "large.toml");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_toml);
  }
}

constexpr const char* kMeasured = R"(schema = "tailor/platform/1"
name = "mine"
title = "two precisions"
runner = "ssh board tailor-runner-onednn"
[[unit]]
name = "exact"
precision = "f32"
weights = ["f32"]
scale = "layer"
[[unit]]
name = "small"
precision = "i8"
weights = ["int7"]
scale = "channel"
)";

TEST(Platform, PrecisionsAreMeasuredUnits) {
  const Platform platform = parse_platform(kMeasured, "test.toml");
  EXPECT_TRUE(platform.measured());
  EXPECT_EQ(platform.runner, "ssh board tailor-runner-onednn");
  ASSERT_EQ(platform.units.size(), 2u);
  EXPECT_EQ(platform.units[1].precision, "i8");
  EXPECT_EQ(platform.units[1].weights[0].bits, 7);
  EXPECT_FALSE(parse_platform(kSmall, "test.toml").measured());
}

TEST(Platform, TextIsReadBack) {
  for (const auto& [name, toml] : presets()) {
    const Platform platform = find_platform(std::string(name));
    EXPECT_EQ(parse_platform(to_toml(platform), "test.toml"), platform) << to_toml(platform);
  }
  Platform odd = parse_platform(kSmall, "test.toml");
  odd.title = "a \"title\" with \\ and a\nline";
  EXPECT_EQ(parse_platform(to_toml(odd), "test.toml"), odd) << to_toml(odd);
}

TEST(Platform, WhatAMeasuredUnitCannotBeIsRefused) {
  auto changed = [](const std::string& from, const std::string& to) {
    std::string text = kMeasured;
    return text.replace(text.rfind(from), from.size(), to);
  };
  expect_refused(changed("\"i8\"", "\"f64\""), "'precision' is none of f32, bf16, i8");
  expect_refused(changed("\"int7\"", "\"int9\""), "does not keep weights in int9");
  expect_refused(changed("\"int7\"", "\"f32\""), "does not keep weights in f32");
  expect_refused(changed("\"int7\"", "\"int7\", \"int4\""), "in one format");
  expect_refused(changed("\"i8\"\nweights = [\"int7\"]", "\"f32\"\nweights = [\"f32\"]"),
                 "two units compute in f32");
  expect_refused(
      changed("precision = \"f32\"\nweights = [\"f32\"]", "precision = \"bf16\"\nweights = [\"bf16\"]"),
      "no unit computes in f32");
  expect_refused(changed("scale = \"channel\"", "scale = \"channel\"\n[unit.cost]\nmodel = \"ne16\""),
                 "unknown key 'cost'");
}

// Damaged descriptions are read or refused with a code of a broken file, never anything else.
TEST(Platform, DamagedTextNeverCrashes) {
  Random random(1);
  int refused = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string text(
        presets()[static_cast<std::size_t>(i) % 2].second);  // cpu is measured, darkside modelled
    for (std::size_t changes = 1 + random.below(4); changes > 0; --changes) {
      std::size_t at = random.below(text.size());
      switch (random.below(3)) {
        case 0:
          text[at] = static_cast<char>(random.below(256));
          break;
        case 1:
          text.erase(at, 1 + random.below(20));
          break;
        default:
          text.insert(at, text.substr(random.below(text.size()), random.below(30)));
      }
    }
    try {
      parse_platform(text, "damaged");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_toml) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 500);
}

TEST(WeightFormat, NamesSayTheBits) {
  EXPECT_EQ(parse_weight_format("ternary").bits, 2);
  EXPECT_EQ(parse_weight_format("int7").bits, 7);
  EXPECT_EQ(parse_weight_format("bf16").bits, 16);
  for (const char* name : {"int1", "int17", "int", "int8x", "float", "", "int-8"})
    EXPECT_THROW(parse_weight_format(name), Error) << name;
}

}  // namespace
}  // namespace tailor::device

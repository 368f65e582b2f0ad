// Accelerators out of TOML: the built-in ones, and whatever a file can get wrong.
#include "tailor/device/accelerator.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <gtest/gtest.h>

namespace tailor::device {
namespace {

constexpr const char* kSmall = R"(schema = "tailor/accelerator/1"
name = "small"
title = "four PEs"
frequency_mhz = 100
[array]
rows = 2
columns = 2
mac_pj = 1
[bytes]
activations = 1
partial_sums = 4
weights = 0.5
[dram]
pj_per_byte = 100
bytes_per_cycle = 4
[[buffer]]
name = "all"
bytes = 1024
pj_per_byte = 3
holds = ["inputs", "outputs", "weights"]
[[registers]]
name = "operands"
bytes = 2
pj_per_byte = 0.5
holds = ["inputs", "weights"]
[[registers]]
name = "sums"
pj_per_byte = 0.25
holds = ["outputs"]
[noc.unicast]
pj_per_byte = 1
carries = ["inputs", "outputs"]
[noc.multicast]
pj_per_byte = 2
bytes_per_cycle = 8
carries = ["weights"]
[dataflow]
dram = ["mb", "oc"]
buffer = ["refresh weights", "ic", "refresh inputs", "oh"]
rows = ["ow"]
columns = ["oc"]
registers = ["kh", "refresh outputs", "kw"]
)";

std::string with(std::string from, const std::string& to) {
  std::string text = kSmall;
  std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

void expect_refused(const std::string& toml, const std::string& words,
                    const std::string& place = "test.toml") {
  try {
    parse_accelerator(toml, "test.toml");
    FAIL() << "accepted: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_toml) << error.what();
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    EXPECT_TRUE(error.place().starts_with(place)) << error.place();
    EXPECT_FALSE(error.help().empty());
  }
}

TEST(Accelerator, AllMembersAreRead) {
  const Accelerator a = parse_accelerator(kSmall, "test.toml");
  EXPECT_EQ(a.name, "small");
  EXPECT_EQ(a.frequency_mhz, 100);
  EXPECT_EQ(a.pes(), 4);
  EXPECT_EQ(a.weights, 0.5);
  EXPECT_EQ(a.dram.bytes_per_cycle, 4);
  EXPECT_EQ(a.buffers[a.buffer_of[Tensor::weights]].bytes, 1024);
  EXPECT_EQ(a.registers[a.register_of[Tensor::outputs]].name, "sums");
  EXPECT_EQ(a.registers[1].bytes, 0) << "as much as is needed";
  EXPECT_TRUE(a.multicast.carries[Tensor::weights]);
  EXPECT_FALSE(a.multicast.carries[Tensor::inputs]);
  EXPECT_EQ(a.forward, Network{});
  EXPECT_EQ(a.dataflow.dram, (std::vector{Dimension::mb, Dimension::oc}));
  EXPECT_EQ(a.dataflow.buffer.loops, (std::vector{Dimension::ic, Dimension::oh}));
  EXPECT_EQ(a.dataflow.buffer.refresh[Tensor::weights], 0u);
  EXPECT_EQ(a.dataflow.buffer.refresh[Tensor::inputs], 1u);
  EXPECT_EQ(a.dataflow.buffer.refresh[Tensor::outputs], 2u) << "inside all loops";
  EXPECT_EQ(a.dataflow.registers.refresh[Tensor::outputs], 1u);
  EXPECT_FALSE(a.dataflow.reuse_windows);
}

TEST(Accelerator, TextIsReadBack) {
  std::vector<Accelerator> all = {parse_accelerator(kSmall, "test.toml")};
  for (const auto& [name, toml] : accelerator_presets()) {
    all.push_back(find_accelerator(std::string(name)));
    EXPECT_EQ(all.back().name, name);
  }
  ASSERT_EQ(all.size(), 4u);
  for (const Accelerator& a : all) EXPECT_EQ(parse_accelerator(to_toml(a), "again"), a) << to_toml(a);
}

TEST(Accelerator, NamesAreFound) {
  EXPECT_TRUE(names_accelerator("eyeriss"));
  EXPECT_FALSE(names_accelerator("diana"));
  EXPECT_THROW(names_accelerator("/nowhere.toml"), Error);
  try {
    find_accelerator("eyeris");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::unknown_device);
    EXPECT_NE(std::string(error.what()).find("did you mean 'eyeriss'"), std::string::npos) << error.what();
  }
}

TEST(Accelerator, WhatIsWrongIsNamed) {
  expect_refused("= 3", "");
  expect_refused(with("accelerator/1", "platform/1"), "schema", "test.toml:1");
  expect_refused(with("rows = 2", "rows = 0"), "rows", "test.toml:6");
  expect_refused(with("rows = 2", "rows = 1.5"), "rows");
  expect_refused(with("columns = 2\n", ""), "'columns' is missing");
  expect_refused(with("mac_pj = 1", "mac_pj = nan"), "mac_pj");
  expect_refused(with("mac_pj", "mac_jp"), "'mac_pj' is missing");
  expect_refused(with("frequency_mhz = 100", "frequency_mhz = 0"), "frequency_mhz");
  expect_refused(with("frequency_mhz", "frequncy_mhz"), "did you mean 'frequency_mhz'");
  expect_refused(with("partial_sums = 4", "partial_sums = 0.5"), "less than 'activations'");
  expect_refused(with("bytes = 1024", "bytes = -1"), "bytes");
  expect_refused(with("holds = [\"outputs\"]", "holds = [\"sums\"]"), "there is no tensor 'sums'");
  expect_refused(with("holds = [\"outputs\"]", "holds = [\"weights\"]"), "weights lie in two places");
  expect_refused(with("\"outputs\", \"weights\"]", "\"weights\"]"), "no [[buffer]] holds outputs");
  expect_refused(with("name = \"sums\"", "name = \"operands\""), "two memories are called 'operands'");
  expect_refused(with("carries = [\"weights\"]", "carries = [\"outputs\"]"),
                 "weights are carried by neither");
  expect_refused(with("carries = [\"weights\"]", "carries = [\"weights\", \"outputs\"]"), "multicast");
  expect_refused(with("carries = [\"inputs\", \"outputs\"]", "carries = [\"inputs\"]"),
                 "not carried by unicast");
  expect_refused(with("[dataflow]", "[noc.forward]\npj_per_byte = 1\ncarries = [\"weights\"]\n[dataflow]"),
                 "only inputs and outputs");
  expect_refused(with("[dataflow]", "[noc.brodcast]\npj_per_byte = 1\n[dataflow]"), "unknown key 'brodcast'");
  expect_refused(with("dram = [\"mb\", \"oc\"]", "dram = [\"mb\", \"mb\"]"), "twice");
  expect_refused(with("dram = [\"mb\", \"oc\"]", "dram = [\"n\"]"), "there is no loop 'n'");
  expect_refused(with("\"refresh inputs\"", "\"refresh input\""), "did you mean 'inputs'");
  expect_refused(with("\"refresh inputs\"", "\"refresh weights\""), "twice");
  expect_refused(with("rows = [\"ow\"]", "rows = [\"oc\"]"), "in 'rows' and in 'columns'");
  expect_refused(with("rows = [\"ow\"]", "array = [\"ow\"]"), "not both");
}

TEST(Accelerator, BrokenTextIsRefusedAndNothingElse) {
  Random random(7);
  for (int i = 0; i < 400; ++i) {
    std::string text = kSmall;
    for (int k = 0; k < 3; ++k) text[random.below(text.size())] = static_cast<char>(32 + random.below(95));
    try {
      const Accelerator a = parse_accelerator(text, "test.toml");
      EXPECT_EQ(parse_accelerator(to_toml(a), "again"), a);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_toml) << error.what();
    }
  }
}

}  // namespace
}  // namespace tailor::device

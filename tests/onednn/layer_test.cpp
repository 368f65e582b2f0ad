// Layers out of text, and what oneDNN makes of them in every precision, beside loops.
#include "runners/onednn/layer.h"

#include "runners/onednn/check.h"
#include "tests/onednn/library.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tailor::onednn {
namespace {

void expect_error(Code code, const std::string& line, const TypeNames& types = {}) {
  try {
    parse_layer(line, types);
    ADD_FAILURE() << "accepted: " << line;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << line << ": " << error.what();
  }
}

std::string conv(const std::string& tail, int ic = 16, int oc = 24, int g = 1) {
  return "conv_mb1_g" + std::to_string(g) + "_ic" + std::to_string(ic) + "ih9iw7_oc" + std::to_string(oc) +
         "oh9ow7_kh3kw3_sh1sw1_ph1pw1_" + tail;
}

TEST(OneDnnLayer, TextSaysTheTypes) {
  EXPECT_EQ(parse_layer(conv("f32+bias")).writes, Type::f32);
  EXPECT_EQ(parse_layer(conv("bf16+bias")).reads, Type::bf16);
  EXPECT_EQ(parse_layer(conv("i8+bias+relu")).writes, Type::u8);
  EXPECT_EQ(parse_layer(conv("i8+bias")).writes, Type::s8);
  const Layer mixed = parse_layer(conv("i8+add"), {"s8", "u8", "s8"});
  EXPECT_EQ(mixed.reads, Type::s8);
  EXPECT_EQ(mixed.writes, Type::u8);
  EXPECT_EQ(mixed.residual, Type::s8);
  EXPECT_NE(mixed.line, parse_layer(conv("i8+add"), {"s8", "u8"}).line) << "lines tell them apart";
}

TEST(OneDnnLayer, AProductIsAConvolutionOfRows) {
  const Layer layer = parse_layer("gemm_m5_k12_n7_f32+bias");
  EXPECT_EQ(layer.sizes.ih, 5);
  EXPECT_EQ(elements_read(layer), 60);
  EXPECT_EQ(elements_written(layer), 35);
}

TEST(OneDnnLayer, WhatMakesNoSenseIsRefusedByCode) {
  expect_error(Code::bad_value, "");
  expect_error(Code::bad_value, "conv_mb1");
  expect_error(Code::bad_value, "reorder_mb1_c4h2w2_f32");
  expect_error(Code::bad_value, "reorder_mb1_c4h2w2_f32_f64");
  expect_error(Code::bad_value, "reorder_mb1_c4h2w0_f32_u8");
  expect_error(Code::bad_value, "eltwise_n10_f32");
  expect_error(Code::bad_value, "pool_max_mb1_c4ih2iw2_oh4ow4_kh3kw3_sh2sw2_ph0pw0_f32");
  expect_error(Code::bad_value, std::string(600, 'x'));
  expect_error(Code::runtime_refused, "eltwise_n10_bf16+relu");
  expect_error(Code::runtime_refused, conv("f32+unheard"));
  expect_error(Code::runtime_refused, conv("i8+sigmoid"));
  expect_error(Code::runtime_refused, conv("f32"), {"f32", "u8"});
  expect_error(Code::runtime_refused, conv("i8"), {"f32", "u8"});
  expect_error(Code::runtime_refused, conv("i8+add"), {"u8", "f32", "u8"});
  expect_error(Code::runtime_refused, conv("f16"));
  expect_error(Code::runtime_refused, conv("f32+add+add"));
}

struct Case {
  std::string line;
  TypeNames types = {};
};

void expect_right(const Case& one) {
  const Layer layer = parse_layer(one.line, one.types);
  const double error = checked_error(*library(), layer, weight_bits_of(*library()));
  EXPECT_LE(error, 1) << layer.line;
}

TEST(OneDnnLayer, FloatsAreRight) {
  TAILOR_NEEDS_LIBRARY();
  for (const std::string& line :
       {conv("f32"), conv("f32+bias+relu"), conv("f32+bn+clip", 3, 10), conv("f32+bias+add+relu"),
        conv("f32+hardswish", 16, 16, 16), conv("f32+bias", 24, 24, 24), conv("f32+leakyrelu", 8, 8, 2),
        std::string("gemm_m1_k33_n10_f32+bias"), std::string("gemm_m6_k8_n5_f32+bias+gelu"),
        std::string("conv_mb2_g1_ic5ih9iw8_oc6oh4ow7_kh3kw2_sh2sw1_ph0pw0_f32"),
        std::string("pool_max_mb1_c10ih8iw8_oh4ow4_kh2kw2_sh2sw2_ph0pw0_f32"),
        std::string("pool_avg_mb1_c10ih7iw7_oh4ow4_kh3kw3_sh2sw2_ph1pw1_f32"),
        std::string("eltwise_n1000_f32+add+relu"), std::string("eltwise_n7_f32+bias+sigmoid"),
        std::string("eltwise_n64_f32+mul"), std::string("reorder_mb2_c5h3w4_f32_f32+nchw")})
    expect_right({line});
}

TEST(OneDnnLayer, LevelsAreRightToHalfALevel) {
  TAILOR_NEEDS_LIBRARY();
  if (weight_bits_of(*library()) == 0) GTEST_SKIP() << "this oneDNN computes nothing in 8 bits here";
  for (const Case& one : std::vector<Case>{{conv("i8+bias+relu")},
                                           {conv("i8+bias")},
                                           {conv("i8+bias"), {"s8", "s8"}},
                                           {conv("i8+bias"), {"s8", "f32"}},
                                           {conv("i8+bias+add+relu")},
                                           {conv("i8+bias+add+relu"), {"u8", "u8", "s8"}},
                                           {conv("i8+bias+add"), {"s8", "f32"}},
                                           {conv("i8+bn+clip", 3, 10)},
                                           {conv("i8+bias+relu", 16, 16, 16), {"u8", "u8"}},
                                           {conv("i8+bias", 24, 24, 24), {"s8", "s8"}},
                                           {"gemm_m1_k64_n10_i8+bias", {"u8", "f32"}},
                                           {"pool_max_mb1_c10ih8iw8_oh4ow4_kh2kw2_sh2sw2_ph0pw0_i8"},
                                           {"reorder_mb1_c10h8w8_f32_u8"},
                                           {"reorder_mb1_c10h8w8_f32_s8+nchw"},
                                           {"reorder_mb1_c10h8w8_s8_f32"},
                                           {"reorder_mb1_c10h8w8_u8_f32"}})
    expect_right(one);
}

// Without instructions for it the library refuses; where it does not, it must be right.
TEST(OneDnnLayer, Bf16IsRightOrRefused) {
  TAILOR_NEEDS_LIBRARY();
  try {
    expect_right({conv("bf16+bias+relu")});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::runtime_refused) << error.what();
  }
}

TEST(OneDnnLayer, AWrongResultIsFound) {
  TAILOR_NEEDS_LIBRARY();
  for (const std::string& line : {conv("f32+bias+relu"), conv("i8+bias")}) {
    const Layer layer = parse_layer(line);
    const Parameters parameters = draw_parameters(layer, 7, 1);
    Block x(static_cast<std::size_t>(elements_read(layer)) * 4),
        y(static_cast<std::size_t>(elements_written(layer)) * 4);
    fill(layer.reads, elements_read(layer), 1, x.data.get());
    const Places places{x.data.get(), nullptr, y.data.get()};
    make_operation(*library(), layer, parameters, places, 7).run();
    EXPECT_LE(largest_error(layer, parameters, places, 1 << 20), 1) << line;
    if (layer.writes == Type::f32)
      static_cast<float*>(y.data.get())[5] += 0.01f;
    else
      static_cast<std::int8_t*>(y.data.get())[5] ^= 2;
    EXPECT_GT(largest_error(layer, parameters, places, 1 << 20), 1) << line;
  }
}

// With levels up to 127 the products of u8 and s8 saturate where only 7 bits are kept: that is what 7 means.
TEST(OneDnnLayer, SevenBitsAreKeptBecauseEightSaturate) {
  TAILOR_NEEDS_LIBRARY();
  const int bits = weight_bits_of(*library());
  EXPECT_TRUE(bits == 0 || bits == 7 || bits == 8) << bits;
  if (bits == 0) GTEST_SKIP() << "this oneDNN computes nothing in 8 bits here";
  const Layer layer = parse_layer(conv("i8", 32, 32), {"u8", "f32"});
  EXPECT_EQ(draw_parameters(layer, 7, 1).most, 63);
  EXPECT_LE(checked_error(*library(), layer, bits), 1);
  if (bits == 7) {
    EXPECT_GT(checked_error(*library(), layer, 8), 1);
  }
}

}  // namespace
}  // namespace tailor::onednn

#include "tailor/latency/workload.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tailor/latency/post.h"

#include <gtest/gtest.h>

namespace tailor::latency {
namespace {

TEST(Workload, PrintsAsDocumented) {
  Workload w{.ic = 64,
             .ih = 56,
             .iw = 56,
             .oc = 64,
             .oh = 56,
             .ow = 56,
             .kh = 3,
             .kw = 3,
             .pt = 1,
             .pl = 1,
             .pb = 1,
             .pr = 1,
             .post = "bn+relu"};
  EXPECT_EQ(to_string(w), "conv_mb1_g1_ic64ih56iw56_oc64oh56ow56_kh3kw3_sh1sw1_ph1pw1_f32+bn+relu");
  EXPECT_EQ(parse_workload(to_string(w)), w);
  EXPECT_EQ(macs(w), 64 * 64 * 9 * 56 * 56);
  EXPECT_EQ(bytes(w), 4 * (64 * 64 * 9 + 2 * 64 * 56 * 56));
}

TEST(Workload, WhatIsFusedIsAListOfWords) {
  EXPECT_TRUE(post_words("").empty());
  EXPECT_EQ(post_words("bias"), (std::vector<std::string>{"bias"}));
  EXPECT_EQ(post_words("bias+bn+relu"), (std::vector<std::string>{"bias", "bn", "relu"}));
  EXPECT_EQ(joined_post(post_words("bias+add+clip")), "bias+add+clip");
  EXPECT_EQ(joined_post({}), "");
}

TEST(Workload, Gemm) {
  Workload w = parse_workload("gemm_m196_k768_n768_f32");
  EXPECT_EQ(w.kind, Kind::gemm);
  EXPECT_EQ(to_string(w), "gemm_m196_k768_n768_f32");
  EXPECT_EQ(macs(w), 196LL * 768 * 768);
}

Workload random_workload(Random& random) {
  auto up_to = [&](std::size_t n) { return static_cast<std::int64_t>(1 + random.below(n)); };
  Workload w;
  w.kind = static_cast<Kind>(random.below(3));
  w.type = random.below(2) ? graph::DataType::f32 : graph::DataType::i8;
  w.mb = up_to(9);
  w.ic = up_to(512), w.oc = up_to(512);
  if (random.below(2)) w.post = "bias+add+relu";
  if (w.kind == Kind::gemm) return w;
  if (random.below(2)) w.g = w.oc = w.ic;
  w.ih = up_to(99), w.iw = up_to(99), w.oh = up_to(99), w.ow = up_to(99);
  w.kh = up_to(7), w.kw = up_to(7), w.sh = up_to(3), w.sw = up_to(3), w.dh = up_to(3), w.dw = up_to(3);
  w.pt = up_to(4) - 1, w.pl = up_to(4) - 1;
  w.pb = random.below(2) ? w.pt : up_to(4) - 1, w.pr = random.below(2) ? w.pl : up_to(4) - 1;
  return w;
}

TEST(Workload, RoundTrip) {
  Random random(7);
  for (int i = 0; i < 2000; ++i) {
    Workload w = random_workload(random);
    ASSERT_EQ(parse_workload(to_string(w)), w) << to_string(w);
  }
}

TEST(Workload, NonsenseIsABadValue) {
  for (const char* text :
       {"", "conv", "pool_mb1", "gemm_m1_k2_n3", "gemm_m1_k2_n3_f33", "gemm_m-1_k2_n3_f32",
        "gemm_m0_k2_n3_f32", "gemm_m99999999999999999999_k2_n3_f32", "gemm_m1_k2_n3_f32+", "conv_f32",
        "gemm__f32", "gemm_m1k2n3x4_f32", "conv_mb1_g2_ic3ih1iw1_oc4oh1ow1_kh1kw1_sh1sw1_ph0pw0_f32"}) {
    try {
      parse_workload(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_value) << text;
    }
  }
}

}  // namespace
}  // namespace tailor::latency

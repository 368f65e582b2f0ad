/// \file A layer as something to be timed: shapes and operator, no weights, no names of a model.
///
/// Letters as oneDNN's (mb g ic ih iw oc oh ow kh kw sh sw dh dw ph pw; dilation 1 = dense, as in ONNX). A
/// workload is one line of text, so that profiles and tests can be read and diffed:
///   conv_mb1_g1_ic64ih56iw56_oc64oh56ow56_kh3kw3_sh1sw1_ph1pw1_f32+bn+relu
///   gemm_m196_k768_n768_f32
#pragma once

#include "tailor/graph/model.h"

#include <compare>
#include <cstdint>
#include <string>

namespace tailor::latency {

enum class Kind { conv, conv_transpose, gemm };

struct Workload {
  Kind kind = Kind::conv;
  graph::DataType type = graph::DataType::f32;
  std::int64_t mb = 1, g = 1;
  std::int64_t ic = 0, ih = 1, iw = 1, oc = 0, oh = 1, ow = 1;
  std::int64_t kh = 1, kw = 1, sh = 1, sw = 1, dh = 1, dw = 1;
  std::int64_t pt = 0, pl = 0, pb = 0, pr = 0;  // padding top, left, bottom, right
  // What a runtime fuses into the layer, in order: bias, bn, add (of a residual), relu, clip, ... joined by
  // '+'.
  std::string post;
  // gemm: m = mb, k = ic, n = oc (spatial sizes 1).

  friend auto operator<=>(const Workload&, const Workload&) = default;
  friend bool operator==(const Workload&, const Workload&) = default;
};

/// One line without spaces; parse(to_string(w)) == w. @throws Error bad_value
std::string to_string(const Workload& workload);
Workload parse_workload(const std::string& text);

/// Multiply-accumulates of the layer.
std::int64_t macs(const Workload& workload);
/// Bytes of weights, input and output (each read or written once).
std::int64_t bytes(const Workload& workload);

}  // namespace tailor::latency

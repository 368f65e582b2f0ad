/// \file What one step of a network is here: a layer with what is fused into it, a pooling, an elementwise operation, or a
/// reordering, as one line of text with the types that it reads and writes.
///
/// Layers with weights are workloads (tailor/latency/workload.h); their type is what they compute in: f32, bf16 or i8. The
/// rest is written as for other runners that read no ONNX (docs/runner-protocol.md), and
///   reorder_mb1_c64h56w56_f32_u8        values to levels, or back
///   reorder_mb1_c3h224w224_f32_f32+nchw what it reads lies channel by channel, as a user's input does
/// Activations lie pixel by pixel (nhwc) everywhere else, in every precision, so units hand over values and no layouts.
#pragma once

#include "tailor/latency/workload.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tailor::onednn {

enum class Type { f32, bf16, s8, u8 };
std::size_t size_of(Type type);
const char* name(Type type);
/// @throws Error bad_value
Type type_named(const std::string& name);
inline bool is_level(Type type) { return type == Type::s8 || type == Type::u8; }

enum class LayerKind { convolution, pool_max, pool_average, elementwise, reorder };

struct Layer {
  LayerKind kind = LayerKind::convolution;
  /// A product m x k by k x n is a convolution of one tap over an image of m rows: the same numbers at the same places.
  latency::Workload sizes;
  std::vector<std::string> post = {};
  Type reads = Type::f32, writes = Type::f32,
       residual = Type::f32;  // the residual is of the size that is written
  bool from_nchw = false;     // of a reordering
  std::string line = {};      // as it was written, with its types
};

/// Types that are not what the text says by itself.
struct TypeNames {
  std::string reads = {}, writes = {}, residual = {};
};

/// A workload in i8 reads u8 and writes u8 behind relu or clip, else s8; a residual is of the type that is written.
/// @param types in their place where not empty
/// @throws Error bad_value; runtime_refused for what this runner does not compute
Layer parse_layer(const std::string& line, const TypeNames& types = {});

bool has_post(const Layer& layer, const std::string& word);
/// Tensors that it reads: 2 with a residual.
std::size_t inputs_of(const Layer& layer);
std::int64_t elements_read(const Layer& layer);
std::int64_t elements_written(const Layer& layer);

}  // namespace tailor::onednn

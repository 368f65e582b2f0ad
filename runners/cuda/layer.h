/// \file What one launch of a network is: a layer with what is fused into it, as one line of text.
///
/// Layers with weights are workloads (tailor/latency/workload.h: conv, deconv, gemm). A network needs three more:
///   bgemm_b12_m197_k64_n197_f16              a product per batch, both operands activations (attention)
///   pool_max_mb1_c64ih112iw112_oh56ow56_kh3kw3_sh2sw2_ph1pw1_f16      pool_max or pool_avg
///   eltwise_n802816_f16+add+relu             what is not fused: n elements, operations in order
#pragma once

#include "tailor/latency/workload.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tailor::cuda {

enum class LayerKind { conv, gemm, batched_gemm, pool_max, pool_average, elementwise };

struct Layer {
  LayerKind kind = LayerKind::conv;
  /// Sizes. batched_gemm: g batches of mb x ic by ic x oc. pool: ic = oc channels. elementwise: mb elements.
  latency::Workload sizes;
  std::vector<std::string> post = {};  // "bias", "add", "relu", "clip", ... in order; "bn" counts as a bias
  bool tf32 = false;                   // f32 products may be rounded to tf32
  std::string line = {};               // as it was written
};

/// @throws Error bad_value; runtime_refused for what this runner cannot compute (other types, transposed
/// convolutions, unlike paddings of a side)
Layer parse_layer(const std::string& line, bool tf32);

/// Bytes of an operand; 0 if the layer has none.
struct OperandSizes {
  std::size_t x = 0, weights = 0, bias = 0, residual = 0, y = 0;
  std::size_t read() const { return x + weights + bias + residual; }
};
OperandSizes operand_sizes(const Layer& layer);

bool has_post(const Layer& layer, const std::string& word);

/// What is done to every element after the product: the words that are neither a bias nor fused by hand.
using Words = std::vector<std::string>;

}  // namespace tailor::cuda

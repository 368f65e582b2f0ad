/// \file A network whose layers compute in 8 bits: QuantizeLinear and DequantizeLinear around them, as runtimes fuse them.
///
/// Weights are levels -127..127 with a scale per output channel, stored as u8 around 128 (so that no processor's sums of
/// products saturate); activations are u8 with one scale and zero point per value, biases i32. Jacob et al.,
/// arXiv:1712.05877. Activations of fewer bits are u8 that a Clip behind QuantizeLinear keeps to the levels there are; a Relu or
/// Clip that cuts off nothing else than those ends do is left out. So a layer stands right between DequantizeLinear and
/// QuantizeLinear, where runtimes sum integers: the same in any order. A BatchNormalization that alone reads a convolution goes
/// into its scales and biases, so the levels stay what they are.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"
#include "tailor/saliency/quantise.h"

#include <map>
#include <string>
#include <vector>

namespace tailor::rewrite {

/// Least and largest value on samples.
struct Range {
  float lo = 0, hi = 0;
};

struct Quantisation {
  std::map<int, saliency::Levels> layers;  // by node: outputs x row, at most 127 either way
  std::map<std::string, Range> ranges;     // of quantised_values
  int activation_bits = 8;                 // of these values; what the graph gives keeps 8
};

struct QuantisedNetwork {
  graph::Model model;
  std::map<int, int> nodes;  // of the layers: before -> now
};

/// Conv, Gemm (plain: no alpha, beta, transA) and MatMul whose weights are constant f32. Increasing.
std::vector<int> quantisable_layers(const graph::Model& model, const graph::Shapes& shapes);

/// What the layers read, and what they give behind their normalisation and their Relu or Clip. Each once.
std::vector<std::string> quantised_values(const graph::Model& model, const std::vector<int>& layers);

/// Those that a layer reads, or follows from: without what the last layers give, which are answers. O(nodes)
std::vector<std::string> rounded_values(const graph::Model& model, const std::vector<int>& layers);

/// The weights of such a layer as outputs x row. O(weights)
std::vector<float> weight_rows(const graph::Model& model, int node);

/// Models of opsets below 10 are brought to that (opset.h). Below 13, which knows no scales per channel, the new operators are
/// those of the domain com.microsoft: only ONNX Runtime runs them. O(nodes + weights).
/// @pre layers are of quantisable_layers, ranges of all quantised_values
/// @throws Error as at_least_opset_10
QuantisedNetwork quantise_network(const graph::Model& model, const Quantisation& how);

/// The model with values taken through so many bits and back, and layers as they were: a simulation. No DequantizeLinear in it: ONNX
/// Runtime takes layers between two of them for quantised ones, and rounds their weights. O(nodes)
/// @throws Error as at_least_opset_10
graph::Model with_rounded_values(const graph::Model& model, const std::map<std::string, Range>& ranges,
                                 int bits);

}  // namespace tailor::rewrite

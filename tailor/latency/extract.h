/// \file The layers of a model as workloads.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"
#include "tailor/latency/workload.h"

#include <string>
#include <vector>

namespace tailor::latency {

struct LayerWorkload {
  int node = 0;
  Workload workload;  // `post` names what a runtime fuses: bias, bn, add, relu, clip, ... as far as only this
                      // layer feeds it
};

/// One entry per Conv, ConvTranspose, Gemm and MatMul with constant weights, in the nodes' order. Layers of
/// unknown shape are left out.
std::vector<LayerWorkload> extract_workloads(const graph::Model& model, const graph::Shapes& shapes);

}  // namespace tailor::latency

/// \file Multiply-accumulates in the place of latency: what pruning by FLOPs budgets, to compare with.
#pragma once

#include "tailor/latency/oracle.h"
#include "tailor/pipeline/surgery.h"

namespace tailor::pipeline {

/// A layer "takes" its multiply-accumulates, in millions. Exact, and no statement about time.
class Counted final : public latency::LatencyOracle {
 public:
  std::vector<latency::Estimate> evaluate(std::span<const latency::Workload> workloads) override;
  latency::Context context() const override;
};

/// Multiply-accumulates of a model's layers. O(layers) and shape inference.
double count_macs(const graph::Model& model, const graph::ShapeOverrides& overrides);

}  // namespace tailor::pipeline

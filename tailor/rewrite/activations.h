/// \file Values of a model on calibration samples, computed from the nearest values already known.
#pragma once

#include "tailor/base/file.h"
#include "tailor/graph/shapes.h"
#include "tailor/runtime/runner.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace tailor::rewrite {

/// Runs parts of a model: asking for a value executes only the nodes between it and the values asked for
/// before. Values kept are dropped, oldest first, when they exceed `limit` bytes (the graph's inputs stay).
class Activations {
 public:
  Activations(runtime::Runner& runner, const graph::Shapes& shapes, runtime::NamedTensors inputs, int threads,
              std::size_t limit);

  /// Values of `model` for all samples, in the order asked for. The model may change between calls as long as
  /// what is already known stays true. @throws Error runner_failed, runtime_refused
  std::vector<graph::Tensor> get(const graph::Model& model, const std::vector<std::string>& names);

  /// Drops what is known behind these nodes of `model`: their weights have changed.
  void forget(const graph::Model& model, const std::set<int>& nodes);

 private:
  std::vector<std::string> missing(const std::vector<std::string>& names) const;
  void trim();

  runtime::Runner& runner_;
  const graph::Shapes& shapes_;
  std::map<std::string, graph::Tensor> known_;
  std::vector<std::string> order_;  // oldest first, without the inputs
  TemporaryFolder folder_;
  int threads_, chunk_;
  std::size_t limit_;
};

}  // namespace tailor::rewrite

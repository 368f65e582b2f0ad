/// \file Random graphs of operators for the tests of placement.
#pragma once

#include "tailor/base/random.h"
#include "tailor/plan/placement.h"

#include <algorithm>

namespace tailor::plan::testing {

/// Integers, so that sums are exact. With `training`, the second half mirrors the first one and shares its
/// colours.
inline OperatorGraph random_operators(Random& random, int count, bool training) {
  OperatorGraph graph;
  graph.accelerators = 1 + static_cast<int>(random.below(3)), graph.cpus = static_cast<int>(random.below(2));
  auto number = [&](std::size_t most) { return static_cast<double>(random.below(most + 1)); };
  for (int v = 0; v < count; ++v) {
    Operator op{"op", number(30), number(9), number(4), number(5)};
    if (random.below(5) == 0) op.cpu = op.accelerator = 0;
    if (random.below(6) == 0) op.colour = static_cast<int>(random.below(3));
    if (graph.cpus > 0 && random.below(8) == 0) op.supported = false;
    graph.operators.push_back(op);
    for (int u = 0; u < v; ++u)
      if (random.uniform() < 1.5 / count) graph.edges.emplace_back(u, v);
  }
  if (training) {
    const auto forward = graph.edges;
    for (int v = 0; v < count; ++v) {
      Operator back = graph.operators[static_cast<std::size_t>(v)];
      back.backward = true, back.supported = true;
      if (random.below(5) > 0) {
        back.colour = graph.operators[static_cast<std::size_t>(v)].colour =
            std::max(graph.operators[static_cast<std::size_t>(v)].colour, 100 + v);
      } else {
        back.colour = -1;
      }
      graph.operators.push_back(back);
    }
    for (auto [u, v] : forward) graph.edges.emplace_back(count + v, count + u);
    graph.edges.emplace_back(count - 1, 2 * count - 1);
  }
  graph.memory = random.below(2) ? 1e9 : 4.0 * count;
  return graph;
}

}  // namespace tailor::plan::testing

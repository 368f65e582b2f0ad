/// \file Problems for the planner's tests: small ones of every structure, and the shapes of real networks.
#pragma once

#include "tailor/base/random.h"
#include "tailor/plan/problem.h"

namespace tailor::plan::testing {

enum class Structure { independent, chain, tree, cycle, clique, residual, random_graph, disconnected };
constexpr int structures = 8;

/// How the numbers look. Small integers give many ties and sums without rounding errors.
struct Numbers {
  int largest = 20;
  double forbidden = 0;     // share of infinite latencies
  double zero_latency = 0;  // share of latencies that are 0
};

/// Variables of 1..max_candidates candidates; costs are integers, so every sum is exact.
Problem small_problem(Structure structure, int variables, int max_candidates, const Numbers& numbers,
                      Random& random);

/// ResNet-50 as groups: stem, 4 streams, 16 blocks of two inner groups; 53 convolutions and the classifier as
/// factors. Latency of a layer: a staircase in both widths with noise; loss: convex per group.
Problem resnet50_problem(int widths, std::uint64_t seed);
/// Layers in a row, each coupled with the next.
Problem chain_problem(int layers, int widths, std::uint64_t seed);
/// Groups that no layer couples, as the inner widths of ResNet-56.
Problem independent_problem(int groups, int candidates, std::uint64_t seed);

}  // namespace tailor::plan::testing

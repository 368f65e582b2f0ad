/// \file Operators of a network over several accelerators and CPUs: who computes what.
///
/// Model, costs and workloads as in Tarnawski, Phanishayee, Devanur, Mahajan, Nina Paravecino, "Efficient
/// Algorithms for Device Placement of DNN Graph Operators" (NeurIPS 2020, arXiv:2006.16423). Throughput:
/// samples flow through a pipeline of devices, so what counts is the largest load. A split is contiguous if
/// each device gets the difference of two ideals (down-closed sets) of the forward graph. The best contiguous
/// split comes from a dynamic programme over the ideals whose pairs are enumerated with their loads kept up
/// to date, and from which everything is left out that a known split already beats. Splits that are not
/// contiguous are searched by annealing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace tailor::plan {

/// Times in whatever unit the workload has, all in the same one.
struct Operator {
  std::string name;
  double cpu = 0, accelerator = 0;  // time there
  double transfer = 0;              // of its output between an accelerator and the CPUs' memory
  double bytes = 0;                 // on an accelerator
  bool supported = true;            // on an accelerator
  bool backward = false;            // of a training step
  int colour = -1;                  // operators of one colour stay together; -1: free
};

struct OperatorGraph {
  std::vector<Operator> operators;
  std::vector<std::pair<int, int>> edges;  // from, to
  int accelerators = 1, cpus = 0;
  double memory = std::numeric_limits<double>::infinity();  // bytes of one accelerator
};

/// @throws Error bad_workload: an edge to nowhere or from an operator to itself, a cycle, an edge from a
/// backward to a forward operator, numbers that are negative or not finite, no device, more than 64
/// accelerators or CPUs
void check(const OperatorGraph& graph);

/// What each device has to do for one sample. Accelerators first, then CPUs. An accelerator pays for its
/// operators, for each output it reads from elsewhere and for each of its own that is read elsewhere, once
/// each; a CPU for its operators.
struct Loads {
  std::vector<double> load, bytes;  // per device
  double largest = 0;
  bool possible = true;  // memory is large enough, and what runs on accelerators is supported there
};
/// @param device of each operator. O(operators + edges)
Loads loads(const OperatorGraph& graph, const std::vector<int>& device);

struct PlacementOptions {
  std::size_t most_ideals = 100000;  // beyond, only linear orders are tried
  std::uint64_t most_pairs =
      2000000000u;  // of ideals; beyond, what was found is not proven (latency: 1 % of it)
  std::uint64_t search_steps = 4000000;  // of the annealing; 0: none (latency: one step in 40)
  std::uint64_t seed = 1;
};

struct Placement {
  std::vector<int> device;                                   // of each operator; empty: none found
  double largest = std::numeric_limits<double>::infinity();  // load
};

struct PlacementResult {
  Placement contiguous;
  bool optimal = false;         // among contiguous splits
  double contiguous_bound = 0;  // no contiguous split has a smaller largest load
  Placement any;                // not necessarily contiguous; never worse
  double bound = 0;             // no split at all has a smaller largest load
  std::size_t pieces = 0;       // operators after contraction
  std::size_t ideals = 0;       // 0: more than allowed
  std::uint64_t pairs = 0;      // of ideals that were looked at
};

/// When one sample is done that has the devices to itself: an accelerator runs all its operators as one
/// block, which begins when everything that it reads is there and takes its load; operators on CPUs run as
/// soon as what they read is there, however many at a time. Infinite where an accelerator would have to wait
/// for itself.
/// @param device of each operator. O(operators + edges)
double completion(const OperatorGraph& graph, const std::vector<int>& device);

struct LatencyResult {
  Placement best;  // `largest` is its completion
  double sequential =
      0;             // completion of the best split whose blocks run one after the other, before the search
  double bound = 0;  // no split is done earlier
  std::size_t pieces = 0, ideals = 0;
  std::uint64_t pairs = 0;
};

/// Least completion. The best sequence of blocks (a dynamic programme over the ideals, exact unless pairs run
/// out) is what an annealing of the real completion starts from: the result is not proven, the bound says how
/// far it can be.
/// @throws Error as check; usage for training graphs; goal_not_met if nothing was found that fits the memory
LatencyResult place_for_latency(const OperatorGraph& graph, const PlacementOptions& options = {});

/// Least largest load. Deterministic. Beyond 20,000 pieces only the annealing is left: no contiguous split is looked for. @throws Error as check; goal_not_met if no split fits the memory
PlacementResult place_for_throughput(const OperatorGraph& graph, const PlacementOptions& options = {});

}  // namespace tailor::plan

// Placement against going through all ideals and all assignments, on small graphs.
#include "tailor/plan/placement.h"

#include "tailor/base/error.h"
#include "tailor/plan/annealing.h"
#include "tailor/plan/ideals.h"
#include "tailor/plan/pieces.h"
#include "tests/plan/placement_instances.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>

namespace tailor::plan {
namespace {

using testing::random_operators;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// All subsets, kept if nothing inside needs something outside.
std::vector<unsigned> ideals_by_enumeration(const Pieces& pieces) {
  std::vector<unsigned> ideals;
  for (unsigned set = 0; set < (1u << pieces.size()); ++set) {
    bool closed = true;
    for (std::size_t p = 0; p < pieces.size(); ++p)
      for (int q : pieces.before[p]) closed = closed && (!(set >> p & 1) || (set >> q & 1));
    if (closed) ideals.push_back(set);
  }
  return ideals;
}

// The recursion as it is written down in the paper, with loads computed from the operators.
double contiguous_by_recursion(const OperatorGraph& graph, const Pieces& pieces) {
  const std::vector<unsigned> ideals = ideals_by_enumeration(pieces);
  const unsigned all = (1u << pieces.size()) - 1;
  auto load = [&](unsigned set, bool accelerator) {
    OperatorGraph two = graph;  // the device, and everything else
    two.accelerators = 2, two.cpus = 2;
    std::vector<int> device(pieces.size());
    for (std::size_t p = 0; p < pieces.size(); ++p)
      device[p] = set >> p & 1 ? (accelerator ? 0 : 2) : (accelerator ? 1 : 3);
    Loads found = loads(two, operators_of(two, pieces, device));
    bool fits = found.bytes[0] <= graph.memory;
    for (std::size_t p = 0; p < pieces.size(); ++p)
      fits = fits && (!(set >> p & 1) || pieces.pieces[p].supported);
    if (accelerator) return fits ? found.load[0] : kInfinity;
    return found.load[2];
  };
  std::function<double(unsigned, int, int)> best = [&](unsigned ideal, int accelerators, int cpus) {
    if (ideal == 0) return 0.0;
    double least = kInfinity;
    for (unsigned smaller : ideals) {
      if ((smaller & ideal) != smaller || smaller == ideal) continue;
      unsigned part = ideal & ~smaller;
      if (accelerators > 0)
        least = std::min(least, std::max(load(part, true), best(smaller, accelerators - 1, cpus)));
      if (cpus > 0)
        least = std::min(least, std::max(load(part, false), best(smaller, accelerators, cpus - 1)));
    }
    return least;
  };
  return best(all, graph.accelerators, graph.cpus);
}

double any_by_enumeration(const OperatorGraph& graph, const Pieces& pieces) {
  const int devices = graph.accelerators + graph.cpus;
  double least = kInfinity;
  std::vector<int> device(pieces.size());
  for (bool more = true; more;) {
    Loads found = loads(graph, operators_of(graph, pieces, device));
    if (found.possible) least = std::min(least, found.largest);
    std::size_t p = 0;
    for (; p < device.size(); device[p++] = 0)
      if (++device[p] < devices) break;
    more = p < device.size();
  }
  return least;
}

PlacementResult placed(const OperatorGraph& graph, std::uint64_t steps) {
  try {
    return place_for_throughput(graph, {.search_steps = steps});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::goal_not_met) << error.what();
    return {};
  }
}

TEST(Placement, ContiguousEqualsTheRecursion) {
  Random random(1);
  int found = 0;
  for (int i = 0; i < 150; ++i) {
    OperatorGraph graph = random_operators(random, 2 + static_cast<int>(random.below(5)), i % 3 == 0);
    Pieces pieces = contract(graph);
    double truth = contiguous_by_recursion(graph, pieces);
    PlacementResult result = placed(graph, 0);
    EXPECT_EQ(result.contiguous.largest, truth) << i;
    if (truth == kInfinity) continue;
    ++found;
    EXPECT_TRUE(result.optimal);
    EXPECT_EQ(loads(graph, result.contiguous.device).largest, truth);
    EXPECT_LE(result.bound, truth * (1 + 1e-9));
  }
  EXPECT_GT(found, 80);
}

TEST(Placement, AnySplitIsBoundedAndMostlyOptimal) {
  Random random(2);
  int optimal = 0, found = 0;
  for (int i = 0; i < 120; ++i) {
    OperatorGraph graph = random_operators(random, 2 + static_cast<int>(random.below(5)), i % 3 == 0);
    Pieces pieces = contract(graph);
    double truth = any_by_enumeration(graph, pieces);
    PlacementResult result = placed(graph, 4000);
    if (result.any.device.empty()) continue;
    ++found;
    Loads judged = loads(graph, result.any.device);
    EXPECT_TRUE(judged.possible);
    EXPECT_EQ(judged.largest, result.any.largest);
    EXPECT_GE(result.any.largest, truth);
    EXPECT_LE(result.any.largest, result.contiguous.largest);
    EXPECT_LE(result.bound, truth * (1 + 1e-9)) << i;
    optimal += result.any.largest == truth;
  }
  EXPECT_GT(found, 70);
  EXPECT_GE(optimal, found * 9 / 10);
}

TEST(Placement, IdealsAreThoseOfEnumeration) {
  Random random(3);
  for (int i = 0; i < 60; ++i) {
    Pieces pieces = contract(random_operators(random, 9, i % 2 == 0));
    std::optional<Lattice> lattice = all_ideals(pieces, 100000);
    ASSERT_TRUE(lattice);
    EXPECT_EQ(lattice->size(), ideals_by_enumeration(pieces).size());
    for (std::size_t ideal = 0; ideal < lattice->size(); ++ideal)
      for (std::size_t t = lattice->begin[ideal]; t < lattice->begin[ideal + 1]; ++t)
        EXPECT_GT(static_cast<std::size_t>(lattice->next[t]), ideal);
    EXPECT_FALSE(all_ideals(pieces, lattice->size() - 1));
  }
}

TEST(Placement, ContractionKeepsOperatorsAndColours) {
  Random random(4);
  for (int i = 0; i < 100; ++i) {
    OperatorGraph graph = random_operators(random, 12, i % 2 == 0);
    Pieces pieces = contract(graph);
    std::vector<int> piece(graph.operators.size(), -1);
    for (std::size_t p = 0; p < pieces.size(); ++p)
      for (int v : pieces.pieces[p].operators) {
        EXPECT_EQ(piece[static_cast<std::size_t>(v)], -1);
        piece[static_cast<std::size_t>(v)] = static_cast<int>(p);
      }
    std::map<int, int> of_colour;
    for (std::size_t v = 0; v < piece.size(); ++v) {
      ASSERT_GE(piece[v], 0);
      int colour = graph.operators[v].colour;
      if (colour < 0) continue;
      EXPECT_EQ(of_colour.try_emplace(colour, piece[v]).first->second, piece[v]);
    }
    for (std::size_t p = 0; p < pieces.size(); ++p)
      for (int q : pieces.after[p]) EXPECT_GT(q, static_cast<int>(p));
  }
}

// a -> b -> c with one colour for a and c: all three stay together.
TEST(Placement, ColoursThatMakeACycleAreFused) {
  OperatorGraph graph;
  graph.operators = {{"a", 1, 1, 1, 1}, {"b", 1, 1, 1, 1}, {"c", 1, 1, 1, 1}};
  graph.operators[0].colour = graph.operators[2].colour = 7;
  graph.edges = {{0, 1}, {1, 2}};
  EXPECT_EQ(contract(graph).size(), 1u);
}

TEST(Placement, LoadsCountEveryTransferOnce) {
  OperatorGraph graph;
  graph.accelerators = 2, graph.cpus = 1;
  graph.operators = {{"a", 50, 5, 3, 10}, {"b", 60, 6, 2, 20}, {"c", 70, 7, 1, 30}, {"d", 80, 8, 1, 40}};
  graph.edges = {{0, 1}, {0, 2}, {0, 3}, {1, 3}};
  Loads found = loads(graph, {0, 1, 1, 2});
  EXPECT_EQ(found.load, (std::vector<double>{5 + 3, 6 + 7 + 3 + 2, 80}));
  EXPECT_EQ(found.bytes, (std::vector<double>{10, 50, 40}));
  graph.memory = 49;
  EXPECT_FALSE(loads(graph, {0, 1, 1, 2}).possible);
}

// a on an accelerator, then b and c side by side on CPUs, then d on another accelerator.
TEST(Completion, CpuOperatorsRunSideBySide) {
  OperatorGraph graph;
  graph.accelerators = 2, graph.cpus = 1;
  graph.operators = {{"a", 50, 5, 3, 1}, {"b", 60, 6, 2, 1}, {"c", 70, 7, 1, 1}, {"d", 80, 8, 4, 1}};
  graph.edges = {{0, 1}, {0, 2}, {1, 3}, {2, 3}};
  EXPECT_EQ(completion(graph, {0, 2, 2, 1}), 5 + 3 + 70 + (2 + 1 + 8));
  EXPECT_EQ(completion(graph, {2, 2, 2, 2}), 50 + 70 + 80);
  EXPECT_EQ(completion(graph, {0, 0, 0, 0}), 5 + 6 + 7 + 8);
  EXPECT_EQ(completion(graph, {0, 0, 1, 0}), kInfinity) << "the first accelerator waits for itself";
}

TEST(Completion, TheSearchIsBoundedByEnumeration) {
  Random random(6);
  int optimal = 0, found = 0;
  for (int i = 0; i < 80; ++i) {
    OperatorGraph graph = random_operators(random, 2 + static_cast<int>(random.below(5)), false);
    graph.memory = 1e9;
    Pieces pieces = contract(graph);
    double truth = kInfinity;
    std::vector<int> device(pieces.size());
    for (bool more = true; more;) {
      std::vector<int> operators = operators_of(graph, pieces, device);
      if (loads(graph, operators).possible) truth = std::min(truth, completion(graph, operators));
      std::size_t p = 0;
      for (; p < device.size(); device[p++] = 0)
        if (++device[p] < graph.accelerators + graph.cpus) break;
      more = p < device.size();
    }
    LatencyResult result = place_for_latency(graph, {.search_steps = 40000});
    ++found;
    EXPECT_GE(result.best.largest, truth) << i;
    EXPECT_LE(result.best.largest, result.sequential);
    EXPECT_LE(result.bound, truth);
    optimal += result.best.largest == truth;
  }
  EXPECT_GE(optimal, found * 8 / 10);
}

TEST(Completion, TrainingStepsAreRefused) {
  OperatorGraph graph;
  graph.operators = {{"a", 1, 1, 1, 1}, {"b", 1, 1, 1, 1}};
  graph.operators[1].backward = true;
  EXPECT_THROW(place_for_latency(graph), Error);
}

TEST(Placement, BrokenGraphsAreRefused) {
  OperatorGraph good;
  good.operators = {{"a", 1, 1, 1, 1}, {"b", 1, 1, 1, 1}};
  good.edges = {{0, 1}};
  EXPECT_NO_THROW(check(good));
  auto refused = [&](const std::function<void(OperatorGraph&)>& spoil) {
    OperatorGraph graph = good;
    spoil(graph);
    try {
      place_for_throughput(graph);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_workload) << error.what();
    }
  };
  refused([](OperatorGraph& g) { g.operators.clear(), g.edges.clear(); });
  refused([](OperatorGraph& g) { g.edges.emplace_back(1, 0); });
  refused([](OperatorGraph& g) { g.edges.emplace_back(1, 1); });
  refused([](OperatorGraph& g) { g.edges.emplace_back(1, 2); });
  refused([](OperatorGraph& g) { g.edges.emplace_back(-1, 1); });
  refused([](OperatorGraph& g) { g.operators[0].cpu = -1; });
  refused([](OperatorGraph& g) { g.operators[0].transfer = std::nan(""); });
  refused([](OperatorGraph& g) { g.operators[0].backward = true; });
  refused([](OperatorGraph& g) { g.accelerators = 0; });
  refused([](OperatorGraph& g) { g.accelerators = 65; });
  refused([](OperatorGraph& g) { g.memory = -1; });
}

TEST(Placement, TooLittleMemoryIsNoSplit) {
  OperatorGraph graph;
  graph.operators = {{"a", 1, 1, 1, 10}};
  graph.memory = 5;
  EXPECT_THROW(place_for_throughput(graph), Error);
  graph.cpus = 1;
  EXPECT_EQ(place_for_throughput(graph).any.device, (std::vector<int>{1}));
}

TEST(Placement, PairsAreBoundedAndThenNothingIsProven) {
  Random random(5);
  OperatorGraph graph = random_operators(random, 14, false);
  graph.memory = 1e9;
  PlacementResult result = place_for_throughput(graph, {.most_pairs = 3, .search_steps = 1000});
  EXPECT_FALSE(result.optimal);
  EXPECT_FALSE(result.any.device.empty());
}

}  // namespace
}  // namespace tailor::plan

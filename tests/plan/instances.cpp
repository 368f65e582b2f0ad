// small_problem = variables + the structure's edges + random constants, unary and ternary factors. The
// networks share layer_table (staircase with noise) and loss_table (convex).
#include "tests/plan/instances.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tailor::plan::testing {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

Cost small_cost(const Numbers& numbers, Random& random) {
  auto number = [&] {
    return static_cast<double>(random.below(static_cast<std::size_t>(numbers.largest) + 1));
  };
  Cost cost{number(), number()};
  if (random.uniform() < numbers.zero_latency) cost.latency_us = 0;
  if (random.uniform() < numbers.forbidden) cost.latency_us = infinity;
  return cost;
}

void add_factor(Problem& problem, std::vector<int> scope, const Numbers& numbers, Random& random) {
  std::size_t size = 1;
  for (int v : scope) size *= static_cast<std::size_t>(problem.variables[v].candidates);
  Factor factor{std::move(scope), {}};
  for (std::size_t i = 0; i < size; ++i) factor.table.push_back(small_cost(numbers, random));
  problem.factors.push_back(std::move(factor));
}

std::vector<std::pair<int, int>> edges_of(Structure structure, int n, Random& random) {
  std::vector<std::pair<int, int>> edges;
  auto earlier = [&](int v) { return static_cast<int>(random.below(static_cast<std::size_t>(v))); };
  for (int v = 1; v < n; ++v) switch (structure) {
      case Structure::independent:
        break;
      case Structure::chain:
        edges.emplace_back(v - 1, v);
        break;
      case Structure::tree:
        edges.emplace_back(earlier(v), v);
        break;
      case Structure::cycle:
        edges.emplace_back(v - 1, v);
        if (v == n - 1 && n > 2) edges.emplace_back(v, 0);
        break;
      case Structure::clique:
        for (int u = 0; u < v; ++u) edges.emplace_back(v, u);
        break;
      case Structure::residual:  // 0 is the stream; inner groups in pairs
        edges.emplace_back(0, v);
        if (v % 2 == 0) edges.emplace_back(v - 1, v);
        break;
      case Structure::random_graph:
        for (int u = 0; u < v; ++u)
          if (random.uniform() < 0.4) edges.emplace_back(u, v);
        break;
      case Structure::disconnected:
        if (v != n / 2) edges.emplace_back(v - 1, v);
        break;
    }
  return edges;
}

double stairs(int width, double step) { return std::ceil(width / step) * step; }

// A convolution of rows x (in -> out); widths are the candidates' channels.
std::vector<Cost> layer_table(const std::vector<int>& in, const std::vector<int>& out, double us,
                              Random& random) {
  std::vector<Cost> table;
  const double full = static_cast<double>(in.back()) * out.back();
  for (int i : in)
    for (int o : out) {
      double noise = std::exp(0.02 * random.normal());
      double slow = i % 4 ? 1.35 : 1.0;
      table.push_back({us * slow * noise * stairs(i, 4) * stairs(o, 16) / full, 0});
    }
  return table;
}

std::vector<Cost> loss_table(const std::vector<int>& widths, Random& random) {
  const double scale = random.uniform(0.2, 2), power = random.uniform(1.5, 3);
  std::vector<Cost> table;
  for (int w : widths)
    table.push_back({0, scale * std::pow(1 - static_cast<double>(w) / widths.back(), power)});
  return table;
}

std::vector<int> widths_up_to(int most, int count, Random& random) {
  std::vector<int> widths;
  for (int i = 1; i <= count; ++i) {
    int w = most * (count + i) / (2 * count);
    if (i < count && random.uniform() < 0.5) w += static_cast<int>(random.below(3));
    widths.push_back(std::min(w, most));
  }
  std::sort(widths.begin(), widths.end());
  return widths;
}

// Adds groups and layers with one line each.
struct Network {
  Problem problem;
  std::vector<std::vector<int>> widths;
  Random random;
  int count;

  int group(int most) {
    int v = static_cast<int>(problem.variables.size());
    widths.push_back(widths_up_to(most, count, random));
    problem.variables.push_back({std::string("group").append(std::to_string(v)), count});
    problem.factors.push_back({{v}, loss_table(widths.back(), random)});
    return v;
  }
  void layer(int in, int out, double us) {
    problem.factors.push_back({{in, out}, layer_table(widths[in], widths[out], us, random)});
  }
  void end_layer(int group, double us) {  // the other side is fixed: the image, the classes
    problem.factors.push_back({{group}, layer_table({4}, widths[group], us, random)});
  }
};

}  // namespace

Problem small_problem(Structure structure, int variables, int max_candidates, const Numbers& numbers,
                      Random& random) {
  Problem problem;
  for (int v = 0; v < variables; ++v)
    problem.variables.push_back(
        {std::string("v").append(std::to_string(v)), 1 + static_cast<int>(random.below(max_candidates))});
  for (auto [u, v] : edges_of(structure, variables, random)) add_factor(problem, {u, v}, numbers, random);
  for (int v = 0; v < variables; ++v)
    if (random.uniform() < 0.7) add_factor(problem, {v}, numbers, random);
  if (random.uniform() < 0.3) add_factor(problem, {}, {numbers.largest, 0, 0}, random);
  if (variables >= 3 && random.uniform() < 0.3) {
    std::vector<int> scope(variables);
    for (int v = 0; v < variables; ++v) scope[v] = v;
    random.shuffle(scope);
    scope.resize(3);
    add_factor(problem, scope, numbers, random);
  }
  random.shuffle(problem.factors);
  return problem;
}

Problem resnet50_problem(int widths, std::uint64_t seed) {
  Network net{{}, {}, Random(seed), widths};
  int stream = net.group(64);
  net.end_layer(stream, 900);
  const int blocks[] = {3, 4, 6, 3};
  for (int stage = 0; stage < 4; ++stage) {
    int out = net.group(256 << stage);
    for (int block = 0; block < blocks[stage]; ++block) {
      int in = block == 0 ? stream : out;
      int inner1 = net.group(64 << stage), inner2 = net.group(64 << stage);
      net.layer(in, inner1, 400);
      net.layer(inner1, inner2, 900);
      net.layer(inner2, out, 400);
      if (block == 0) net.layer(in, out, 500);
    }
    stream = out;
  }
  net.end_layer(stream, 120);
  return net.problem;
}

Problem chain_problem(int layers, int widths, std::uint64_t seed) {
  Network net{{}, {}, Random(seed), widths};
  int before = net.group(128);
  for (int i = 0; i < layers; ++i) {
    int next = net.group(128);
    net.layer(before, next, 300);
    before = next;
  }
  return net.problem;
}

Problem independent_problem(int groups, int candidates, std::uint64_t seed) {
  Network net{{}, {}, Random(seed), candidates};
  for (int i = 0; i < groups; ++i) {
    int group = net.group(64);
    net.end_layer(group, net.random.uniform(50, 300));
  }
  return net.problem;
}

}  // namespace tailor::plan::testing

// contract = classes of operators (colours, then cycles, then trivial operators, kept in a union-find) ->
// forward edges between classes -> pieces in topological order -> nets. Orphans are classes with backward
// operators alone; the edges between backward operators, turned round, give them a place in the forward
// graph.
#include "tailor/plan/pieces.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace tailor::plan {
namespace {

constexpr double kNoTime = 1e-6;

class Classes {
 public:
  explicit Classes(std::size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), 0); }
  int find(int a) {
    while (parent_[static_cast<std::size_t>(a)] != a)
      a = parent_[static_cast<std::size_t>(a)] =
          parent_[static_cast<std::size_t>(parent_[static_cast<std::size_t>(a)])];
    return a;
  }
  bool join(int a, int b) {
    a = find(a), b = find(b);
    parent_[static_cast<std::size_t>(b)] = a;
    return a != b;
  }

 private:
  std::vector<int> parent_;
};

using Edges = std::set<std::pair<int, int>>;

void join_colours(const OperatorGraph& graph, Classes& classes) {
  std::map<int, int> first;
  for (std::size_t v = 0; v < graph.operators.size(); ++v) {
    int colour = graph.operators[v].colour;
    if (colour < 0) continue;
    auto [entry, added] = first.try_emplace(colour, static_cast<int>(v));
    if (!added) classes.join(entry->second, static_cast<int>(v));
  }
}

// Whether each class (by its representative) has a forward operator.
std::vector<bool> with_forward(const OperatorGraph& graph, Classes& classes) {
  std::vector<bool> forward(graph.operators.size());
  for (std::size_t v = 0; v < graph.operators.size(); ++v)
    if (!graph.operators[v].backward)
      forward[static_cast<std::size_t>(classes.find(static_cast<int>(v)))] = true;
  return forward;
}

// Edges of the forward graph between classes. Those between backward operators count, turned round, where one
// side's class is an orphan: had only backward operators at the start (`orphan`).
Edges forward_edges(const OperatorGraph& graph, Classes& classes, const std::vector<bool>& orphan) {
  Edges edges;
  for (auto [from, to] : graph.edges) {
    bool back_from = graph.operators[static_cast<std::size_t>(from)].backward,
         back_to = graph.operators[static_cast<std::size_t>(to)].backward;
    int a = classes.find(from), b = classes.find(to);
    if (a == b) continue;
    if (!back_from && !back_to) edges.emplace(a, b);
    bool mirrored = back_from && back_to &&
                    (orphan[static_cast<std::size_t>(from)] || orphan[static_cast<std::size_t>(to)]);
    if (mirrored) edges.emplace(b, a);
  }
  return edges;
}

// Kosaraju: classes that reach each other are joined. True if some were.
bool join_cycles(std::size_t count, const Edges& edges, Classes& classes) {
  std::vector<std::vector<int>> after(count), before(count);
  for (auto [a, b] : edges)
    after[static_cast<std::size_t>(a)].push_back(b), before[static_cast<std::size_t>(b)].push_back(a);
  std::vector<bool> seen(count);
  std::vector<int> finished;
  for (std::size_t root = 0; root < count; ++root) {
    if (seen[root]) continue;
    seen[root] = true;
    std::vector<std::pair<int, std::size_t>> stack{{static_cast<int>(root), 0}};
    while (!stack.empty()) {
      auto& [v, next] = stack.back();
      const auto& list = after[static_cast<std::size_t>(v)];
      if (next == list.size()) {
        finished.push_back(v), stack.pop_back();
      } else if (int w = list[next++]; !seen[static_cast<std::size_t>(w)]) {
        seen[static_cast<std::size_t>(w)] = true, stack.emplace_back(w, 0);
      }
    }
  }
  bool joined = false;
  std::vector<bool> taken(count);
  for (auto root = finished.rbegin(); root != finished.rend(); ++root) {
    std::vector<int> stack{*root};
    while (!stack.empty()) {
      int v = stack.back();
      stack.pop_back();
      if (taken[static_cast<std::size_t>(v)]) continue;
      taken[static_cast<std::size_t>(v)] = true;
      joined = (v != *root && classes.join(*root, v)) || joined;
      for (int w : before[static_cast<std::size_t>(v)])
        if (!taken[static_cast<std::size_t>(w)]) stack.push_back(w);
    }
  }
  return joined;
}

// One round: classes without time that have exactly one edge to or from another class, and none to or from
// backward operators, join that class.
bool join_trivial(const OperatorGraph& graph, const Edges& forward, Classes& classes) {
  const std::size_t count = graph.operators.size();
  std::vector<double> time(count);
  std::vector<bool> touches_backward(count);
  for (std::size_t v = 0; v < count; ++v)
    time[static_cast<std::size_t>(classes.find(static_cast<int>(v)))] +=
        graph.operators[v].cpu + graph.operators[v].accelerator;
  for (auto [from, to] : graph.edges) {
    int a = classes.find(from), b = classes.find(to);
    bool back_from = graph.operators[static_cast<std::size_t>(from)].backward,
         back_to = graph.operators[static_cast<std::size_t>(to)].backward;
    if (back_to && !back_from) touches_backward[static_cast<std::size_t>(a)] = true;
    if (back_from && !back_to) touches_backward[static_cast<std::size_t>(b)] = true;
  }
  std::vector<int> edges(count), neighbour(count, -1);
  for (auto [a, b] : forward) {
    ++edges[static_cast<std::size_t>(a)], ++edges[static_cast<std::size_t>(b)];
    neighbour[static_cast<std::size_t>(a)] = b, neighbour[static_cast<std::size_t>(b)] = a;
  }
  bool joined = false;
  for (std::size_t v = 0; v < count; ++v)
    if (classes.find(static_cast<int>(v)) == static_cast<int>(v) && edges[v] == 1 && time[v] < kNoTime &&
        !touches_backward[v])
      joined = classes.join(neighbour[v], static_cast<int>(v)) || joined;
  return joined;
}

// A topological order; ready ones last in, first out if depth_first.
std::vector<int> topological(const std::vector<std::vector<int>>& before,
                             const std::vector<std::vector<int>>& after, bool depth_first) {
  std::vector<std::size_t> waiting(before.size());
  std::vector<int> ready, order;
  for (std::size_t v = 0; v < before.size(); ++v)
    if ((waiting[v] = before[v].size()) == 0) ready.push_back(static_cast<int>(v));
  for (std::size_t first = 0; first < ready.size();) {
    int v = depth_first ? ready.back() : ready[first++];
    if (depth_first) ready.pop_back();
    order.push_back(v);
    for (int w : after[static_cast<std::size_t>(v)])
      if (--waiting[static_cast<std::size_t>(w)] == 0) ready.push_back(w);
  }
  return order;
}

Pieces pieces_of(const OperatorGraph& graph, const Edges& edges, Classes& classes) {
  Pieces result;
  std::vector<int> piece_of(graph.operators.size(), -1);
  for (std::size_t v = 0; v < graph.operators.size(); ++v) {
    int& index = piece_of[static_cast<std::size_t>(classes.find(static_cast<int>(v)))];
    if (index < 0) index = static_cast<int>(result.pieces.size()), result.pieces.emplace_back();
    Piece& piece = result.pieces[static_cast<std::size_t>(index)];
    const Operator& op = graph.operators[v];
    piece.cpu += op.cpu, piece.accelerator += op.accelerator, piece.bytes += op.bytes;
    piece.supported = piece.supported && op.supported;
    piece.operators.push_back(static_cast<int>(v));
  }
  result.before.resize(result.size()), result.after.resize(result.size()),
      result.nets_of.resize(result.size());
  for (auto [a, b] : edges) {
    int from = piece_of[static_cast<std::size_t>(a)], to = piece_of[static_cast<std::size_t>(b)];
    result.after[static_cast<std::size_t>(from)].push_back(to);
    result.before[static_cast<std::size_t>(to)].push_back(from);
  }
  return result;
}

// Outputs by who makes and reads them; those of the same pieces become one.
void add_nets(const OperatorGraph& graph, Pieces& pieces) {
  std::vector<int> piece_of(graph.operators.size());
  for (std::size_t p = 0; p < pieces.size(); ++p)
    for (int v : pieces.pieces[p].operators) piece_of[static_cast<std::size_t>(v)] = static_cast<int>(p);
  std::map<int, std::set<int>> pins;  // of each operator's output
  for (auto [from, to] : graph.edges) {
    std::set<int>& set = pins[from];
    set.insert(piece_of[static_cast<std::size_t>(from)]), set.insert(piece_of[static_cast<std::size_t>(to)]);
  }
  std::map<std::vector<int>, double> costs;
  for (const auto& [v, set] : pins)
    if (double cost = graph.operators[static_cast<std::size_t>(v)].transfer; set.size() > 1 && cost > 0)
      costs[{set.begin(), set.end()}] += cost;
  for (const auto& [set, cost] : costs) {
    for (int p : set)
      pieces.nets_of[static_cast<std::size_t>(p)].push_back(static_cast<int>(pieces.nets.size()));
    pieces.nets.push_back({cost, set});
  }
}

}  // namespace

Pieces contract(const OperatorGraph& graph) {
  const std::size_t count = graph.operators.size();
  Classes classes(count);
  join_colours(graph, classes);
  std::vector<bool> forward = with_forward(graph, classes), orphan(count);
  for (std::size_t v = 0; v < count; ++v)
    orphan[v] = !forward[static_cast<std::size_t>(classes.find(static_cast<int>(v)))];
  Edges edges = forward_edges(graph, classes, orphan);
  if (join_cycles(count, edges, classes)) edges = forward_edges(graph, classes, orphan);
  while (join_trivial(graph, edges, classes)) edges = forward_edges(graph, classes, orphan);
  Pieces pieces = pieces_of(graph, edges, classes);
  std::vector<int> order = topological(pieces.before, pieces.after, true);
  TAILOR_CHECK(order.size() == pieces.size());
  pieces = renumbered(pieces, order);
  add_nets(graph, pieces);
  return pieces;
}

Pieces renumbered(const Pieces& pieces, const std::vector<int>& order) {
  std::vector<int> place(order.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    place[static_cast<std::size_t>(order[i])] = static_cast<int>(i);
  auto moved = [&](const std::vector<int>& list) {
    std::vector<int> result;
    for (int p : list) result.push_back(place[static_cast<std::size_t>(p)]);
    std::sort(result.begin(), result.end());
    return result;
  };
  Pieces result;
  for (int p : order) {
    auto from = static_cast<std::size_t>(p);
    result.pieces.push_back(pieces.pieces[from]);
    result.before.push_back(moved(pieces.before[from])), result.after.push_back(moved(pieces.after[from]));
    result.nets_of.push_back(pieces.nets_of[from]);
  }
  for (const Net& net : pieces.nets) result.nets.push_back({net.cost, moved(net.pins)});
  return result;
}

std::vector<std::vector<int>> linear_orders(const Pieces& pieces) {
  return {topological(pieces.before, pieces.after, true), topological(pieces.before, pieces.after, false)};
}

std::vector<int> operators_of(const OperatorGraph& graph, const Pieces& pieces,
                              const std::vector<int>& device) {
  std::vector<int> result(graph.operators.size(), -1);
  for (std::size_t p = 0; p < pieces.size(); ++p)
    for (int v : pieces.pieces[p].operators) result[static_cast<std::size_t>(v)] = device[p];
  return result;
}

}  // namespace tailor::plan

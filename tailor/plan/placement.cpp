// place_for_throughput = contract -> linear orders (a first limit) -> all ideals (the optimum) -> annealing.
// check and loads are on the operators as they were given: what the search found is judged by them.
#include "tailor/plan/placement.h"

#include "tailor/base/error.h"
#include "tailor/plan/annealing.h"
#include "tailor/plan/ideals.h"
#include "tailor/plan/pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace tailor::plan {
namespace {

constexpr int kMostDevices = 64;                 // of a kind
constexpr std::size_t kTableBytes = 2000000000;  // of a programme

[[noreturn]] void fail(const std::string& why, const std::string& place = {}) {
  throw Error(Code::bad_workload, why, place);
}

void check_operator(const Operator& op) {
  for (double number : {op.cpu, op.accelerator, op.transfer, op.bytes})
    if (!(number >= 0) || !std::isfinite(number)) fail("a time or size is negative or not finite", op.name);
}

// Kahn: what never becomes ready lies on a cycle.
void check_acyclic(const OperatorGraph& graph) {
  std::vector<std::vector<int>> after(graph.operators.size());
  std::vector<int> waiting(graph.operators.size()), ready;
  for (auto [from, to] : graph.edges)
    after[static_cast<std::size_t>(from)].push_back(to), ++waiting[static_cast<std::size_t>(to)];
  for (std::size_t v = 0; v < waiting.size(); ++v)
    if (waiting[v] == 0) ready.push_back(static_cast<int>(v));
  for (std::size_t first = 0; first < ready.size(); ++first)
    for (int w : after[static_cast<std::size_t>(ready[first])])
      if (--waiting[static_cast<std::size_t>(w)] == 0) ready.push_back(w);
  for (std::size_t v = 0; v < waiting.size(); ++v)
    if (waiting[v] > 0) fail("the operators form a cycle", graph.operators[v].name);
}

// Judged on the graph as it was given.
Placement judged(const OperatorGraph& graph, const Pieces& pieces, const std::vector<int>& device) {
  Placement placement{operators_of(graph, pieces, device), 0};
  Loads found = loads(graph, placement.device);
  if (!found.possible) return {};
  placement.largest = found.largest;
  return placement;
}

void keep_better(Placement& best, Placement other) {
  if (other.largest < best.largest) best = std::move(other);
}

// How many ideals a programme has room for: 16 bytes for each number of accelerators and CPUs.
std::size_t room(const OperatorGraph& graph, const PlacementOptions& options) {
  auto states = static_cast<std::size_t>((graph.accelerators + 1) * (graph.cpus + 1));
  return std::min(options.most_ideals, kTableBytes / (16 * states));
}

// Contiguous in a linear order of the forward graph.
void try_orders(const OperatorGraph& graph, const Pieces& pieces, const PlacementOptions& options,
                PlacementResult& result) {
  if (pieces.size() > kMostPieces || pieces.size() >= room(graph, options)) return;
  for (const std::vector<int>& order : linear_orders(pieces)) {
    Pieces row = renumbered(pieces, order);
    SplitSearch found =
        best_split(graph, row, chain(row.size()), result.contiguous.largest, options.most_pairs);
    if (!found.device.empty()) keep_better(result.contiguous, judged(graph, row, found.device));
    result.pairs += found.pairs;
  }
}

void try_ideals(const OperatorGraph& graph, const Pieces& pieces, const PlacementOptions& options,
                PlacementResult& result) {
  if (pieces.size() > kMostPieces) return;
  std::optional<Lattice> lattice = all_ideals(pieces, room(graph, options));
  if (!lattice) return;
  result.ideals = lattice->size();
  SplitSearch found = best_split(graph, pieces, *lattice, result.contiguous.largest, options.most_pairs);
  result.pairs += found.pairs;
  if (!found.device.empty()) keep_better(result.contiguous, judged(graph, pieces, found.device));
  result.optimal = found.complete;
  if (found.complete) result.contiguous_bound = std::max(result.bound, result.contiguous.largest);
}

// Any split that fits the memory, where no contiguous one was found: the largest pieces first, each to the
// accelerator with most room.
std::vector<int> by_size(const OperatorGraph& graph, const Pieces& pieces) {
  std::vector<int> order(pieces.size()), device(pieces.size(), -1);
  for (std::size_t p = 0; p < order.size(); ++p) order[p] = static_cast<int>(p);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return pieces.pieces[static_cast<std::size_t>(a)].bytes >
           pieces.pieces[static_cast<std::size_t>(b)].bytes;
  });
  std::vector<double> room(static_cast<std::size_t>(graph.accelerators), graph.memory);
  for (int p : order) {
    const Piece& piece = pieces.pieces[static_cast<std::size_t>(p)];
    auto best = std::max_element(room.begin(), room.end());
    bool there = best != room.end() && piece.supported && piece.bytes <= *best;
    if (!there && graph.cpus == 0) return {};
    device[static_cast<std::size_t>(p)] = there ? static_cast<int>(best - room.begin()) : graph.accelerators;
    if (there) *best -= piece.bytes;
  }
  return device;
}

std::vector<int> pieces_of_operators(const Pieces& pieces, const std::vector<int>& device) {
  std::vector<int> result;
  for (const Piece& piece : pieces.pieces)
    result.push_back(device[static_cast<std::size_t>(piece.operators.front())]);
  return result;
}

void search_any(const OperatorGraph& graph, const Pieces& pieces, const PlacementOptions& options,
                PlacementResult& result) {
  std::vector<int> start = result.contiguous.device.empty()
                               ? by_size(graph, pieces)
                               : pieces_of_operators(pieces, result.contiguous.device);
  if (start.empty())
    throw Error(Code::goal_not_met, "no split fits the memory of the accelerators", "",
                fmt::format("{} accelerators of {:g} bytes: more of either, or a CPU", graph.accelerators,
                            graph.memory));
  result.any = judged(graph, pieces, start);
  if (options.search_steps == 0) return;
  keep_better(result.any,
              judged(graph, pieces, anneal(graph, pieces, start, options.search_steps, options.seed)));
}

}  // namespace

void check(const OperatorGraph& graph) {
  if (graph.accelerators < 0 || graph.cpus < 0 || graph.accelerators + graph.cpus == 0 ||
      graph.accelerators > kMostDevices || graph.cpus > kMostDevices)
    fail(fmt::format("{} accelerators and {} CPUs: 1 to {} devices are possible", graph.accelerators,
                     graph.cpus, kMostDevices));
  if (graph.operators.empty()) fail("there are no operators");
  if (!(graph.memory >= 0)) fail("the memory is no number of bytes");
  for (const Operator& op : graph.operators) check_operator(op);
  const auto count = static_cast<int>(graph.operators.size());
  for (auto [from, to] : graph.edges) {
    if (from < 0 || from >= count || to < 0 || to >= count) fail("an edge to an operator that is not there");
    const Operator &a = graph.operators[static_cast<std::size_t>(from)],
                   &b = graph.operators[static_cast<std::size_t>(to)];
    if (from == to) fail("an edge from an operator to itself", a.name);
    if (a.backward && !b.backward) fail("an edge from a backward to a forward operator", a.name);
  }
  check_acyclic(graph);
}

Loads loads(const OperatorGraph& graph, const std::vector<int>& device) {
  const auto devices = static_cast<std::size_t>(graph.accelerators + graph.cpus);
  Loads result{std::vector<double>(devices), std::vector<double>(devices)};
  auto on_accelerator = [&](int d) { return d < graph.accelerators; };
  std::set<std::pair<int, int>> read;  // operator, device that reads its output without having made it
  for (auto [from, to] : graph.edges)
    if (int d = device[static_cast<std::size_t>(to)]; d != device[static_cast<std::size_t>(from)])
      read.emplace(from, d);
  int sent = -1;
  for (auto [v, d] : read) {
    const double cost = graph.operators[static_cast<std::size_t>(v)].transfer;
    const int own = device[static_cast<std::size_t>(v)];
    if (on_accelerator(d)) result.load[static_cast<std::size_t>(d)] += cost;
    if (v != sent && on_accelerator(own)) result.load[static_cast<std::size_t>(own)] += cost;
    sent = v;
  }
  for (std::size_t v = 0; v < graph.operators.size(); ++v) {
    const Operator& op = graph.operators[v];
    const auto d = static_cast<std::size_t>(device[v]);
    const bool accelerator = on_accelerator(device[v]);
    result.load[d] += accelerator ? op.accelerator : op.cpu;
    result.bytes[d] += op.bytes;
    if (accelerator && !op.supported) result.possible = false;
  }
  for (std::size_t d = 0; d < devices; ++d) {
    result.largest = std::max(result.largest, result.load[d]);
    if (on_accelerator(static_cast<int>(d)) && result.bytes[d] > graph.memory * (1 + 1e-9))
      result.possible = false;
  }
  return result;
}

PlacementResult place_for_throughput(const OperatorGraph& graph, const PlacementOptions& options) {
  check(graph);
  const Pieces pieces = contract(graph);
  PlacementResult result;
  result.pieces = pieces.size();
  result.bound = result.contiguous_bound = load_bound(graph, pieces);
  try_orders(graph, pieces, options, result);
  try_ideals(graph, pieces, options, result);
  search_any(graph, pieces, options, result);
  return result;
}

}  // namespace tailor::plan

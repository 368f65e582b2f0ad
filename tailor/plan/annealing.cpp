// State keeps, per device, its load and memory and, per net, how many of its pins each device has; a move
// updates the two devices concerned. anneal walks with a temperature that falls geometrically, remembers the
// best split by largest load, and starts again from it with half the temperature a few times.
#include "tailor/plan/annealing.h"

#include "tailor/base/random.h"

#include <algorithm>
#include <cmath>

namespace tailor::plan {
namespace {

class State {
 public:
  State(const OperatorGraph& graph, const Pieces& pieces, std::vector<int> device)
      : graph_(graph),
        pieces_(pieces),
        devices_(static_cast<std::size_t>(graph.accelerators + graph.cpus)),
        device_(std::move(device)),
        load_(devices_),
        bytes_(devices_),
        pins_(devices_ * pieces.nets.size()) {
    for (std::size_t p = 0; p < pieces.size(); ++p) change(static_cast<int>(p), at(static_cast<int>(p)), 1);
  }

  std::size_t devices() const { return devices_; }
  std::size_t at(int piece) const {
    return static_cast<std::size_t>(device_[static_cast<std::size_t>(piece)]);
  }
  const std::vector<int>& device() const { return device_; }
  double largest() const { return *std::max_element(load_.begin(), load_.end()); }
  // Sum of 8th powers of loads in units of `unit`.
  double energy(double unit) const {
    double sum = 0;
    for (double load : load_) {
      double x = load / unit, x2 = x * x, x4 = x2 * x2;
      sum += x4 * x4;
    }
    return sum;
  }
  bool fits(int piece, std::size_t to) const {
    const Piece& p = pieces_.pieces[static_cast<std::size_t>(piece)];
    return !is_accelerator(to) || (p.supported && bytes_[to] + p.bytes <= graph_.memory);
  }
  void move(int piece, std::size_t to) {
    change(piece, at(piece), -1);
    device_[static_cast<std::size_t>(piece)] = static_cast<int>(to);
    change(piece, to, 1);
  }

 private:
  bool is_accelerator(std::size_t device) const {
    return device < static_cast<std::size_t>(graph_.accelerators);
  }

  void change(int piece, std::size_t device, int by) {
    const Piece& p = pieces_.pieces[static_cast<std::size_t>(piece)];
    load_[device] += by * (is_accelerator(device) ? p.accelerator : p.cpu);
    bytes_[device] += by * p.bytes;
    for (int n : pieces_.nets_of[static_cast<std::size_t>(piece)]) {
      const Net& net = pieces_.nets[static_cast<std::size_t>(n)];
      int& count = pins_[static_cast<std::size_t>(n) * devices_ + device];
      const int all = static_cast<int>(net.pins.size());
      bool cut = count > 0 && count < all;
      count += by;
      bool now = count > 0 && count < all;
      if (cut != now && is_accelerator(device)) load_[device] += now ? net.cost : -net.cost;
    }
  }

  const OperatorGraph& graph_;
  const Pieces& pieces_;
  std::size_t devices_;
  std::vector<int> device_;
  std::vector<double> load_, bytes_;
  std::vector<int> pins_;  // nets x devices
};

// Where a piece might go: half of the time to a device that it exchanges something with.
std::size_t proposal(const State& state, const Pieces& pieces, int piece, Random& random) {
  const auto& nets = pieces.nets_of[static_cast<std::size_t>(piece)];
  if (!nets.empty() && random.below(2) == 0) {
    const Net& net = pieces.nets[static_cast<std::size_t>(nets[random.below(nets.size())])];
    return state.at(net.pins[random.below(net.pins.size())]);
  }
  return random.below(state.devices());
}

struct Best {
  std::vector<int> device;
  double largest;
};

// One cooling from `hot` to `cold`, in units of the energy.
void cool(State& state, const Pieces& pieces, std::uint64_t steps, double hot, double cold, Best& best,
          Random& random) {
  const double unit = best.largest > 0 ? best.largest : 1,
               factor = std::pow(cold / hot, 1 / static_cast<double>(steps));
  double energy = state.energy(unit), temperature = hot;
  for (std::uint64_t step = 0; step < steps; ++step, temperature *= factor) {
    int piece = static_cast<int>(random.below(pieces.size()));
    std::size_t from = state.at(piece), to = proposal(state, pieces, piece, random);
    if (from == to || !state.fits(piece, to)) continue;
    state.move(piece, to);
    double now = state.energy(unit);
    if (now > energy && random.uniform() >= std::exp((energy - now) / temperature)) {
      state.move(piece, from);
      continue;
    }
    energy = now;
    if (double largest = state.largest(); largest < best.largest * (1 - 1e-12))
      best.largest = largest, best.device = state.device();
  }
}

}  // namespace

std::vector<int> anneal(const OperatorGraph& graph, const Pieces& pieces, std::vector<int> start,
                        std::uint64_t steps, std::uint64_t seed) {
  constexpr int kRounds = 4;
  Random random(seed);
  Best best{start, State(graph, pieces, start).largest()};
  double hot = 1;
  for (int round = 0; round < kRounds; ++round, hot *= 0.5) {
    State state(graph, pieces, best.device);
    cool(state, pieces, steps / kRounds, hot, 1e-4, best, random);
  }
  return best.device;
}

}  // namespace tailor::plan

#include "tailor/tune/halving.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <numeric>

namespace tailor::tune {
namespace {

// One round: `samples` more of each of the living, in random order. Who gets none falls out.
void measure_round(std::vector<Contender>& all, std::vector<std::size_t>& alive, const Measure& measure,
                   int samples, Random& random) {
  std::vector<std::size_t> order = alive;
  random.shuffle(order);
  for (std::size_t i : order) {
    std::vector<double> more = measure(all[i].configuration, samples);
    all[i].us.insert(all[i].us.end(), more.begin(), more.end());
    if (more.empty()) std::erase(alive, i);
  }
  std::stable_sort(alive.begin(), alive.end(),
                   [&](std::size_t a, std::size_t b) { return all[a].time() < all[b].time(); });
}

}  // namespace

double Contender::time() const {
  return us.empty() ? std::numeric_limits<double>::infinity() : *std::min_element(us.begin(), us.end());
}

std::vector<Contender> halve(const std::vector<Configuration>& configurations, const Measure& measure,
                             const HalvingOptions& options) {
  TAILOR_CHECK(options.first > 0 && options.finalists > 0 && options.last > 0);
  std::vector<Contender> all;
  for (const Configuration& configuration : configurations) all.push_back({configuration, {}});
  std::vector<std::size_t> alive(all.size()), rounds(all.size(), 0);
  std::iota(alive.begin(), alive.end(), std::size_t{0});
  const auto finalists = static_cast<std::size_t>(options.finalists);
  Random random(options.seed);
  int samples = options.first;
  while (!alive.empty()) {
    measure_round(all, alive, measure, samples, random);
    for (std::size_t i : alive) ++rounds[i];
    if (alive.size() <= finalists) break;
    alive.resize(std::max(finalists, (alive.size() + 1) / 2));
    samples *= 2;
  }
  auto lacks = [&](std::size_t i) { return static_cast<int>(all[i].us.size()) < options.last; };
  while (std::any_of(alive.begin(), alive.end(), lacks)) {
    std::vector<std::size_t> poor;
    std::copy_if(alive.begin(), alive.end(), std::back_inserter(poor), lacks);
    const std::size_t before = poor.size();
    measure_round(all, poor, measure, options.first, random);
    if (poor.size() < before)
      std::erase_if(alive, [&](std::size_t i) {
        return lacks(i) && std::find(poor.begin(), poor.end(), i) == poor.end();
      });
  }
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return rounds[a] != rounds[b] ? rounds[a] > rounds[b] : all[a].time() < all[b].time();
  });
  std::vector<Contender> sorted;
  for (std::size_t i : order) sorted.push_back(std::move(all[i]));
  return sorted;
}

}  // namespace tailor::tune

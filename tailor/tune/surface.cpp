#include "tailor/tune/surface.h"

#include "tailor/base/error.h"
#include "tailor/tune/product.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string_view>
#include <tuple>

namespace tailor::tune {
namespace {

std::int64_t up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit * unit; }

// What a configuration is expected to cost, in no unit: loads per product, times the largest share of the work, times
// what blocks far from the usual sizes (those that fill half of the first and second cache of most processors) cost.
double expected_cost(const latency::Workload& workload, const VectorUnit& unit, const Space& space,
                     const Configuration& c, int workers) {
  const Blocks blocks = blocks_of(workload, unit, space, c);
  const auto rows = static_cast<double>(blocks.tile_rows),
             vectors = static_cast<double>(setting(space, c, "nv", 1));
  auto off = [](std::int64_t is, double usual) {
    return std::abs(std::log2(static_cast<double>(is) / usual));
  };
  const double padding = static_cast<double>(up(blocks.m, blocks.tile_rows)) *
                         static_cast<double>(up(blocks.n, blocks.tile_columns)) /
                         (static_cast<double>(blocks.m) * static_cast<double>(blocks.n));
  const double loads = 1 + 2 * (rows + vectors) / (rows * vectors);
  return loads * padding * largest_load(workload, unit, space, c, workers) *
         (1 +
          0.05 * (off(setting(space, c, "kc", 1), 256) + off(blocks.rows, 96) + off(blocks.columns, 384)));
}

}  // namespace

double largest_load(const latency::Workload& workload, const VectorUnit& unit, const Space& space,
                    const Configuration& configuration, int workers) {
  TAILOR_CHECK(workers >= 1);
  const Blocks blocks = blocks_of(workload, unit, space, configuration);
  std::vector<double> load(static_cast<std::size_t>(workers));
  std::size_t next = 0;
  double whole = 0;
  for (std::int64_t image = 0; image < blocks.images; ++image)
    for (std::int64_t column = 0; column < blocks.n; column += blocks.columns)
      for (std::int64_t row = 0; row < blocks.m; row += blocks.rows) {
        // Tiles at the border cost as much as whole ones.
        const double work =
            static_cast<double>(up(std::min(blocks.rows, blocks.m - row), blocks.tile_rows)) *
            static_cast<double>(up(std::min(blocks.columns, blocks.n - column), blocks.tile_columns));
        load[next] += work, whole += work;
        next = (next + 1) % load.size();
      }
  return *std::max_element(load.begin(), load.end()) / whole;
}

Configuration usual_configuration(const latency::Workload& workload, const VectorUnit& unit,
                                  const Space& space, int workers, int tries) {
  TAILOR_CHECK(tries >= 1);
  Random random(1);
  std::pair<double, Configuration> best = {std::numeric_limits<double>::infinity(), {}};
  for (int i = 0; i < tries; ++i) {
    Configuration drawn = space.sample(random);
    const double cost = expected_cost(workload, unit, space, drawn, workers);
    best = std::min(best, std::pair(cost, std::move(drawn)));
  }
  return best.second;
}

std::vector<OneThread> rank_at(const latency::Workload& workload, const VectorUnit& unit, const Space& space,
                               std::vector<OneThread> measured, int workers) {
  std::map<Configuration, double> modelled;
  for (const OneThread& one : measured)
    modelled[one.configuration] = one.us * largest_load(workload, unit, space, one.configuration, workers);
  std::sort(measured.begin(), measured.end(), [&](const OneThread& a, const OneThread& b) {
    return std::tuple(modelled.at(a.configuration), a.us, a.configuration) <
           std::tuple(modelled.at(b.configuration), b.us, b.configuration);
  });
  return measured;
}

}  // namespace tailor::tune

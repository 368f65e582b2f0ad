#include "tailor/tune/surface.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace tailor::tune {
namespace {

std::int64_t up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit * unit; }

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

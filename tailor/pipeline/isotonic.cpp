#include "tailor/pipeline/isotonic.h"

#include <cstddef>

namespace tailor::pipeline {
namespace {

struct Pool {
  double sum = 0;
  std::size_t count = 0;
  double mean() const { return sum / static_cast<double>(count); }
};

}  // namespace

std::vector<double> isotonic(const std::vector<double>& values) {
  std::vector<Pool> pools;
  for (double value : values) {
    pools.push_back({value, 1});
    while (pools.size() > 1 && pools[pools.size() - 2].mean() > pools.back().mean()) {
      const Pool last = pools.back();
      pools.pop_back();
      pools.back().sum += last.sum, pools.back().count += last.count;
    }
  }
  std::vector<double> result;
  for (const Pool& pool : pools) result.insert(result.end(), pool.count, pool.mean());
  return result;
}

}  // namespace tailor::pipeline

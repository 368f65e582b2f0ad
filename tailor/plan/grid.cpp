// The grid step. Per entry: an array over ticks holds the least loss found. For each candidate of the step's
// variable the longer front is spread over its own range of ticks, and every point of the shorter front lays
// a shifted copy of it over the array (lay_over, four copies at a time: the loop that takes the time). Then
// the array is read off as a front.
#include "tailor/plan/fronts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

// One binary for all x86 processors; sanitizers do not know the resolver functions.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(TAILOR_SANITIZED)
#define TAILOR_CLONES __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define TAILOR_CLONES
#endif

namespace tailor::plan {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
const double zero = 0;
constexpr Run nothing_added{&zero, &zero, 1};

// least[i] = min(least[i], gk[i] + loss[k]), k < 4.
TAILOR_CLONES void lay_four(double* __restrict least, const double* g0, const double* g1, const double* g2,
                            const double* g3, const double* loss, std::size_t count) {
  const double l0 = loss[0], l1 = loss[1], l2 = loss[2], l3 = loss[3];
  for (std::size_t i = 0; i < count; ++i) {
    double a = g0[i] + l0, b = g1[i] + l1, c = g2[i] + l2, d = g3[i] + l3;
    double ab = a < b ? a : b, cd = c < d ? c : d;
    double best = ab < cd ? ab : cd;
    least[i] = best < least[i] ? best : least[i];
  }
}

TAILOR_CLONES void lay_one(double* __restrict least, const double* g, double loss, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    double value = g[i] + loss;
    least[i] = value < least[i] ? value : least[i];
  }
}

// take_lower for one shifted copy, without writing it anywhere first.
TAILOR_CLONES void take_lower_shifted(double* __restrict least, const double* __restrict g, double loss,
                                      std::uint32_t* __restrict pick, std::uint32_t x, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    double value = g[i] + loss;
    bool lower = value < least[i];
    least[i] = lower ? value : least[i];
    pick[i] = lower ? x : pick[i];
  }
}

TAILOR_CLONES void take_lower(double* __restrict least, const double* __restrict other,
                              std::uint32_t* __restrict pick, std::uint32_t x, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    bool lower = other[i] < least[i];
    least[i] = lower ? other[i] : least[i];
    pick[i] = lower ? x : pick[i];
  }
}

std::ptrdiff_t tick(double value) { return static_cast<std::ptrdiff_t>(value); }

// The array of one entry: ticks first..first + size.
class Grid {
 public:
  void reset(std::ptrdiff_t first, std::ptrdiff_t last) {
    first_ = first;
    least_.assign(static_cast<std::size_t>(last - first + 1), infinity);
    sum_.assign(least_.size(), infinity);
    pick_.assign(least_.size(), 0);
  }

  void add(Run longer, Run shorter, std::uint32_t x) {
    std::ptrdiff_t lo = tick(longer.latency[0] + shorter.latency[0]);
    std::ptrdiff_t hi =
        std::min(tick(longer.latency[longer.size - 1] + shorter.latency[shorter.size - 1]), last());
    if (lo > hi) return;
    std::size_t at = index(lo), count = static_cast<std::size_t>(hi - lo + 1);
    double range = longer.latency[longer.size - 1] - longer.latency[0] + 1;
    const bool sparse = static_cast<double>(longer.size) * 6 < range;
    if (shorter.size == 1 && !sparse)
      return take_lower_shifted(least_.data() + at, remembered(longer).data(), shorter.loss[0],
                                pick_.data() + at, x, count);
    if (sparse)
      scatter(longer, shorter);
    else
      convolve(longer, shorter, hi);
    take_lower(least_.data() + at, sum_.data() + at, pick_.data() + at, x, count);
    std::fill_n(sum_.begin() + static_cast<std::ptrdiff_t>(at), count, infinity);
  }

  void read_off(Fronts& out, bool with_pick) const {
    double best = infinity;
    for (std::size_t i = 0; i < least_.size(); ++i) {
      if (!(least_[i] < best)) continue;
      best = least_[i];
      out.latency.push_back(static_cast<double>(first_ + static_cast<std::ptrdiff_t>(i)));
      out.loss.push_back(best);
      if (with_pick) out.pick.push_back(static_cast<std::uint16_t>(pick_[i]));
    }
  }

 private:
  std::ptrdiff_t last() const { return first_ + static_cast<std::ptrdiff_t>(least_.size()) - 1; }
  std::size_t index(std::ptrdiff_t at) const { return static_cast<std::size_t>(at - first_); }

  void scatter(Run longer, Run shorter) {
    for (std::size_t j = 0; j < shorter.size; ++j)
      for (std::size_t i = 0; i < longer.size; ++i) {
        std::ptrdiff_t at = tick(longer.latency[i] + shorter.latency[j]);
        if (at > last()) break;
        double& slot = sum_[index(at)];
        slot = std::min(slot, longer.loss[i] + shorter.loss[j]);
      }
  }

  // Four neighbouring points of the shorter front at a time, over the range that their copies cover together.
  void convolve(Run longer, Run shorter, std::ptrdiff_t hi) {
    const std::ptrdiff_t start = tick(longer.latency[0]),
                         width = tick(longer.latency[longer.size - 1]) - start + 1;
    std::size_t j = 0;
    const std::ptrdiff_t room = spread(longer, shorter);
    const double* g = spread_.data() + room;
    for (; j + 4 <= shorter.size; j += 4) {
      std::ptrdiff_t t0 = tick(shorter.latency[j]), t3 = tick(shorter.latency[j + 3]);
      std::ptrdiff_t from = t0 + start, to = std::min(t3 + start + width - 1, hi);
      if (from > to) return;
      lay_four(sum_.data() + index(from), g, g + (t0 - tick(shorter.latency[j + 1])),
               g + (t0 - tick(shorter.latency[j + 2])), g + (t0 - t3), shorter.loss + j,
               static_cast<std::size_t>(to - from + 1));
    }
    for (; j < shorter.size; ++j) {
      std::ptrdiff_t from = tick(shorter.latency[j]) + start, to = std::min(from + width - 1, hi);
      if (from > to) return;
      lay_one(sum_.data() + index(from), g, shorter.loss[j], static_cast<std::size_t>(to - from + 1));
    }
  }

  // The front over its ticks, kept for the next entries: single points are added to the same fronts again and
  // again.
  const std::vector<double>& remembered(Run front) {
    auto [at, fresh] = spread_of_.try_emplace(front.latency);
    if (!fresh) return at->second;
    if ((remembered_ += front.size) > most_remembered) {
      spread_of_.clear();
      remembered_ = front.size;
      at = spread_of_.try_emplace(front.latency).first;
    }
    at->second.assign(static_cast<std::size_t>(tick(front.latency[front.size - 1] - front.latency[0])) + 1,
                      infinity);
    for (std::size_t i = 0; i < front.size; ++i)
      at->second[static_cast<std::size_t>(tick(front.latency[i] - front.latency[0]))] = front.loss[i];
    return at->second;
  }

  // Writes the front over its ticks, with room on both sides for the spread of four points; returns the room.
  std::ptrdiff_t spread(Run longer, Run shorter) {
    std::ptrdiff_t room = 0;
    for (std::size_t j = 0; j + 4 <= shorter.size; j += 4)
      room = std::max(room, tick(shorter.latency[j + 3] - shorter.latency[j]));
    double width = longer.latency[longer.size - 1] - longer.latency[0] + 1;
    spread_.assign(static_cast<std::size_t>(tick(width) + 2 * room), infinity);
    for (std::size_t i = 0; i < longer.size; ++i)
      spread_[static_cast<std::size_t>(room + tick(longer.latency[i] - longer.latency[0]))] = longer.loss[i];
    return room;
  }

  std::ptrdiff_t first_ = 0;
  std::vector<double> least_, sum_, spread_;
  std::vector<std::uint32_t> pick_;
  static constexpr std::size_t most_remembered = 500000;  // points; at most six times as many ticks
  std::unordered_map<const double*, std::vector<double>> spread_of_;
  std::size_t remembered_ = 0;
};

struct Sum {
  Run longer, shorter;
};

Sum sum_at(const Step& step, const Fronts& a, const Fronts* b, std::size_t ia, std::size_t ib,
           std::size_t x) {
  Run one = run(a, ia + x * step.hop_a);
  Run two = b ? run(*b, ib + x * step.hop_b) : nothing_added;
  return one.size < two.size ? Sum{two, one} : Sum{one, two};
}

}  // namespace

double grid_work(const Step& step, const Fronts& a, const Fronts* b) {
  double work = 0;
  walk(step, [&](std::size_t, std::size_t ia, std::size_t ib) {
    for (std::size_t x = 0; x < step.choices; ++x) {
      Sum sum = sum_at(step, a, b, ia, ib, x);
      if (sum.shorter.size == 0) continue;
      double range = sum.longer.latency[sum.longer.size - 1] - sum.longer.latency[0] + 1;
      work +=
          static_cast<double>(sum.shorter.size) * std::min(range, 6.0 * static_cast<double>(sum.longer.size));
    }
  });
  return work;
}

Fronts grid_step(const Step& step, const Fronts& a, const Fronts* b, const std::vector<Cap>& caps) {
  Fronts fronts;
  fronts.roundings = a.roundings + (b ? b->roundings : 0);
  fronts.begin.push_back(0);
  Grid grid;
  walk(step, [&](std::size_t entry, std::size_t ia, std::size_t ib) {
    double lo = infinity, hi = -infinity;
    for (std::size_t x = 0; x < step.choices; ++x) {
      Sum sum = sum_at(step, a, b, ia, ib, x);
      if (sum.shorter.size == 0) continue;
      lo = std::min(lo, sum.longer.latency[0] + sum.shorter.latency[0]);
      hi = std::max(hi, sum.longer.latency[sum.longer.size - 1] + sum.shorter.latency[sum.shorter.size - 1]);
    }
    hi = std::min(hi, caps[entry].latency);
    if (lo <= hi) {
      grid.reset(tick(lo), tick(std::floor(hi)));
      for (std::size_t x = 0; x < step.choices; ++x) {
        Sum sum = sum_at(step, a, b, ia, ib, x);
        if (sum.shorter.size > 0) grid.add(sum.longer, sum.shorter, static_cast<std::uint32_t>(x));
      }
      grid.read_off(fronts, step.variable >= 0);
    }
    fronts.begin.push_back(fronts.size());
  });
  return fronts;
}

}  // namespace tailor::plan

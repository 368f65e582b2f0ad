// Leaves and rounding; then the exact step: per entry, each point of the shorter front shifts the longer one
// into a sorted run, and a Merger combines runs of similar length, dropping what is dominated. The grid step
// is in grid.cpp.
#include "tailor/plan/fronts.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tailor::plan {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Candidate {
  double latency, loss;
  std::uint16_t pick;
};
using Candidates = std::vector<Candidate>;

// Merges two fronts into one; of equal points that of `a` stays.
void merge(const Candidates& a, const Candidates& b, Candidates& out) {
  out.clear();
  double best = infinity;
  std::size_t i = 0, j = 0;
  while (i < a.size() || j < b.size()) {
    bool left = j == b.size() || (i < a.size() && (a[i].latency < b[j].latency ||
                                                   (a[i].latency == b[j].latency && a[i].loss <= b[j].loss)));
    const Candidate& next = left ? a[i++] : b[j++];
    if (next.loss < best) out.push_back(next), best = next.loss;
  }
}

// A binary counter of fronts: level k holds the merge of about 2^k runs.
class Merger {
 public:
  Candidates& next_run() {
    fresh_.clear();
    return fresh_;
  }
  void add_run() {
    std::size_t level = 0;
    for (; level < levels_.size() && !levels_[level].empty(); ++level) {
      merge(levels_[level], fresh_, scratch_);
      std::swap(fresh_, scratch_);
      levels_[level].clear();
    }
    if (level == levels_.size()) levels_.emplace_back();
    std::swap(levels_[level], fresh_);
  }
  // Everything added since the last call.
  const Candidates& finish() {
    result_.clear();
    for (Candidates& level : levels_) {
      if (level.empty()) continue;
      merge(level, result_, scratch_);
      std::swap(result_, scratch_);
      level.clear();
    }
    return result_;
  }

 private:
  std::vector<Candidates> levels_;
  Candidates fresh_, scratch_, result_;
};

void add_shifted(const Run& front, double latency, double loss, std::uint16_t pick, const Cap& cap,
                 Merger& merger) {
  Candidates& run = merger.next_run();
  for (std::size_t i = 0; i < front.size; ++i) {
    Candidate sum{front.latency[i] + latency, front.loss[i] + loss, pick};
    if (sum.latency > cap.latency) break;
    if (sum.loss + cap.per_us * sum.latency <= cap.price) run.push_back(sum);
  }
  if (!run.empty()) merger.add_run();
}

void append(Fronts& fronts, const Candidates& points, bool with_pick) {
  for (const Candidate& point : points) {
    fronts.latency.push_back(point.latency);
    fronts.loss.push_back(point.loss);
    if (with_pick) fronts.pick.push_back(point.pick);
  }
}

const double zero = 0;
constexpr Run nothing_added{&zero, &zero, 1};

}  // namespace

Fronts leaf_fronts(const std::vector<Cost>& table, const std::vector<Cap>& caps) {
  Fronts fronts;
  fronts.begin.push_back(0);
  for (std::size_t entry = 0; entry < table.size(); ++entry) {
    const Cost& cost = table[entry];
    const Cap& cap = caps[entry];
    if (std::isfinite(cost.latency_us) && cost.latency_us <= cap.latency &&
        cost.loss + cap.per_us * cost.latency_us <= cap.price) {
      fronts.latency.push_back(cost.latency_us);
      fronts.loss.push_back(cost.loss);
    }
    fronts.begin.push_back(fronts.size());
  }
  return fronts;
}

std::size_t pairs(const Step& step, const Fronts& a, const Fronts* b) {
  std::size_t sum = 0;
  walk(step, [&](std::size_t, std::size_t ia, std::size_t ib) {
    for (std::size_t x = 0; x < step.choices; ++x)
      sum += run(a, ia + x * step.hop_a).size * (b ? run(*b, ib + x * step.hop_b).size : 1);
  });
  return sum;
}

std::optional<Fronts> exact_step(const Step& step, const Fronts& a, const Fronts* b,
                                 const std::vector<Cap>& caps, std::size_t max_points) {
  Fronts fronts;
  fronts.begin.push_back(0);
  Merger merger;
  bool short_enough = true;
  walk(step, [&](std::size_t entry, std::size_t ia, std::size_t ib) {
    if (!short_enough) return;
    for (std::size_t x = 0; x < step.choices && caps[entry].latency >= 0; ++x) {
      Run longer = run(a, ia + x * step.hop_a);
      Run shorter = b ? run(*b, ib + x * step.hop_b) : nothing_added;
      if (longer.size < shorter.size) std::swap(longer, shorter);
      for (std::size_t i = 0; i < shorter.size; ++i)
        add_shifted(longer, shorter.latency[i], shorter.loss[i], static_cast<std::uint16_t>(x), caps[entry],
                    merger);
    }
    const Candidates& front = merger.finish();
    short_enough = front.size() <= max_points;
    append(fronts, front, step.variable >= 0);
    fronts.begin.push_back(fronts.size());
  });
  if (!short_enough) return std::nullopt;
  return fronts;
}

Fronts rounded(const Fronts& fronts, double quantum_us) {
  if (fronts.roundings > 0) return fronts;
  Fronts result;
  result.roundings = 1;
  result.begin.push_back(0);
  for (std::size_t entry = 0; entry < fronts.entries(); ++entry) {
    for (std::size_t i = fronts.begin[entry]; i < fronts.begin[entry + 1]; ++i) {
      double tick = std::ceil(fronts.latency[i] / quantum_us);
      if (result.size() > result.begin.back() && result.latency.back() == tick) {
        result.loss.back() = fronts.loss[i];
        result.origin.back() = static_cast<std::uint32_t>(i);
        continue;
      }
      result.latency.push_back(tick);
      result.loss.push_back(fronts.loss[i]);
      result.origin.push_back(static_cast<std::uint32_t>(i));
    }
    result.begin.push_back(result.size());
  }
  return result;
}

}  // namespace tailor::plan

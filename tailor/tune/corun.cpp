// Search: tenants one after the other; what is left of the device bounds what the rest can still reach.
#include "tailor/tune/corun.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

namespace tailor::tune {
namespace {

constexpr double kSlack = 1e-9;  // of the device: sums of shares are rounded
constexpr double kNever = std::numeric_limits<double>::infinity();

double joined(CorunGoal goal, double so_far, const Tenant& tenant, double us) {
  return goal == CorunGoal::makespan ? std::max(so_far, us) : so_far + tenant.weight * us;
}

class Search {
 public:
  Search(const std::vector<Tenant>& tenants, CorunGoal goal, std::size_t most)
      : tenants_(tenants), goal_(goal), most_(most) {
    // What the tenants from each on take at least, whatever the others get.
    least_.resize(tenants.size() + 1);
    for (std::size_t t = tenants.size(); t-- > 0;) {
      double smallest = kNever;
      for (const ShareTime& time : tenants[t].times) smallest = std::min(smallest, time.share);
      least_[t] = least_[t + 1] + smallest;
    }
  }

  void go(std::size_t tenant, double used, double value, std::vector<std::size_t>& chosen) {
    if (used + least_[tenant] > 1 + kSlack) return;
    if (const double bounded = bound(tenant, used, value); bounded == kNever || bounded > worst()) return;
    if (tenant == tenants_.size()) return add({chosen, value, used});
    for (std::size_t i = 0; i < tenants_[tenant].times.size(); ++i) {
      const ShareTime& time = tenants_[tenant].times[i];
      chosen.push_back(i);
      go(tenant + 1, used + time.share,
         joined(goal_, value, tenants_[tenant], tenants_[tenant].stretch * time.us), chosen);
      chosen.pop_back();
    }
  }
  std::vector<CorunPlan> take() { return std::move(plans_); }
  std::uint64_t divisions() const { return divisions_; }

 private:
  // The value if each of the rest could have all that is left; infinite if one of them finds no share in it.
  double bound(std::size_t tenant, double used, double value) const {
    for (std::size_t t = tenant; t < tenants_.size(); ++t) {
      double fastest = kNever;
      for (const ShareTime& time : tenants_[t].times)
        if (used + time.share <= 1 + kSlack) fastest = std::min(fastest, tenants_[t].stretch * time.us);
      if (fastest == kNever) return kNever;
      value = joined(goal_, value, tenants_[t], fastest);
    }
    return value;
  }
  double worst() const { return plans_.size() < most_ ? kNever : plans_.back().value; }
  void add(CorunPlan plan) {
    ++divisions_;
    auto order = [](const CorunPlan& p) { return std::tie(p.value, p.used, p.chosen); };
    const auto at =
        std::upper_bound(plans_.begin(), plans_.end(), plan,
                         [&](const CorunPlan& a, const CorunPlan& b) { return order(a) < order(b); });
    plans_.insert(at, std::move(plan));
    if (plans_.size() > most_) plans_.pop_back();
  }

  const std::vector<Tenant>& tenants_;
  CorunGoal goal_;
  std::size_t most_;
  std::vector<double> least_;
  std::vector<CorunPlan> plans_;
  std::uint64_t divisions_ = 0;
};

std::optional<double> time_at(const Tenant& tenant, double share) {
  for (const ShareTime& time : tenant.times)
    if (std::abs(time.share - share) <= kSlack) return time.us;
  return std::nullopt;
}

// Nobody runs beside, so nothing stretches. The sum of weighted ends is least in the order of time over weight (Smith,
// Naval Research Logistics Quarterly, 1956).
std::optional<double> in_turn(const std::vector<Tenant>& tenants, CorunGoal goal) {
  std::vector<std::pair<double, double>> jobs;  // time, weight
  for (const Tenant& tenant : tenants) {
    const std::optional<double> us = time_at(tenant, 1);
    if (!us) return std::nullopt;
    jobs.emplace_back(*us, tenant.weight);
  }
  std::sort(jobs.begin(), jobs.end(),
            [](const auto& a, const auto& b) { return a.first * b.second < b.first * a.second; });
  double now = 0, sum = 0;
  for (const auto& [us, weight] : jobs) now += us, sum += weight * now;
  return goal == CorunGoal::makespan ? now : sum;
}

std::optional<double> equal_shares(const std::vector<Tenant>& tenants, CorunGoal goal) {
  std::optional<double> best;
  for (const ShareTime& first : tenants.front().times) {
    if (first.share * static_cast<double>(tenants.size()) > 1 + kSlack) continue;
    double value = 0;
    bool all = true;
    for (const Tenant& tenant : tenants) {
      const std::optional<double> us = time_at(tenant, first.share);
      all = all && us;
      if (us) value = joined(goal, value, tenant, tenant.stretch * *us);
    }
    if (all) best = value;  // shares ascend, so the last one is the largest
  }
  return best;
}

void check(const std::vector<Tenant>& tenants, std::size_t most) {
  TAILOR_CHECK(!tenants.empty() && tenants.size() <= 8 && most >= 1);
  for (const Tenant& tenant : tenants) {
    TAILOR_CHECK(!tenant.times.empty() && tenant.times.size() <= 64 && tenant.weight >= 0 &&
                 tenant.stretch >= 1);
    for (std::size_t i = 0; i < tenant.times.size(); ++i) {
      const ShareTime& time = tenant.times[i];
      TAILOR_CHECK(time.share > 0 && time.share <= 1 && time.us > 0);
      TAILOR_CHECK(i == 0 || tenant.times[i - 1].share < time.share);
    }
  }
}

}  // namespace

const char* name(CorunGoal goal) { return goal == CorunGoal::makespan ? "makespan" : "latency"; }

Stretch stretch_beside(const std::vector<OperatorTime>& own, const std::vector<OperatorTime>& other,
                       const PairSlowdowns& slowdowns) {
  TAILOR_CHECK(!own.empty() && !other.empty());
  double all = 0, known = 0, slowed = 0;
  for (const OperatorTime& a : own)
    for (const OperatorTime& b : other) {
      const double weight = a.us * b.us;
      all += weight;
      const auto found = slowdowns.find({a.op, b.op});
      if (found != slowdowns.end()) known += weight, slowed += weight * found->second;
    }
  if (known <= 0) return {};
  return {std::max(1.0, slowed / known), known / all};
}

CorunResult plan_corun(const std::vector<Tenant>& tenants, CorunGoal goal, std::size_t most) {
  check(tenants, most);
  Search search(tenants, goal, most);
  std::vector<std::size_t> chosen;
  search.go(0, 0, 0, chosen);
  return {search.take(), search.divisions(), in_turn(tenants, goal), equal_shares(tenants, goal)};
}

}  // namespace tailor::tune

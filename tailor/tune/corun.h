/// \file Networks that share a device: which share each should get, from what each takes at the shares that were
/// measured.
///
/// Every division of the device into measured shares is considered (branch and bound), so the answer is the best there
/// is over them. Times are of each network alone in its share; what neighbours take from it (interference.h) is in them
/// as far as its `stretch` says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tailor::tune {

/// What a network takes in a share of the device.
struct ShareTime {
  double share = 1;  // above 0, at most 1
  double us = 0;     // > 0
};

/// A network as its surface over shares.
struct Tenant {
  std::string name;
  std::vector<ShareTime> times;  // at least one; shares ascending, each once
  double weight = 1;             // of its latency, >= 0
  double stretch = 1;            // factor on its times while others run beside, >= 1
};

enum class CorunGoal {
  makespan,  // until the slowest of them has run once
  latency    // sum of weight x latency
};
const char* name(CorunGoal goal);  // "makespan", "latency"

/// One division of the device.
struct CorunPlan {
  std::vector<std::size_t> chosen;  // per tenant: which of its times
  double value = 0;                 // of the goal, in microseconds
  double used = 0;                  // sum of the shares
};

struct CorunResult {
  std::vector<CorunPlan> plans;  // best first; of equals the one that uses less of the device
  std::uint64_t divisions = 0;   // that were looked at to the end; the others could not be better
  /// Of the goal if each has the whole device, one after the other in the best order; nothing if one of them was not
  /// measured there.
  std::optional<double> in_turn;
  /// Of the goal if all get the same share, the largest that was measured for all and fits; nothing if there is none.
  std::optional<double> equal;
};

/// The best `most` divisions; none if no measured shares fit together. Exact over the shares given. At most
/// product(shares) divisions, far fewer by bound.
/// @pre one to eight tenants, each with 1 to 64 times as described; most >= 1
CorunResult plan_corun(const std::vector<Tenant>& tenants, CorunGoal goal, std::size_t most);

/// What an operator takes of a network's time.
struct OperatorTime {
  std::string op;
  double us = 0;  // > 0
};
/// Measured time beside over time alone, of the first operator beside the second.
using PairSlowdowns = std::map<std::pair<std::string, std::string>, double>;

struct Stretch {
  double factor = 1;  // >= 1
  double covered =
      0;  // share of the time of both whose pairs were measured; the rest counts as their mean does
};
/// How much slower a network is beside another one that runs all the time: the mean over pairs of their operators,
/// weighted by the time of both. O(operators of one x operators of the other)
/// @pre neither list is empty
Stretch stretch_beside(const std::vector<OperatorTime>& own, const std::vector<OperatorTime>& other,
                       const PairSlowdowns& slowdowns);

}  // namespace tailor::tune

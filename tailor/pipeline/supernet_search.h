/// \file The search for the best member of a space within a latency, with the accuracy that a supernet predicts.
///
/// Losses of single options are measured on members that differ from a present one in that option alone, at a few widths
/// of each axis, and drawn through between; the exact planner adds them up with measured latencies of layers and chooses;
/// the choice becomes the present one and all is measured anew. The same against multiply-accumulates, for comparison: the
/// budget of them is taken with which the chosen network measures as long.
#pragma once

#include "tailor/pipeline/search_space.h"
#include "tailor/plan/width_planner.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// What members lose against the whole network, as a sum over axes.
class LossModel {
 public:
  /// @param loss of a member, measured: the supernet's weights on samples that it has not learned from
  /// @param points widths of an axis that are measured, its whole one among them; at least 2
  LossModel(const Subject& subject, const SearchSpace& space, std::function<double(const Member&)> loss,
            int points);

  /// Measures all options anew around a member. Axes inside of branches that it lacks keep what was known of them.
  /// At most points x axes measurements.
  void measure(const Member& around);
  /// What an axis at this width loses against its whole width: nowhere less at a narrower one.
  double width(std::size_t axis, int width) const;
  double branch(std::size_t index) const { return branches_[index]; }
  double kernel(std::size_t axis, std::size_t option) const { return kernels_[axis][option]; }

 private:
  bool inside_gone(const Member& around, const std::vector<int>& branches) const;
  void measure_width(const Member& around, std::size_t axis);

  const Subject& subject_;
  const SearchSpace& space_;
  const std::function<double(const Member&)> loss_;
  const int points_;
  std::vector<std::vector<std::pair<int, double>>> widths_;  // per axis: width, loss; by rising width
  std::vector<double> branches_;                             // of those that go
  std::vector<std::vector<double>> kernels_;                 // per axis and option
};

struct SupernetTools {
  const Subject& subject;    // the whole network
  const SearchSpace& space;  // all that the supernet was trained for
  const RemovalOrders& orders;
  LatencyBook& book;                            // of layers
  std::function<double(const Member&)> loss;    // as for LossModel; asked again it says the same
  std::function<double(const Surgery&)> ratio;  // latency over the whole network's, measured
  int rounds = 2;                               // of losses measured anew, the first included
  int points = 4;
  std::function<void(const std::string&)> say = {};  // one line per step
};

struct FoundMember {
  Member member;
  double ratio = 1;           // measured
  double predicted_loss = 0;  // more than the present network's, by the table
  double loss = 0;            // measured, with the supernet's weights
  bool fits = false;          // within the goal
  plan::Certificate certificate;
  int measured = 0;  // networks whose latency was measured
};

/// The member of `allowed` with the least loss whose measured latency is at most `goal` of the whole network's; the
/// fastest one that was tried if none fits. @param allowed axes of tools.space, with some of their widths
/// @throws Error bad_space if the layers of that many widths are too many to be timed
FoundMember search_by_latency(const SupernetTools& tools, const SearchSpace& allowed, double goal);

/// The same where the planner counts multiply-accumulates: of all budgets the one whose choice measures as `goal` asks.
/// Bisection, so latency is taken to rise with the budget.
FoundMember search_by_macs(const SupernetTools& tools, const SearchSpace& allowed, double goal);
/// The least loss with at most a share of the whole network's multiply-accumulates, whatever the latency.
FoundMember search_within_macs(const SupernetTools& tools, const SearchSpace& allowed, double share);

/// Multiply-accumulates of a member over the whole network's.
double macs_ratio(const SupernetTools& tools, const Member& member);

}  // namespace tailor::pipeline

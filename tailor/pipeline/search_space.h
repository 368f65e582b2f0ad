/// \file The networks that a supernet holds: per channel group a list of widths, per residual branch whether it stays,
/// per convolution how much of its kernel stays. And the part of them that a device's steps leave: the tail-free ones.
#pragma once

#include "tailor/base/random.h"
#include "tailor/pipeline/rules.h"
#include "tailor/pipeline/worthwhile.h"

#include <string>
#include <vector>

namespace tailor::pipeline {

/// Widths of one group, as people write them.
struct WidthRule {
  std::string group;             // one of names_of_groups
  std::vector<int> widths = {};  // these; empty: a range
  double from = 0.25;            // the range's beginning, as a share of the group's width
  int step = 1;                  // widths of a range are multiples of it, and the whole width
  bool keep = false;             // the group keeps its width
  std::string place = {};        // where this is written, for errors
};

struct SpaceRules {
  WidthRule widths;                            // of groups that no other rule names
  std::vector<WidthRule> groups = {};          // of those named
  bool all_branches = false;                   // every residual branch may go
  std::vector<std::string> branches = {};      // else these, by the output of their sum
  std::vector<int> kernels = {};               // sides to which square kernels may shrink
  std::vector<std::string> convolutions = {};  // whose kernels may, by name or by what they give; empty: all
  std::string place = {};
};

struct WidthAxis {
  int group = 0;
  std::vector<int> widths;  // increasing; the last one is the group's own
  friend bool operator==(const WidthAxis&, const WidthAxis&) = default;
};
struct KernelAxis {
  int node = 0;
  std::string layer;                // what it gives
  std::vector<rewrite::Taps> taps;  // smaller kernels, the largest first
};
struct SearchSpace {
  std::vector<WidthAxis> widths;
  std::vector<int> branches;  // of the subject
  std::vector<KernelAxis> kernels;
};

/// One network of a space.
struct Member {
  std::vector<int> widths;   // channels, one per width axis
  std::vector<int> gone;     // one per branch: 1 if it is dropped
  std::vector<int> kernels;  // one per kernel axis: 0 whole, i: taps i-1
  friend auto operator<=>(const Member&, const Member&) = default;
};

/// @throws Error unknown_name, bad_space (a width that the group has not, a group that cannot change, a branch or kernel
/// that cannot go, nothing to choose)
SearchSpace resolve(const SpaceRules& rules, const Subject& subject);

/// Whether the member is one of the space.
bool holds(const SearchSpace& space, const Member& member);

/// log10 of the number of members.
double log10_size(const SearchSpace& space);

/// Only widths at which the layers around a group, all else as it is, take less time than at any wider one of its axis:
/// right edges of steps. Kernels and branches stay.
SearchSpace tail_free(const Subject& subject, const SearchSpace& space, LatencyBook& book);

Member largest(const SearchSpace& space);
Member smallest(const SearchSpace& space);
/// Every axis by itself, all its options alike.
Member drawn(const SearchSpace& space, Random& random);

/// The same network with nothing said of what is gone with its branches: their widths whole, their kernels too.
Member without_idle_choices(const Subject& subject, const SearchSpace& space, Member member);

/// What makes the member of the whole network: of every group the units that its removal order leaves.
Surgery surgery_of(const Subject& subject, const SearchSpace& space, const RemovalOrders& orders,
                   const Member& member);

/// "conv1 12, conv2 8; without add3; conv4 1x1": what differs from the whole network.
std::string describe(const Subject& subject, const SearchSpace& space, const Member& member);

/// The member as short text, for keys: "12,8;0,1;0".
std::string key_of(const Member& member);

}  // namespace tailor::pipeline

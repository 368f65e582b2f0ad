/// \file Parts of a device that do not overlap: here sets of processor cores.
///
/// All parts come out of one split. Parts that were split off one by one, each from the whole, can overlap without
/// anybody noticing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tailor::tune {

struct Partition {
  std::vector<int> cores;  // ascending
  friend bool operator==(const Partition&, const Partition&) = default;
};

/// The cores that this process may run on, ascending.
std::vector<int> usable_cores();

/// `parts` neighbouring parts of equal size; cores that are left over are in none.
/// @throws Error bad_value if there are fewer cores than parts, or no part is asked for
std::vector<Partition> split_cores(const std::vector<int>& cores, int parts);
/// The cores that belong to none of the partitions.
std::vector<int> remaining_cores(const std::vector<int>& cores, const std::vector<Partition>& partitions);
/// No core is in two of them.
bool are_disjoint(const std::vector<Partition>& partitions);
/// "cpu 0-3,6" @param unit "cpu", or what else the numbers count
std::string to_string(const Partition& partition, std::string_view unit = "cpu");

}  // namespace tailor::tune

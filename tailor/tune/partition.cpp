#include "tailor/tune/partition.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <set>

namespace tailor::tune {

std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (::sched_getaffinity(0, sizeof set, &set) == 0)
    for (int core = 0; core < CPU_SETSIZE; ++core)
      if (CPU_ISSET(static_cast<std::size_t>(core), &set)) cores.push_back(core);
  if (cores.empty()) cores.push_back(0);
  return cores;
}

std::vector<Partition> split_cores(const std::vector<int>& cores, int parts) {
  if (parts < 1 || static_cast<std::size_t>(parts) > cores.size())
    throw Error(Code::bad_value, fmt::format("{} parts of {} cores", parts, cores.size()), "--jobs",
                "every job needs a core of its own");
  const std::size_t each = cores.size() / static_cast<std::size_t>(parts);
  std::vector<Partition> partitions;
  for (std::size_t p = 0; p < static_cast<std::size_t>(parts); ++p) {
    const auto first = cores.begin() + static_cast<std::ptrdiff_t>(p * each);
    partitions.push_back({{first, first + static_cast<std::ptrdiff_t>(each)}});
  }
  TAILOR_CHECK(are_disjoint(partitions));
  return partitions;
}

std::vector<int> remaining_cores(const std::vector<int>& cores, const std::vector<Partition>& partitions) {
  std::vector<int> rest = cores;
  for (const Partition& partition : partitions)
    for (int core : partition.cores) std::erase(rest, core);
  return rest;
}

bool are_disjoint(const std::vector<Partition>& partitions) {
  std::set<int> seen;
  for (const Partition& partition : partitions)
    for (int core : partition.cores)
      if (!seen.insert(core).second) return false;
  return true;
}

std::string to_string(const Partition& partition, std::string_view unit) {
  std::string text;
  for (std::size_t i = 0; i < partition.cores.size();) {
    std::size_t last = i;
    while (last + 1 < partition.cores.size() && partition.cores[last + 1] == partition.cores[last] + 1)
      ++last;
    text += text.empty() ? fmt::format("{} ", unit) : ",";
    text += i == last ? fmt::format("{}", partition.cores[i])
                      : fmt::format("{}-{}", partition.cores[i], partition.cores[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace tailor::tune

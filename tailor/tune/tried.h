/// \file The configurations that a searcher has had to do with, and the next untried one. Private.
#pragma once

#include "tailor/tune/space.h"

#include <cstdint>
#include <optional>
#include <unordered_set>

namespace tailor::tune {

class Tried {
 public:
  explicit Tried(const Space& space) : space_(space) {}

  bool contains(const Configuration& configuration) const {
    std::optional<std::uint64_t> index = space_.index_of(configuration);
    return index && known_.contains(*index);
  }
  /// False if it was there or is outside the space.
  bool insert(const Configuration& configuration) {
    std::optional<std::uint64_t> index = space_.index_of(configuration);
    return index && known_.insert(*index).second;
  }
  bool all() const { return known_.size() == space_.count(); }
  /// An untried one, evenly at first; where few are left, the first after a random place. @pre !all()
  Configuration draw(Random& random) const {
    constexpr int kPatience = 200;
    for (int i = 0; i < kPatience; ++i)
      if (Configuration configuration = space_.sample(random); !contains(configuration)) return configuration;
    std::uint64_t index = *space_.index_of(space_.sample(random));
    while (known_.contains(index)) index = (index + 1) % space_.count();
    return space_.at(index);
  }
  std::size_t size() const { return known_.size(); }

 private:
  const Space& space_;
  std::unordered_set<std::uint64_t> known_;
};

}  // namespace tailor::tune

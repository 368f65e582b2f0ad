/// \file When a search ends.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tailor::tune {

/// What is 0 is no rule; the first that applies ends the search.
struct StopRules {
  std::uint64_t trials = 0;
  double seconds = 0;
  double gain = 0;  // share of the best time: stop when the last five trials were each expected to save less
};

struct SearchState {
  std::uint64_t trials = 0;
  double seconds = 0;
  std::vector<double> gains = {};  // expected of each decision of a model, in order
};

/// Why to stop, in words; "" to go on.
std::string reason_to_stop(const StopRules& rules, const SearchState& state);

}  // namespace tailor::tune

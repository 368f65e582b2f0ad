#include "tailor/tune/stop.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::tune {

std::string reason_to_stop(const StopRules& rules, const SearchState& state) {
  if (rules.trials > 0 && state.trials >= rules.trials) return fmt::format("{} trials", state.trials);
  if (rules.seconds > 0 && state.seconds >= rules.seconds) return fmt::format("{:.0f} s", state.seconds);
  constexpr std::size_t kRow = 5;  // decisions in a row that must promise little
  const auto& gains = state.gains;
  if (rules.gain <= 0 || gains.size() < kRow) return {};
  const double largest = *std::max_element(gains.end() - kRow, gains.end());
  if (largest >= rules.gain) return {};
  return fmt::format("one more trial is expected to save {:.2f} %", 100 * largest);
}

}  // namespace tailor::tune

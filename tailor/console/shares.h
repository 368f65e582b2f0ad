/// \file Shares of a device as people write them.
#pragma once

#include <string>
#include <vector>

namespace tailor::console {

/// "25,50,100" -> 0.25, 0.5, 1. @throws Error bad_value naming --share
std::vector<double> parse_shares(const std::string& text);

}  // namespace tailor::console

#include "tailor/console/shares.h"

#include "tailor/console/console.h"

#include <algorithm>

namespace tailor::console {

std::vector<double> parse_shares(const std::string& text) {
  std::vector<double> shares;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string word = text.substr(at, end - at);
    shares.push_back(parse_share(word.ends_with('%') ? word : word + "%", "--share"));
    at = end + 1;
  }
  return shares;
}

}  // namespace tailor::console

// What is fused into a layer, word by word.
#include "tailor/latency/post.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace tailor::latency {

std::vector<std::string> post_words(std::string_view post) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at < post.size();) {
    const std::size_t end = std::min(post.find('+', at), post.size());
    words.emplace_back(post.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

std::string joined_post(std::span<const std::string> words) {
  return fmt::format("{}", fmt::join(words.begin(), words.end(), "+"));
}

}  // namespace tailor::latency

/// \file The words of Workload::post: what a runtime fuses into a layer, in order.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::latency {

/// "bias+bn+relu" -> {bias, bn, relu}; "" -> {}.
std::vector<std::string> post_words(std::string_view post);
/// post_words(joined_post(words)) == words.
std::string joined_post(std::span<const std::string> words);

}  // namespace tailor::latency

#include "tailor/base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace tailor {
namespace {

struct Range {
  std::uint32_t first, last;
};
constexpr std::array<Range, 6> kCombining = {{{0x300, 0x36f},
                                              {0x1ab0, 0x1aff},
                                              {0x1dc0, 0x1dff},
                                              {0x200b, 0x200f},
                                              {0x20d0, 0x20ff},
                                              {0xfe00, 0xfe0f}}};
constexpr std::array<Range, 8> kWide = {{{0x1100, 0x115f},
                                         {0x2e80, 0xa4cf},
                                         {0xac00, 0xd7a3},
                                         {0xf900, 0xfaff},
                                         {0xfe30, 0xfe6f},
                                         {0xff00, 0xff60},
                                         {0x1f300, 0x1faff},
                                         {0x20000, 0x3fffd}}};

template <std::size_t N>
bool in(std::uint32_t c, const std::array<Range, N>& ranges) {
  return std::any_of(ranges.begin(), ranges.end(), [c](Range r) { return r.first <= c && c <= r.last; });
}

// Takes one character off the front of `text`; a damaged byte counts as '?'.
std::uint32_t take(std::string_view& text) {
  auto lead = static_cast<unsigned char>(text.front());
  std::size_t size = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
  std::uint32_t c = size == 1 ? lead : lead & (0x7fu >> size);
  bool good = size > 0 && size <= text.size();
  for (std::size_t i = 1; good && i < size; ++i) {
    auto next = static_cast<unsigned char>(text[i]);
    good = next >> 6 == 2;
    c = c << 6 | (next & 0x3fu);
  }
  text.remove_prefix(good ? size : 1);
  return good ? c : '?';
}

bool near_to(std::string_view name, std::string_view candidate, std::size_t distance) {
  bool begins = name.size() >= 2 && candidate.size() >= 2 &&
                (candidate.starts_with(name) || name.starts_with(candidate));
  return begins || distance <= std::max<std::size_t>(1, name.size() / 3);
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr std::size_t kMost = 3;
  std::vector<std::pair<std::size_t, std::string>> found;
  for (const std::string& candidate : candidates) {
    std::size_t distance = edit_distance(name, candidate);
    if (!name.empty() && near_to(name, candidate, distance)) found.emplace_back(distance, candidate);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  if (found.size() > kMost) found.resize(kMost);
  std::string list;
  for (std::size_t i = 0; i < found.size(); ++i)
    list += fmt::format("{}'{}'", i == 0 ? "" : i + 1 == found.size() ? " or " : ", ", found[i].second);
  return list.empty() ? list : fmt::format(" (did you mean {}?)", list);
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    std::uint32_t c = take(text);
    width += in(c, kCombining) ? 0 : in(c, kWide) ? 2 : 1;
  }
  return width;
}

std::string shortened(std::string_view text, std::size_t width) {
  if (display_width(text) <= width) return std::string(text);
  const std::size_t head = (width - 2) / 2, tail = width - 3 - head;
  std::string_view behind = text;
  std::size_t used = 0;
  for (std::string_view next = text; used <= head; behind = next) {
    take(next);
    std::size_t to = display_width(text.substr(0, text.size() - next.size()));
    if (to > head) break;
    used = to;
  }
  std::string begin(text.substr(0, text.size() - behind.size()));
  while (display_width(behind) > tail) take(behind);
  return begin + "..." + std::string(behind);
}

std::string wrapped(std::string_view text, std::size_t width, std::size_t indent) {
  std::string result;
  std::size_t used = 0;
  while (!text.empty()) {
    std::size_t blanks = std::min(text.find_first_not_of(' '), text.size()),
                end = std::min(text.find_first_of(" \n", blanks), text.size());
    std::string_view word = text.substr(blanks, end - blanks);
    const bool breaks = used > indent && used + blanks + display_width(word) > width && !word.empty();
    if (breaks) result += "\n" + std::string(indent, ' '), used = indent;
    if (!breaks) result += std::string(blanks, ' '), used += blanks;
    result += word, used += display_width(word);
    if (end < text.size() && text[end] == '\n') result += '\n', used = 0, ++end;
    text.remove_prefix(end);
  }
  return result;
}

}  // namespace tailor

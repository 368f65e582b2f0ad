#include "tailor/farm/shard.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

namespace tailor::farm {
namespace {

constexpr int kMostShards = 1'000'000;
constexpr std::uint64_t kMostListed = std::uint64_t{1} << 24;

std::optional<int> number_of(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

// FNV-1a (Fowler, Noll, Vo), then mixed, because its low digits alone are not even.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return Random(hash).next();
}

}  // namespace

Shard parse_shard(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash != std::string::npos) {
    const std::string_view all = text;
    const std::optional<int> index = number_of(all.substr(0, slash)),
                             count = number_of(all.substr(slash + 1));
    if (index && count && *count >= 1 && *count <= kMostShards && *index >= 1 && *index <= *count)
      return {*index, *count};
  }
  throw Error(Code::bad_value, fmt::format("'{}' is no shard", text.substr(0, 40)), "--shard",
              "write 3/16 for the third of sixteen; the first is 1/16");
}

std::vector<Portion> portions_of(const std::vector<tune::TuneTask>& tasks, const Shard& shard) {
  const std::size_t count = static_cast<std::size_t>(shard.count),
                    index = static_cast<std::size_t>(shard.index) - 1;
  std::vector<Portion> portions;
  if (count <= tasks.size()) {
    for (std::size_t i = index; i < tasks.size(); i += count) portions.push_back({tasks[i]});
  } else if (!tasks.empty()) {
    const std::size_t task = index % tasks.size();
    const std::size_t parts = (count - task + tasks.size() - 1) / tasks.size();
    portions.push_back({tasks[task], static_cast<int>(index / tasks.size()), static_cast<int>(parts)});
  }
  return portions;
}

std::optional<tune::Space> part_of(tune::Space space, int part, int parts) {
  TAILOR_CHECK(part >= 0 && part < parts);
  if (parts == 1) return space;
  TAILOR_CHECK(space.count() <= kMostListed);
  std::vector<tune::Configuration> own;
  for (std::uint64_t i = 0; i < space.count(); ++i) {
    tune::Configuration configuration = space.at(i);
    if (hash_of(space.text(configuration)) % static_cast<std::uint64_t>(parts) ==
        static_cast<std::uint64_t>(part))
      own.push_back(std::move(configuration));
  }
  if (own.empty()) return std::nullopt;
  return tune::Space::of_list(space.parameters(), std::move(own));
}

}  // namespace tailor::farm

/// \file An operator that is being tuned: its space, its searcher and what is known of it. What is tried next and who meets
/// in the finals follows from desks and records; nothing here measures.
#pragma once

#include "tailor/tune/alone.h"
#include "tailor/tune/searcher.h"
#include "tailor/tune/stop.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::tune {

/// Movable: the space does not move, because the searcher refers to it.
struct Desk {
  TuneTask task;
  RecordKey key;
  std::unique_ptr<const Space> space;
  std::unique_ptr<Searcher> searcher;
  SearchState state;
  std::size_t before = 0;  // trials that were known at the start
  double best_us = 0;      // of trials; 0: nothing yet
  std::string stopped;     // why no more is tried; "" while it goes on
};

/// A desk whose searcher knows the trials among `records` that are of this key and in this space.
/// @throws Error unknown_name (no such searcher)
Desk make_desk(const TuneTask& task, const RecordKey& key, Space space, std::string_view searcher,
               std::uint64_t seed, const std::vector<Record>& records);
/// What became of a trial goes to the searcher.
void tell(Desk& desk, const Configuration& configuration, const Record& record);

/// The next configuration, and what it was expected to gain; without any the desk is stopped.
std::optional<Configuration> ask(Desk& desk);

/// The desk whose next trial is expected to shorten the network most; each gets a few trials first. Nothing where none
/// is open. @param open desks that may be asked; stopped ones never are
std::optional<std::size_t> most_promising(const std::vector<Desk>& desks,
                                          const std::function<bool(std::size_t)>& open);

/// The best of a desk as its search found them, at most `most`.
std::vector<Configuration> finalists_of(const Desk& desk, const std::vector<Record>& records, int most);

/// The finalists, or nobody if all of them were timed alone before: they do not meet again.
std::vector<Configuration> contestants_of(const Desk& desk, const std::vector<Record>& records, int most);

/// Winners of the same operator at other shares that were not timed alone at this one: a choice made for one share may be
/// the right one here too, and if not, what it costs here is worth knowing. Nothing if there are none; else the desk's
/// own winner comes along, so that they meet in the same rounds.
std::vector<Configuration> guests_of(const std::vector<Desk>& desks, std::size_t index,
                                     const std::vector<Record>& records);

/// Whether this configuration was timed alone for this key.
bool was_alone(const std::vector<Record>& records, const RecordKey& key,
               const std::vector<std::pair<std::string, Value>>& configuration);

}  // namespace tailor::tune

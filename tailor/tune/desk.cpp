// Records -> desks; desks -> the next trial; desks and records -> the finals.
#include "tailor/tune/desk.h"

#include <algorithm>

namespace tailor::tune {
namespace {

constexpr std::size_t kFairStart = 12;  // trials of every desk before those that promise most come first

double promise_of(const Desk& desk) {
  const std::size_t known = desk.before + desk.state.trials;
  if (known < kFairStart || desk.best_us == 0) return 1e12 - static_cast<double>(known);
  const double gain = desk.state.gains.empty() ? 1 : desk.state.gains.back();
  return gain * desk.best_us * desk.task.layers;
}

// The best kernel of ours, of everything known; the library's own times are records too.
std::optional<Standing> winner_of(const Desk& desk, const std::vector<Record>& records) {
  std::vector<Record> own;
  for (const Record& record : records)
    if (record.key == desk.key) own.push_back(record);
  for (Standing& standing : ranking({desk.key, std::move(own)}))
    if (place_of(*desk.space, standing.configuration)) return std::move(standing);
  return std::nullopt;
}

}  // namespace

Desk make_desk(const TuneTask& task, const RecordKey& key, Space space, std::string_view searcher,
               std::uint64_t seed, const std::vector<Record>& records) {
  Desk desk{task, key, nullptr, nullptr, {}, 0, 0, ""};
  desk.space = std::make_unique<const Space>(std::move(space));
  desk.searcher = make_searcher(searcher, *desk.space, seed);
  for (const Record& record : records) {
    if (record.key != desk.key || record.tier != Tier::parallel) continue;
    const std::optional<Configuration> configuration = place_of(*desk.space, record.configuration);
    if (configuration) tell(desk, *configuration, record), ++desk.before;
  }
  return desk;
}

void tell(Desk& desk, const Configuration& configuration, const Record& record) {
  const bool ok = record.outcome == Outcome::ok;
  desk.searcher->tell({configuration, record.outcome, ok ? record.time_us() : 0});
  if (ok && (desk.best_us == 0 || record.time_us() < desk.best_us)) desk.best_us = record.time_us();
}

std::optional<Configuration> ask(Desk& desk) {
  std::optional<Configuration> configuration = desk.searcher->ask();
  if (!configuration) {
    desk.stopped = "every configuration tried";
    return std::nullopt;
  }
  if (std::optional<double> gain = desk.searcher->expected_gain()) desk.state.gains.push_back(*gain);
  return configuration;
}

std::optional<std::size_t> most_promising(const std::vector<Desk>& desks,
                                          const std::function<bool(std::size_t)>& open) {
  std::optional<std::size_t> chosen;
  double most = -1;
  for (std::size_t i = 0; i < desks.size(); ++i) {
    if (!desks[i].stopped.empty() || !open(i)) continue;
    const double promise = promise_of(desks[i]);
    if (promise > most) most = promise, chosen = i;
  }
  return chosen;
}

std::vector<Configuration> finalists_of(const Desk& desk, const std::vector<Record>& records, int most) {
  std::vector<Record> own;
  for (const Record& record : records)
    if (record.key == desk.key && record.tier == Tier::parallel) own.push_back(record);
  std::vector<Configuration> finalists;
  for (const Standing& standing : ranking({desk.key, std::move(own)}))
    if (finalists.size() < static_cast<std::size_t>(most))
      if (std::optional<Configuration> at = place_of(*desk.space, standing.configuration))
        finalists.push_back(std::move(*at));
  return finalists;
}

std::vector<Configuration> contestants_of(const Desk& desk, const std::vector<Record>& records, int most) {
  std::vector<Configuration> finalists = finalists_of(desk, records, most);
  const bool met = std::all_of(finalists.begin(), finalists.end(), [&](const Configuration& finalist) {
    return was_alone(records, desk.key, named(*desk.space, finalist));
  });
  return met ? std::vector<Configuration>{} : finalists;
}

std::vector<Configuration> guests_of(const std::vector<Desk>& desks, std::size_t index,
                                     const std::vector<Record>& records) {
  const Desk& desk = desks[index];
  std::vector<Configuration> guests;
  auto add = [&](const std::optional<Standing>& standing) {
    const std::optional<Configuration> at =
        standing ? place_of(*desk.space, standing->configuration) : std::nullopt;
    if (at && std::find(guests.begin(), guests.end(), *at) == guests.end()) guests.push_back(*at);
  };
  for (std::size_t other = 0; other < desks.size(); ++other) {
    if (other == index || !(desks[other].task.workload == desk.task.workload)) continue;
    const std::optional<Standing> best = winner_of(desks[other], records);
    if (best && !was_alone(records, desk.key, best->configuration)) add(best);
  }
  if (!guests.empty()) add(winner_of(desk, records));
  return guests;
}

bool was_alone(const std::vector<Record>& records, const RecordKey& key,
               const std::vector<std::pair<std::string, Value>>& configuration) {
  return std::any_of(records.begin(), records.end(), [&](const Record& record) {
    return record.key == key && record.tier == Tier::exclusive && record.configuration == configuration;
  });
}

}  // namespace tailor::tune

// sizes: what may differ inside a family. carry: a configuration of one shape as one of another. guess: the best
// candidate of the nearest shapes by interpolated speed. ask goes down the grounds until one holds.
#include "tailor/tune/schedule_surface.h"

#include "tailor/base/error.h"
#include "tailor/tune/surface.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>

namespace tailor::tune {
namespace {

using latency::Workload;

constexpr std::size_t kFewestShapes = 3;
constexpr std::array kSizeNames = {"batch", "input width", "output width"};
using Sizes = std::array<std::int64_t, 3>;

Sizes sizes_of(const Workload& w) { return {w.mb, w.ic, w.oc}; }

bool same_family(Workload a, Workload b) {
  a.mb = b.mb, a.ic = b.ic, a.oc = b.oc;
  return a == b;
}

double distance(const Workload& a, const Workload& b) {
  double sum = 0;
  for (std::size_t i = 0; i < kSizeNames.size(); ++i) {
    const double log = std::log(static_cast<double>(sizes_of(a)[i]) / static_cast<double>(sizes_of(b)[i]));
    sum += log * log;
  }
  return std::sqrt(sum);
}

bool is_library(const Standing& standing) {
  return standing.configuration.size() == 1 && standing.configuration.front().first == "library";
}

// A block that took the whole of one shape takes the whole of another; others keep their size where there is so much.
Value carried(const Parameter& from, const Value& value, const Parameter& to) {
  if (from.name != "kc" && from.name != "mc" && from.name != "nc") return value;
  const std::int64_t whole = std::get<std::int64_t>(to.values.back()), size = std::get<std::int64_t>(value);
  return value == from.values.back() || size >= whole ? to.values.back() : value;
}

std::optional<Configuration> carry(const Space& from, const std::vector<std::pair<std::string, Value>>& list,
                                   const Space& to) {
  if (!place_of(from, list) || from.parameters().size() != to.parameters().size()) return std::nullopt;
  std::vector<std::pair<std::string, Value>> moved = list;
  for (std::size_t p = 0; p < moved.size(); ++p)
    moved[p].second = carried(from.parameters()[p], moved[p].second, to.parameters()[p]);
  return place_of(to, moved);
}

bool same_surface(const RecordKey& a, const RecordKey& b) {
  return a.precision == b.precision && a.device == b.device && a.share == b.share &&
         a.versions == b.versions && a.source == b.source;
}

double miss(double a, double b) { return std::max(a, b) / std::min(a, b) - 1; }

std::optional<Workload> workload_of(const std::string& op) {
  try {
    const Workload workload = latency::parse_workload(op);
    return no_kernel(workload).empty() ? std::optional(workload) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

const char* name(Ground ground) {
  switch (ground) {
    case Ground::measured:
      return "measured";
    case Ground::interpolated:
      return "interpolated";
    case Ground::nearest:
      return "nearest";
    case Ground::rule:
      return "rule";
  }
  return "?";
}

ScheduleSurface::ScheduleSurface(const std::vector<Record>& records, const RecordKey& here,
                                 const VectorUnit& unit, int workers, SurfaceOptions options)
    : unit_(unit), workers_(workers), options_(options) {
  TAILOR_CHECK(workers >= 1 && options.nearest >= 1 && options.candidates >= 1 && options.reach >= 1);
  for (const RecordGroup& one : group(records)) {
    if (!same_surface(one.key, here)) continue;
    const std::optional<Workload> workload = workload_of(one.key.op);
    if (!workload) continue;
    Shape shape{*workload, kernel_space(*workload, unit_), {}, std::nullopt};
    for (Standing& standing : ranking(one)) {
      if (is_library(standing) && !shape.library) shape.library = standing;
      if (place_of(shape.space, standing.configuration)) shape.own.push_back(std::move(standing));
    }
    if (!shape.own.empty()) shapes_.push_back(std::move(shape));
  }
}

double ScheduleSurface::work(const Workload& w, const Space& space,
                             const Configuration& configuration) const {
  const Blocks blocks = blocks_of(w, unit_, space, configuration);
  auto up = [](std::int64_t number, std::int64_t step) {
    return static_cast<double>((number + step - 1) / step * step);
  };
  return static_cast<double>(blocks.images) * up(blocks.m, blocks.tile_rows) *
         up(blocks.n, blocks.tile_columns) * static_cast<double>(w.ic * w.kh * w.kw) *
         largest_load(w, unit_, space, configuration, workers_);
}

// Nearest first.
ScheduleSurface::Family ScheduleSurface::family_of(const Workload& workload) const {
  Family family;
  for (const Shape& shape : shapes_)
    if (same_family(shape.workload, workload)) family.push_back(&shape);
  std::stable_sort(family.begin(), family.end(), [&](const Shape* a, const Shape* b) {
    return distance(a->workload, workload) < distance(b->workload, workload);
  });
  return family;
}

std::string ScheduleSurface::beyond(const Workload& workload, const Family& family) const {
  for (std::size_t i = 0; i < kSizeNames.size(); ++i) {
    std::int64_t low = sizes_of(family.front()->workload)[i], high = low;
    for (const Shape* shape : family)
      low = std::min(low, sizes_of(shape->workload)[i]), high = std::max(high, sizes_of(shape->workload)[i]);
    const std::int64_t size = sizes_of(workload)[i];
    if (static_cast<double>(size) * options_.reach < static_cast<double>(low) ||
        static_cast<double>(size) > options_.reach * static_cast<double>(high))
      return fmt::format("{} {} is beyond {:g} times the measured ones ({} to {})", kSizeNames[i], size,
                         options_.reach, low, high);
  }
  return {};
}

// How fast the nearest shapes are at their best, by distance, times how a candidate compares with the best at the nearest
// shapes that know it: so one that was only tried where everything is fast is not taken for a fast one.
std::optional<ScheduleSurface::Guess> ScheduleSurface::guess(const Workload& workload, const Space& space,
                                                             const Family& family) const {
  struct Mean {
    double sum = 0, weights = 0;
    int shapes = 0;
    void add(double weight, double value) { sum += weight * value, weights += weight, ++shapes; }
    double get() const { return sum / weights; }
  };
  Mean best_speed;
  std::map<Configuration, Mean> known;
  std::set<Configuration> candidates;
  for (std::size_t s = 0; s < family.size(); ++s) {
    const Shape& shape = *family[s];
    const bool near = s < static_cast<std::size_t>(options_.nearest);
    const double apart = distance(shape.workload, workload), weight = 1 / (apart * apart + 1e-9);
    const double best = log_speed(shape, shape.own.front());
    if (near) best_speed.add(weight, best);
    std::set<Configuration> seen;
    for (std::size_t i = 0; i < shape.own.size(); ++i) {
      const std::optional<Configuration> here = carry(shape.space, shape.own[i].configuration, space);
      if (!here || !seen.insert(*here).second) continue;
      if (near && i < static_cast<std::size_t>(options_.candidates)) candidates.insert(*here);
      if (Mean& mean = known[*here]; mean.shapes < options_.nearest)
        mean.add(weight, log_speed(shape, shape.own[i]) - best);
    }
  }
  std::optional<Guess> fastest;
  for (const Configuration& configuration : candidates) {
    const double us =
        work(workload, space, configuration) / std::exp(best_speed.get() + known.at(configuration).get());
    if (!fastest || us < fastest->us) fastest = Guess{configuration, us};
  }
  return fastest;
}

double ScheduleSurface::log_speed(const Shape& shape, const Standing& standing) const {
  const Configuration configuration = *place_of(shape.space, standing.configuration);
  return std::log(work(shape.workload, shape.space, configuration) / standing.time_us());
}

SurfaceError ScheduleSurface::error_of(const Workload& workload) const {
  const Family family = family_of(workload);
  std::vector<double> misses;
  SurfaceError error;
  for (const Shape* left_out : family) {
    if (left_out->workload == workload) continue;
    Family others = family_of(left_out->workload);
    std::erase_if(others, [&](const Shape* s) { return s == left_out || s->workload == workload; });
    if (others.empty() || !beyond(left_out->workload, others).empty()) continue;
    const Space& space = left_out->space;
    const std::optional<Guess> guessed = guess(left_out->workload, space, others);
    if (!guessed) continue;
    double truth = left_out->own.front().time_us();
    const auto chosen = named(space, guessed->configuration);
    for (const Standing& standing : left_out->own)
      if (standing.configuration == chosen) {
        const double regret = standing.time_us() / truth - 1;
        error.largest_regret = std::max(error.largest_regret.value_or(regret), regret);
        truth = standing.time_us();
        break;
      }
    misses.push_back(miss(guessed->us, truth));
  }
  error.shapes = static_cast<int>(misses.size());
  if (misses.empty()) return error;
  std::sort(misses.begin(), misses.end());
  error.median = misses[misses.size() / 2], error.largest = misses.back();
  return error;
}

SurfaceAnswer ScheduleSurface::measured(const Shape& shape) const {
  const Standing& own = shape.own.front();
  const bool library = shape.library && shape.library->time_us() < own.time_us();
  const Standing& best = library ? *shape.library : own;
  return {Ground::measured, best.configuration, library, best.time_us(), std::nullopt, std::nullopt, "", {}};
}

SurfaceAnswer ScheduleSurface::by_rule(const Workload& workload, std::string reason) const {
  const Space space = kernel_space(workload, unit_);
  const Configuration configuration = usual_configuration(workload, unit_, space, workers_);
  return {Ground::rule, named(space, configuration), false, std::nullopt, std::nullopt,
          std::nullopt, std::move(reason),           {}};
}

SurfaceAnswer ScheduleSurface::ask(const Workload& workload) const {
  TAILOR_CHECK(no_kernel(workload).empty());
  const Family family = family_of(workload);
  if (family.empty())
    return by_rule(workload, "nothing is recorded of layers that differ from it in batch and widths only");
  if (family.front()->workload == workload) return measured(*family.front());
  const Space space = kernel_space(workload, unit_);
  const std::optional<Guess> guessed = guess(workload, space, family);
  if (!guessed) return by_rule(workload, "no configuration of the recorded layers like it fits its sizes");
  SurfaceAnswer answer{Ground::nearest, named(space, guessed->configuration), false, {}, {}, {}, "", {}};
  for (std::size_t s = 0; s < family.size() && s < static_cast<std::size_t>(options_.nearest); ++s) {
    Neighbour neighbour{latency::to_string(family[s]->workload), distance(family[s]->workload, workload), 0};
    for (const Standing& standing : family[s]->own)
      if (neighbour.us == 0 &&
          carry(family[s]->space, standing.configuration, space) == guessed->configuration)
        neighbour.us = standing.time_us();
    answer.neighbours.push_back(std::move(neighbour));
  }
  answer.reason = beyond(workload, family);
  if (!answer.reason.empty()) return answer;
  const SurfaceError error = error_of(workload);
  if (family.size() < kFewestShapes || error.shapes < 2) {
    answer.reason =
        fmt::format("{} layers like it are recorded: too few to know the error of a time", family.size());
    return answer;
  }
  if (error.largest > options_.most_error) {
    answer.reason = fmt::format("left out one by one, recorded layers like it are missed by up to {:.0f} %",
                                100 * error.largest);
    return answer;
  }
  answer.ground = Ground::interpolated, answer.us = guessed->us;
  answer.lo_us = guessed->us / (1 + error.largest), answer.hi_us = guessed->us * (1 + error.largest);
  answer.reason = fmt::format("not recorded; from {} layers like it", family.size());
  return answer;
}

std::vector<RecordKey> surfaces_in(const std::vector<Record>& records) {
  std::set<RecordKey> keys;
  for (const Record& record : records) {
    RecordKey key = record.key;
    key.op.clear(), key.layout.clear();
    keys.insert(std::move(key));
  }
  return {keys.begin(), keys.end()};
}

std::optional<VectorUnit> unit_of(const RecordKey& key) {
  for (const VectorUnit& unit : {VectorUnit{16, 32, "avx512"}, VectorUnit{8, 16, "avx2"},
                                 VectorUnit{4, 16, "sse"}, VectorUnit{4, 32, "128 bit"}})
    if (key.device.ends_with(", " + unit.name)) return unit;
  return std::nullopt;
}

}  // namespace tailor::tune

// tailor tune corun: results of tune --json in, the best division of the device out. Nothing is measured.
#include "tailor/app/tune.h"
#include "tailor/base/table.h"
#include "tailor/tune/corun.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace tailor::app {
namespace {

using tune::CorunPlan;
using tune::CorunResult;
using tune::Tenant;

constexpr std::size_t kMostTenants = 8, kMostShares = 64;
constexpr double kMostDivisions = 1e7;

// A network, and what was read with it.
struct Guest {
  Tenant tenant;
  int threads = 0;                            // that the whole device is
  std::vector<double> without;                // shares at which an operator has no time
  int left_out = 0;                           // layers without a kernel: in no time
  std::vector<tune::OperatorTime> operators;  // at the largest share
  double covered = 0;                         // of --interference
};

[[noreturn]] void fail(const std::string& what, const std::string& place) {
  throw Error(Code::bad_json, what, place, "tailor tune MODEL --share 25,50,100 --json writes such results");
}

// The faster of our own kernel and a library's; nothing if neither has a time.
std::optional<double> time_of(const Json& task, const std::string& place) {
  std::optional<double> best;
  for (const char* kind : {"own", "library"}) {
    const Json& standing = member(task, kind, place);
    if (standing.is_null()) continue;
    const double us = number(standing, "us", place);
    if (!(us > 0) || !std::isfinite(us)) fail("\"us\" must be a time", place);
    best = std::min(best.value_or(us), us);
  }
  return best;
}

int whole_device(const Json& task, double share, const std::string& place) {
  const double threads = static_cast<double>(integer(task, "threads", place)) / share;
  if (!(threads >= 1 && threads <= 1e6)) fail("\"threads\" and \"share\" make no device", place);
  return static_cast<int>(std::lround(threads));
}

Guest read_guest(const std::filesystem::path& path) {
  const std::string place = path.string();
  const Json json = read_json(path, "tailor/tune/1");
  Guest guest;
  guest.tenant.name = text(json, "model", place);
  std::map<double, std::map<std::string, double>> by_share;
  std::set<std::string> operators;
  const Json& tasks = member(json, "tasks", place);
  if (!tasks.is_array() || tasks.empty()) fail("\"tasks\" must be a list that is not empty", place);
  for (const Json& task : tasks) {
    const double share = number(task, "share", place);
    if (!(share > 0 && share <= 1)) fail("\"share\" must be above 0 and at most 1", place);
    const std::int64_t layers = integer(task, "layers", place);
    if (layers < 1 || layers > 1000000) fail("\"layers\" must be 1 or more", place);
    const std::string op = text(task, "op", place);
    operators.insert(op);
    auto& times = by_share[share];
    if (const std::optional<double> us = time_of(task, place)) times[op] = *us * static_cast<double>(layers);
    const int threads = whole_device(task, share, place);
    if (guest.threads != 0 && guest.threads != threads) fail("shares of devices of different size", place);
    guest.threads = threads;
  }
  for (const auto& [share, times] : by_share) {
    if (times.size() < operators.size()) {
      guest.without.push_back(share);
      continue;
    }
    double sum = 0;
    guest.operators.clear();
    for (const auto& [op, us] : times) sum += us, guest.operators.push_back({op, us});
    guest.tenant.times.push_back({share, sum});
  }
  for (const Json& left : member(json, "left_out", place))
    guest.left_out += static_cast<int>(std::clamp<std::int64_t>(integer(left, "layers", place), 0, 1000000));
  if (guest.tenant.times.empty())
    throw Error(Code::bad_value, "at no share every operator has a time", place,
                "go on with tailor tune until each has");
  if (guest.tenant.times.size() > kMostShares) fail(fmt::format("more than {} shares", kMostShares), place);
  return guest;
}

std::vector<double> weights_of(const std::string& list, std::size_t count) {
  std::vector<double> weights;
  for (std::size_t at = 0; !list.empty() && at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    weights.push_back(parse_factor(list.substr(at, end - at), "--weights"));
    at = end + 1;
  }
  if (weights.empty()) weights.assign(count, 1);
  if (weights.size() != count)
    throw Error(Code::bad_value, fmt::format("{} weights for {} networks", weights.size(), count),
                "--weights");
  return weights;
}

std::vector<Guest> read_guests(const TuneCorunArguments& a) {
  if (a.files.size() < 2 || a.files.size() > kMostTenants)
    throw Error(Code::usage,
                fmt::format("{} results; 2 to {} networks can share a device", a.files.size(), kMostTenants),
                "command line", "tailor tune corun A.json B.json");
  const std::vector<double> weights = weights_of(a.weights, a.files.size());
  std::vector<Guest> guests;
  double divisions = 1;
  for (std::size_t i = 0; i < a.files.size(); ++i) {
    guests.push_back(read_guest(a.files[i]));
    guests.back().tenant.weight = weights[i];
    divisions *= static_cast<double>(guests.back().tenant.times.size());
    if (guests.back().threads != guests.front().threads)
      throw Error(Code::bad_value,
                  fmt::format("tuned for a device of {} threads, the first for one of {}",
                              guests.back().threads, guests.front().threads),
                  a.files[i].string(), "tune all networks with the same --threads");
  }
  if (divisions > kMostDivisions)
    throw Error(
        Code::bad_value,
        fmt::format("{:.3g} divisions of the device; at most {:.0e} are searched", divisions, kMostDivisions),
        "command line", "fewer networks or fewer shares of each");
  return guests;
}

std::string kernel_name(const Json& cell, const char* key, const Json& kernels, const std::string& place) {
  const std::int64_t index = integer(cell, key, place);
  if (index < 0 || static_cast<std::size_t>(index) >= kernels.size()) fail("a cell of no kernel", place);
  return text(kernels[static_cast<std::size_t>(index)], "name", place);
}

// A pair was measured in both orders of the parts: the mean of the two.
tune::PairSlowdowns read_slowdowns(const std::filesystem::path& path) {
  const std::string place = path.string();
  const Json json = read_json(path, "tailor/tune-interference/1");
  const Json &kernels = member(json, "kernels", place), &cells = member(json, "cells", place);
  if (!kernels.is_array() || !cells.is_array()) fail("\"kernels\" and \"cells\" must be lists", place);
  std::map<std::pair<std::string, std::string>, std::vector<double>> found;
  for (const Json& cell : cells) {
    const std::string first = kernel_name(cell, "first", kernels, place),
                      second = kernel_name(cell, "second", kernels, place);
    for (const char* key : {"first_slowdown", "second_slowdown"}) {
      const Json& slowdown = member(cell, key, place);
      if (slowdown.is_null()) continue;
      const double ratio = number(slowdown, "ratio", place);
      if (!(ratio > 0 && ratio < 1e6)) fail("\"ratio\" must be a factor", place);
      const bool of_first = key[0] == 'f';
      found[of_first ? std::pair(first, second) : std::pair(second, first)].push_back(ratio);
    }
  }
  tune::PairSlowdowns slowdowns;
  for (const auto& [pair, ratios] : found) {
    double sum = 0;
    for (double ratio : ratios) sum += ratio;
    slowdowns[pair] = sum / static_cast<double>(ratios.size());
  }
  return slowdowns;
}

void stretch(std::vector<Guest>& guests, const TuneCorunArguments& a) {
  const double factor = parse_factor(a.stretch, "--stretch");
  if (!(factor >= 1 && factor <= 100))
    throw Error(Code::bad_value, "--stretch must be 1x to 100x", "--stretch");
  for (Guest& guest : guests) guest.tenant.stretch = factor;
  if (a.interference.empty()) return;
  if (guests.size() != 2)
    throw Error(Code::usage, "--interference is of pairs: it takes two networks", "--interference",
                "--stretch is a factor for more of them");
  const tune::PairSlowdowns slowdowns = read_slowdowns(a.interference);
  for (std::size_t i = 0; i < 2; ++i) {
    const tune::Stretch found = tune::stretch_beside(guests[i].operators, guests[1 - i].operators, slowdowns);
    if (found.covered <= 0)
      throw Error(Code::bad_value, "no pair of the networks' operators is among the measured ones",
                  a.interference.string(), "tailor tune interference with operators of both");
    guests[i].tenant.stretch *= found.factor, guests[i].covered = found.covered;
  }
}

tune::CorunGoal goal_of(const std::string& word) {
  for (tune::CorunGoal goal : {tune::CorunGoal::makespan, tune::CorunGoal::latency})
    if (word == name(goal)) return goal;
  throw Error(Code::unknown_name, fmt::format("there is no goal '{}'", word.substr(0, 40)), "--goal",
              "makespan or latency");
}

Json plan_json(const CorunPlan& plan, const std::vector<Guest>& guests) {
  Json shares = Json::array();
  for (std::size_t i = 0; i < guests.size(); ++i) {
    const tune::ShareTime& time = guests[i].tenant.times[plan.chosen[i]];
    shares.push_back({{"share", time.share}, {"us", guests[i].tenant.stretch * time.us}});
  }
  return {{"value_us", plan.value}, {"used", plan.used}, {"shares", std::move(shares)}};
}

Json corun_json(const CorunResult& result, const std::vector<Guest>& guests, tune::CorunGoal goal) {
  auto optional = [](const std::optional<double>& us) { return us ? Json(*us) : Json(nullptr); };
  Json json = {{"schema", "tailor/tune-corun/1"},    {"goal", name(goal)},
               {"threads", guests.front().threads},  {"networks", Json::array()},
               {"divisions", result.divisions},      {"in_turn_us", optional(result.in_turn)},
               {"equal_us", optional(result.equal)}, {"plans", Json::array()}};
  for (const Guest& guest : guests) {
    Json times = Json::array();
    for (const tune::ShareTime& time : guest.tenant.times)
      times.push_back({{"share", time.share}, {"us", time.us}});
    json["networks"].push_back({{"model", guest.tenant.name},
                                {"weight", guest.tenant.weight},
                                {"stretch", guest.tenant.stretch},
                                {"interference_covers", guest.covered},
                                {"left_out", guest.left_out},
                                {"incomplete_shares", guest.without},
                                {"times", std::move(times)}});
  }
  for (const CorunPlan& plan : result.plans) json["plans"].push_back(plan_json(plan, guests));
  return json;
}

std::string corun_text(const CorunResult& result, const std::vector<Guest>& guests, tune::CorunGoal goal) {
  std::vector<Column> columns = {{name(goal), Align::right}};
  for (const Guest& guest : guests)
    columns.push_back({std::filesystem::path(guest.tenant.name).filename().string(), Align::right, true});
  Table table(columns);
  auto text_of = [&](const CorunPlan& plan) {
    std::vector<std::string> row = {duration(plan.value)};
    for (std::size_t i = 0; i < guests.size(); ++i) {
      const tune::ShareTime& time = guests[i].tenant.times[plan.chosen[i]];
      row.push_back(
          fmt::format("{:.3g} %: {}", 100 * time.share, duration(guests[i].tenant.stretch * time.us)));
    }
    return row;
  };
  for (const CorunPlan& plan : result.plans) table.row(text_of(plan));
  std::string text = table.text({}, output_width());
  if (result.equal) text += fmt::format("equal shares: {}\n", duration(*result.equal));
  if (result.in_turn)
    text += fmt::format("one after the other, each on all of it: {}\n", duration(*result.in_turn));
  for (const Guest& guest : guests)
    if (guest.left_out > 0)
      text +=
          fmt::format("{}: {} layers have no kernel and are in no time\n", guest.tenant.name, guest.left_out);
  for (const Guest& guest : guests)
    if (guest.covered > 0)
      text += fmt::format(
          "{} beside the other: {:.3f} times as long ({:.0f} % of the time is of measured pairs)\n",
          guest.tenant.name, guest.tenant.stretch, 100 * guest.covered);
  if (guests.front().tenant.stretch == 1 && guests.front().covered == 0)
    text +=
        "times are of each network alone in its share; tailor tune interference says what neighbours cost "
        "(--interference, --stretch)\n";
  return text;
}

}  // namespace

int tune_corun(const Global& global, const TuneCorunArguments& arguments) {
  if (arguments.top < 1 || arguments.top > 1000)
    throw Error(Code::bad_value, "--top must be 1 to 1000", "--top");
  const tune::CorunGoal goal = goal_of(arguments.goal);
  std::vector<Guest> guests = read_guests(arguments);
  stretch(guests, arguments);
  std::vector<Tenant> tenants;
  for (const Guest& guest : guests) tenants.push_back(guest.tenant);
  const CorunResult result = tune::plan_corun(tenants, goal, static_cast<std::size_t>(arguments.top));
  if (result.plans.empty())
    throw Error(Code::goal_not_met, "no measured shares fit on the device together", "command line",
                "tune the networks at smaller shares too (--share 25,50,75,100)");
  if (global.json)
    print_document(corun_json(result, guests, goal));
  else
    print(corun_text(result, guests, goal));
  return 0;
}

}  // namespace tailor::app

// Record <-> JSON, the file, merging, ranking.
#include "tailor/tune/records.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <tuple>

namespace tailor::tune {
namespace {

constexpr const char* kSchema = "tailor/trial/1";
constexpr std::size_t kLongestLine = std::size_t{1} << 20, kMostParameters = 64;
constexpr std::uintmax_t kLargestFile = std::uintmax_t{1} << 32;

[[noreturn]] void fail(const std::string& what, const std::string& place) {
  throw Error(Code::bad_json, what, place);
}

Json to_json(const Value& value) {
  return std::visit([](const auto& held) { return Json(held); }, value);
}

Value value_from(const Json& json, const std::string& name, const std::string& place) {
  if (json.is_boolean()) return std::int64_t{json.get<bool>()};
  if (json.is_number_integer() && !(json.is_number_unsigned() && json.get<std::uint64_t>() > 1ull << 62))
    return json.get<std::int64_t>();
  if (json.is_number() && std::isfinite(json.get<double>())) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  fail(fmt::format("parameter \"{}\" must be a number or a string", name), place);
}

RecordKey key_from(const Json& json, const std::string& place) {
  RecordKey key{text(json, "op", place),     text(json, "precision", place), text(json, "layout", place),
                text(json, "device", place), number(json, "share", place),   text(json, "versions", place),
                text(json, "source", place)};
  if (!(key.share > 0 && key.share <= 1)) fail("\"share\" must be above 0 and at most 1", place);
  return key;
}

std::vector<double> samples_from(const Json& json, const std::string& place) {
  if (!json.is_array()) fail("\"us\" must be an array of times", place);
  std::vector<double> us;
  for (const Json& sample : json) {
    if (!sample.is_number() || !(sample.get<double>() > 0) || !std::isfinite(sample.get<double>()))
      fail("\"us\" holds something else than times", place);
    us.push_back(sample.get<double>());
  }
  return us;
}

Outcome outcome_from(const std::string& word, const std::string& place) {
  if (std::optional<Outcome> outcome = find_outcome(word)) return *outcome;
  fail(fmt::format("'{}' is no outcome", word.substr(0, 40)), place);
}

Tier tier_from(const std::string& word, const std::string& place) {
  for (Tier tier : {Tier::parallel, Tier::exclusive})
    if (word == name(tier)) return tier;
  fail(fmt::format("'{}' is no tier", word.substr(0, 40)), place);
}

double not_negative(const Json& json, const char* key, const std::string& place) {
  const double value = number(json, key, place);
  if (!(value >= 0) || !std::isfinite(value)) fail(fmt::format("\"{}\" must not be negative", key), place);
  return value;
}

double least(const std::vector<double>& us) {
  return us.empty() ? std::numeric_limits<double>::infinity() : *std::min_element(us.begin(), us.end());
}

}  // namespace

Json configuration_json(const std::vector<std::pair<std::string, Value>>& configuration) {
  Json json = Json::object();
  for (const auto& [name, value] : configuration) json[name] = to_json(value);
  return json;
}

std::vector<std::pair<std::string, Value>> configuration_from(const Json& json, const std::string& place) {
  if (!json.is_object()) fail("\"configuration\" must be an object", place);
  if (json.empty() || json.size() > kMostParameters)
    fail(fmt::format("a configuration has 1 to {} parameters", kMostParameters), place);
  std::vector<std::pair<std::string, Value>> configuration;
  for (const auto& [name, value] : json.items())
    configuration.emplace_back(name, value_from(value, name, place));
  return configuration;
}

const char* name(Tier tier) { return tier == Tier::parallel ? "parallel" : "exclusive"; }

double Record::time_us() const { return least(us); }
double Standing::time_us() const { return least(us); }

Json to_json(const Record& r) {
  return {{"schema", kSchema},
          {"key",
           {{"op", r.key.op},
            {"precision", r.key.precision},
            {"layout", r.key.layout},
            {"device", r.key.device},
            {"share", r.key.share},
            {"versions", r.key.versions},
            {"source", r.key.source}}},
          {"configuration", configuration_json(r.configuration)},
          {"outcome", name(r.outcome)},
          {"us", r.us},
          {"clock", r.clock},
          {"partition", r.partition},
          {"neighbours", r.neighbours},
          {"tier", name(r.tier)},
          {"sentinel", r.sentinel},
          {"compile_s", r.compile_s},
          {"when", r.when},
          {"message", r.message}};
}

Record record_from_json(const Json& json, const std::string& place) {
  if (const std::string schema = text(json, "schema", place); schema != kSchema)
    fail(fmt::format("schema is \"{}\"; expected \"{}\"", schema.substr(0, 60), kSchema), place);
  Record r;
  r.key = key_from(member(json, "key", place), place);
  r.configuration = configuration_from(member(json, "configuration", place), place);
  r.outcome = outcome_from(text(json, "outcome", place), place);
  r.us = samples_from(member(json, "us", place), place);
  r.clock = text(json, "clock", place), r.partition = text(json, "partition", place);
  r.neighbours = text(json, "neighbours", place), r.tier = tier_from(text(json, "tier", place), place);
  r.sentinel = not_negative(json, "sentinel", place), r.compile_s = not_negative(json, "compile_s", place);
  r.when = text(json, "when", place), r.message = text(json, "message", place);
  if ((r.outcome == Outcome::ok) == r.us.empty())
    fail(r.us.empty() ? "an ok trial without samples" : "a failed trial with samples", place);
  return r;
}

RecordFile::RecordFile(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code missing;
  if (!std::filesystem::exists(path_, missing)) return;
  const Bytes bytes = map_file(path_);
  if (bytes.size() > kLargestFile) fail("more than 4 GiB of records", path_.string());
  std::string_view content = bytes.view();
  torn_ = !content.empty() && content.back() != '\n';
  for (std::size_t number = 1; !content.empty(); ++number) {
    const std::string_view line = content.substr(0, content.find('\n'));
    content.remove_prefix(std::min(line.size() + 1, content.size()));
    if (line.empty()) continue;
    if (line.size() > kLongestLine || !Json::accept(line.begin(), line.end())) {
      ++damaged_;
      continue;
    }
    const std::string place = fmt::format("{}:{}", path_.string(), number);
    records_.push_back(record_from_json(parse_json(line, place), place));
  }
}

void RecordFile::append(const Record& record) {
  append_line(path_, (torn_ ? "\n" : "") + to_line(to_json(record)));
  torn_ = false;
  records_.push_back(record);
}

std::vector<Record> merge(const std::vector<std::vector<Record>>& lists) {
  std::vector<Record> all;
  std::set<std::string> seen;
  for (const auto& list : lists)
    for (const Record& record : list)
      if (seen.insert(to_line(to_json(record))).second) all.push_back(record);
  std::stable_sort(all.begin(), all.end(), [](const Record& a, const Record& b) { return a.key < b.key; });
  return all;
}

std::vector<RecordGroup> group(const std::vector<Record>& records) {
  std::map<RecordKey, std::vector<Record>> by_key;
  for (const Record& record : records) by_key[record.key].push_back(record);
  std::vector<RecordGroup> groups;
  for (auto& [key, list] : by_key) groups.push_back({key, std::move(list)});
  return groups;
}

std::vector<Standing> ranking(const RecordGroup& group) {
  std::map<std::string, Standing> standings;
  std::set<std::string> wrong;
  for (const Record& record : group.records) {
    const std::string which = to_string(record.configuration);
    if (record.outcome == Outcome::wrong_result) wrong.insert(which);
    if (record.outcome != Outcome::ok) continue;
    Standing& standing = standings[which];
    if (standing.us.empty() || record.tier > standing.tier)
      standing = {record.configuration, record.tier, {}};
    if (record.tier == standing.tier)
      standing.us.insert(standing.us.end(), record.us.begin(), record.us.end());
  }
  std::vector<std::tuple<bool, double, std::string, Standing>> order;
  for (auto& [which, standing] : standings)
    if (!wrong.contains(which))
      order.emplace_back(standing.tier != Tier::exclusive, standing.time_us(), which, std::move(standing));
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::tie(std::get<0>(a), std::get<1>(a), std::get<2>(a)) <
           std::tie(std::get<0>(b), std::get<1>(b), std::get<2>(b));
  });
  std::vector<Standing> sorted;
  for (auto& entry : order) sorted.push_back(std::move(std::get<3>(entry)));
  return sorted;
}

std::optional<Standing> best_of(const std::vector<Record>& records, const RecordKey& key) {
  RecordGroup own{key, {}};
  for (const Record& record : records)
    if (record.key == key) own.records.push_back(record);
  std::vector<Standing> order = ranking(own);
  return order.empty() ? std::nullopt : std::optional(std::move(order.front()));
}

std::vector<std::pair<std::string, Value>> named(const Space& space, const Configuration& configuration) {
  std::vector<std::pair<std::string, Value>> list;
  for (std::size_t p = 0; p < configuration.size(); ++p) {
    const Parameter& parameter = space.parameters()[p];
    list.emplace_back(parameter.name, parameter.values[static_cast<std::size_t>(configuration[p])]);
  }
  return list;
}

std::optional<Configuration> place_of(const Space& space,
                                      const std::vector<std::pair<std::string, Value>>& list) {
  if (list.size() != space.parameters().size()) return std::nullopt;
  Configuration configuration;
  for (std::size_t p = 0; p < list.size(); ++p) {
    if (list[p].first != space.parameters()[p].name) return std::nullopt;
    std::optional<int> value = space.find(p, list[p].second);
    if (!value) return std::nullopt;
    configuration.push_back(*value);
  }
  return space.allows(configuration) ? std::optional(configuration) : std::nullopt;
}

std::string to_string(const std::vector<std::pair<std::string, Value>>& configuration) {
  std::string text;
  for (const auto& [name, value] : configuration)
    text += (text.empty() ? "" : " ") + name + "=" + to_string(value);
  return text;
}

}  // namespace tailor::tune

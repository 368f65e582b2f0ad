// T1 -> Space; cache -> MeasuredSpace; records -> T4.
#include "tailor/tune/kernel_tuner.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

namespace tailor::tune {
namespace {

[[noreturn]] void fail(const std::string& what, const std::string& place) {
  throw Error(Code::bad_json, what, place);
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::optional<Value> literal(std::string_view word) {
  if (word == "True" || word == "true") return std::int64_t{1};
  if (word == "False" || word == "false") return std::int64_t{0};
  const char *begin = word.data(), *end = begin + word.size();
  std::int64_t whole = 0;
  double real = 0;
  if (auto [at, bad] = std::from_chars(begin, end, whole); bad == std::errc{} && at == end) return whole;
  if (auto [at, bad] = std::from_chars(begin, end, real);
      bad == std::errc{} && at == end && std::isfinite(real))
    return real;
  if (word.size() >= 2 && (word.front() == '\'' || word.front() == '"') && word.back() == word.front())
    return std::string(word.substr(1, word.size() - 2));
  return std::nullopt;
}

Value value_of(const Json& json, const std::string& place) {
  if (json.is_boolean()) return std::int64_t{json.get<bool>()};
  if (json.is_number_integer() && !(json.is_number_unsigned() && json.get<std::uint64_t>() > 1ull << 62))
    return json.get<std::int64_t>();
  if (json.is_number() && std::isfinite(json.get<double>())) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  fail("a value must be a number, a truth or a string", place);
}

std::vector<Value> values_of(const Json& json, const std::string& place) {
  if (json.is_string()) return parse_values(json.get<std::string>());
  if (!json.is_array()) fail("\"Values\" must be a list", place);
  std::vector<Value> values;
  for (const Json& value : json) values.push_back(value_of(value, place));
  return values;
}

Parameter parameter_of(const Json& json, const std::string& place) {
  Parameter parameter{text(json, "Name", place), values_of(member(json, "Values", place), place)};
  const auto& values = parameter.values;
  if (std::none_of(values.begin(), values.end(),
                   [](const Value& v) { return std::holds_alternative<std::string>(v); }))
    std::sort(parameter.values.begin(), parameter.values.end(),
              [](const Value& a, const Value& b) { return number_of(a) < number_of(b); });
  return parameter;
}

// Of an entry's "time": a number, or the name of the error that Kernel Tuner saw.
MeasuredRow row_of(const Json& entry, const std::vector<std::string>& names, const std::string& place) {
  MeasuredRow row;
  for (const std::string& name : names)
    row.values.push_back(value_of(member(entry, name.c_str(), place), place));
  const Json& time = member(entry, "time", place);
  if (time.is_number() && time.get<double>() > 0 && std::isfinite(time.get<double>())) {
    row.us = 1e3 * time.get<double>();
    return row;
  }
  const std::string error = time.is_string() ? time.get<std::string>() : "";
  row.outcome = error.starts_with("Compilation") ? Outcome::compile : Outcome::invalid;
  return row;
}

const char* invalidity(Outcome outcome) {
  switch (outcome) {
    case Outcome::ok:
      return "correct";
    case Outcome::compile:
      return "compile";
    case Outcome::timeout:
      return "timeout";
    case Outcome::wrong_result:
      return "correctness";
    case Outcome::invalid:
    case Outcome::device_limit:
      return "runtime";
  }
  return "runtime";
}

Json result_json(const Record& record) {
  Json configuration = Json::object(), runtimes = Json::array(), measurements = Json::array();
  for (const auto& [name, value] : record.configuration)
    configuration[name] = std::visit([](const auto& held) { return Json(held); }, value);
  for (double us : record.us) runtimes.push_back(us / 1e3);
  if (record.outcome == Outcome::ok)
    measurements.push_back({{"name", "time"}, {"value", record.time_us() / 1e3}, {"unit", "ms"}});
  return {{"timestamp", record.when},
          {"configuration", std::move(configuration)},
          {"objectives", {"time"}},
          {"times", {{"compilation_time", 1e3 * record.compile_s}, {"runtimes", std::move(runtimes)}}},
          {"invalidity", invalidity(record.outcome)},
          {"correctness", record.outcome == Outcome::ok ? 1 : 0},
          {"measurements", std::move(measurements)},
          {"metadata",
           {{"op", record.key.op},
            {"precision", record.key.precision},
            {"layout", record.key.layout},
            {"device", record.key.device},
            {"share", record.key.share},
            {"versions", record.key.versions},
            {"source", record.key.source},
            {"tier", name(record.tier)},
            {"partition", record.partition}}}};
}

}  // namespace

std::vector<Value> parse_values(std::string_view text) {
  const std::string place(text.substr(0, 60));
  text = trimmed(text);
  if (text.size() < 2 || text.front() != '[' || text.back() != ']')
    throw Error(Code::bad_space, "values must be a list such as [16, 32, 64]", place);
  text = text.substr(1, text.size() - 2);
  std::vector<Value> values;
  while (!trimmed(text).empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    std::optional<Value> value = literal(trimmed(text.substr(0, end)));
    if (!value)
      throw Error(Code::bad_space,
                  fmt::format("'{}' is no number, truth or string", trimmed(text.substr(0, end))), place);
    values.push_back(std::move(*value));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return values;
}

Space space_from_t1(const Json& json, const std::string& place) {
  const Json& space = member(json, "ConfigurationSpace", place);
  const Json& list = member(space, "TuningParameters", place);
  if (!list.is_array()) fail("\"TuningParameters\" must be a list", place);
  std::vector<Parameter> parameters;
  for (const Json& parameter : list) parameters.push_back(parameter_of(parameter, place));
  std::vector<std::string> conditions;
  if (space.contains("Conditions")) {
    if (!space["Conditions"].is_array()) fail("\"Conditions\" must be a list", place);
    for (const Json& condition : space["Conditions"])
      conditions.push_back(text(condition, "Expression", place));
  }
  return Space(std::move(parameters), conditions);
}

MeasuredSpace measured_from_cache(const Json& json, const std::string& place) {
  const Json& keys = member(json, "tune_params_keys", place);
  const Json& cache = member(json, "cache", place);
  if (!keys.is_array() || !cache.is_object()) fail("no cache file of Kernel Tuner", place);
  std::vector<std::string> names;
  for (const Json& key : keys) {
    if (!key.is_string()) fail("\"tune_params_keys\" must hold names", place);
    names.push_back(key.get<std::string>());
  }
  std::vector<MeasuredRow> rows;
  for (const auto& [key, entry] : cache.items()) rows.push_back(row_of(entry, names, place + ": " + key));
  return make_measured_space(names, rows);
}

Json to_t4(const std::vector<Record>& records) {
  Json results = Json::array();
  for (const Record& record : records) results.push_back(result_json(record));
  return {{"schema_version", "1.0.0"}, {"results", std::move(results)}};
}

}  // namespace tailor::tune

#include "tests/app/schema_check.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace tailor::testing {
namespace {

using Lines = std::vector<std::string>;

bool is_of(const std::string& type, const Json& value) {
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "array") return value.is_array();
  if (type == "object") return value.is_object();
  return type == "null" && value.is_null();
}

void check_type(const Json& schema, const Json& value, const std::string& path, Lines& lines) {
  if (!schema.contains("type")) return;
  const Json& type = schema["type"];
  Json types = type.is_array() ? type : Json::array({type});
  bool good = std::any_of(types.begin(), types.end(), [&](const Json& t) { return is_of(t, value); });
  if (!good) lines.push_back(path + ": not of type " + type.dump());
}

void append(Lines& lines, Lines more) { lines.insert(lines.end(), more.begin(), more.end()); }

void check_members(const Json& schema, const Json& value, const std::string& path, Lines& lines) {
  const Json none = Json::object();
  const Json& known = schema.contains("properties") ? schema["properties"] : none;
  for (const auto& [name, item] : value.items()) {
    std::string at = path + "." + name;
    if (known.contains(name)) {
      append(lines, violations(known[name], item, at));
    } else if (schema.contains("additionalProperties")) {
      const Json& others = schema["additionalProperties"];
      if (others.is_object()) append(lines, violations(others, item, at));
      if (others.is_boolean() && !others.get<bool>()) lines.push_back(at + ": unexpected");
    }
  }
  if (!schema.contains("required")) return;
  for (const Json& name : schema["required"])
    if (!value.contains(name.get<std::string>())) lines.push_back(path + ": lacks " + name.dump());
}

void check_length(const Json& schema, const Json& value, const std::string& path, Lines& lines) {
  bool few = schema.contains("minItems") && value.size() < schema["minItems"].get<std::size_t>(),
       many = schema.contains("maxItems") && value.size() > schema["maxItems"].get<std::size_t>();
  if (few || many) lines.push_back(path + ": " + std::to_string(value.size()) + " items");
}

void check_keywords(const Json& schema, const std::string& path, Lines& lines) {
  static const std::set<std::string> known = {
      "$schema",  "$id",   "title", "description",          "type",     "properties",
      "required", "items", "enum",  "additionalProperties", "minItems", "maxItems"};
  for (const auto& [name, rest] : schema.items())
    if (!known.contains(name)) lines.push_back(path + ": the test's validator does not know '" + name + "'");
}

}  // namespace

std::vector<std::string> violations(const Json& schema, const Json& value, const std::string& path) {
  Lines lines;
  check_keywords(schema, path, lines);
  check_type(schema, value, path, lines);
  if (schema.contains("enum") &&
      std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end())
    lines.push_back(path + ": " + value.dump() + " is none of " + schema["enum"].dump());
  if (value.is_object()) check_members(schema, value, path, lines);
  if (value.is_array()) check_length(schema, value, path, lines);
  if (value.is_array() && schema.contains("items"))
    for (std::size_t i = 0; i < value.size(); ++i)
      append(lines, violations(schema["items"], value[i], path + "[" + std::to_string(i) + "]"));
  return lines;
}

}  // namespace tailor::testing

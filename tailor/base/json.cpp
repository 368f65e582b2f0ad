// JSON: a bounded parse, then members with their type checked. Nesting is counted before the parser runs, so
// that no input can exhaust the stack when the tree is destroyed.
#include "tailor/base/json.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tailor {
namespace {

constexpr int kDeepest = 64;

[[noreturn]] void fail(const std::string& message, const std::string& place) {
  throw Error(Code::bad_json, message, place);
}

std::size_t line_of(std::string_view text, std::size_t at) {
  auto end = text.begin() + static_cast<std::ptrdiff_t>(std::min(at, text.size()));
  return static_cast<std::size_t>(std::count(text.begin(), end, '\n')) + 1;
}

// Offset of the bracket that nests too deep; npos if none does.
std::size_t too_deep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepest) return i;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return std::string_view::npos;
}

// The parser's sentence without its number and position: "[json.exception.x.101] parse error at line 1, ...:
// what"
std::string shortened(std::string_view what) {
  std::size_t at = what.find("; last read");
  if (at != std::string_view::npos) what = what.substr(0, at);
  at = what.find("] ");
  if (at != std::string_view::npos) what.remove_prefix(at + 2);
  at = what.find(": ");
  if (what.starts_with("parse error") && at != std::string_view::npos) what.remove_prefix(at + 2);
  return std::string(what);
}

[[noreturn]] void wrong_type(const char* key, const char* wanted, const Json& found,
                             const std::string& place) {
  fail(fmt::format("\"{}\" must be {}, not {}", key, wanted, found.type_name()), place);
}

}  // namespace

Json parse_json(std::string_view text, const std::string& place) {
  if (std::size_t at = too_deep(text); at != std::string_view::npos)
    fail(fmt::format("not readable JSON: nested more than {} levels deep in line {}", kDeepest,
                     line_of(text, at)),
         place);
  try {
    return Json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::parse_error& error) {
    std::size_t line = line_of(text, error.byte > 0 ? error.byte - 1 : 0);
    fail(fmt::format("not JSON: line {}: {}", line, shortened(error.what())), place);
  } catch (const nlohmann::json::exception& error) {
    fail(fmt::format("not readable JSON: {}", shortened(error.what())), place);
  }
}

Json read_json(const std::filesystem::path& path, const std::string& schema) {
  Json json = parse_json(map_file(path).view(), path.string());
  if (schema.empty()) return json;
  if (!json.is_object() || !json.contains("schema"))
    fail(fmt::format("no \"schema\" member; expected \"{}\"", schema), path.string());
  std::string found = text(json, "schema", path.string());
  if (found != schema) fail(fmt::format("schema is \"{}\"; expected \"{}\"", found, schema), path.string());
  return json;
}

const Json& member(const Json& object, const char* key, const std::string& place) {
  if (!object.is_object()) fail(fmt::format("must be an object, not {}", object.type_name()), place);
  auto it = object.find(key);
  if (it == object.end()) fail(fmt::format("\"{}\" is missing", key), place);
  return *it;
}

double number(const Json& object, const char* key, const std::string& place) {
  const Json& value = member(object, key, place);
  if (!value.is_number()) wrong_type(key, "a number", value, place);
  return value.get<double>();
}

std::int64_t integer(const Json& object, const char* key, const std::string& place) {
  const Json& value = member(object, key, place);
  if (!value.is_number_integer()) wrong_type(key, "an integer", value, place);
  constexpr auto kLargest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > kLargest)
    fail(fmt::format("\"{}\" is too large", key), place);
  return value.get<std::int64_t>();
}

bool boolean(const Json& object, const char* key, const std::string& place) {
  const Json& value = member(object, key, place);
  if (!value.is_boolean()) wrong_type(key, "true or false", value, place);
  return value.get<bool>();
}

std::string text(const Json& object, const char* key, const std::string& place) {
  const Json& value = member(object, key, place);
  if (!value.is_string()) wrong_type(key, "a string", value, place);
  return value.get<std::string>();
}

std::string to_line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace tailor

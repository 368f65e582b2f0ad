/// \file JSON in headers costs nothing: only the forward declaration. Files that build or read JSON include
/// <nlohmann/json.hpp> themselves. Keys keep their order, so files read as written.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <string>

namespace tailor {

using Json = nlohmann::ordered_json;

/// Parses; nesting is bounded to 64 levels. @throws Error bad_json with `place` and the line
Json parse_json(std::string_view text, const std::string& place);
/// Reads a file and checks that its "schema" member is `schema` ("tailor/plan/1") unless that is empty.
/// @throws Error file_missing, bad_json
Json read_json(const std::filesystem::path& path, const std::string& schema = {});

/// Members with their type checked; `place` is the path to `object` in messages. @throws Error bad_json
const Json& member(const Json& object, const char* key, const std::string& place);
double number(const Json& object, const char* key, const std::string& place);
std::int64_t integer(const Json& object, const char* key, const std::string& place);
bool boolean(const Json& object, const char* key, const std::string& place);
std::string text(const Json& object, const char* key, const std::string& place);

/// One line without line breaks; bytes that are no UTF-8 become U+FFFD, so it never throws.
std::string to_line(const Json& json);

}  // namespace tailor

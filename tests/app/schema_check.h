/// \file A validator for the part of JSON Schema that schemas/*.json use: type, properties, required, items,
/// enum, additionalProperties.
#pragma once

#include "tailor/base/json.h"

#include <string>
#include <vector>

namespace tailor::testing {

/// What is wrong with `value`, one line each with its path; empty if it is valid.
std::vector<std::string> violations(const Json& schema, const Json& value, const std::string& path = "$");

}  // namespace tailor::testing

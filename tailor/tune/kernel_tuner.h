/// \file Files of Kernel Tuner and of the benchmark hub of its authors: spaces in (T1), measured tables in (cache files),
/// results out (T4). The formats are those of the schemas that Kernel Tuner 1.x ships.
#pragma once

#include "tailor/base/json.h"
#include "tailor/tune/records.h"
#include "tailor/tune/replay.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::tune {

/// The space of a T1 document: ConfigurationSpace with TuningParameters and Conditions. Values are a JSON list or the
/// text of a Python list of literals. @throws Error bad_json, bad_space
Space space_from_t1(const Json& json, const std::string& place);

/// The list that a text such as "[16, 32]" or "['nchw', 'nhwc']" or "[True, False]" is. @throws Error bad_space
std::vector<Value> parse_values(std::string_view text);

/// A cache file: tune_params_keys and one entry per configuration, with "time" in milliseconds or the name of the
/// error. @throws Error bad_json, bad_space
MeasuredSpace measured_from_cache(const Json& json, const std::string& place);

/// T4 1.0.0: one result per record, times in milliseconds. What a key says is put beside them under "metadata".
Json to_t4(const std::vector<Record>& records);

}  // namespace tailor::tune

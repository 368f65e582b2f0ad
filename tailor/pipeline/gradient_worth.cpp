// File -> checked tables. Readers of a group -> positions of the original -> worth.
#include "tailor/pipeline/gradient_worth.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/json.h"
#include "tailor/pipeline/readers.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace tailor::pipeline {
namespace {

constexpr const char* kSchema = "tailor/worth/1";
constexpr std::size_t kLargestFile = std::size_t{1} << 28;

[[noreturn]] void fail(const std::string& what, const std::string& place) {
  throw Error(Code::bad_json, what, place, "tailor worth MODEL -o FILE --data SAMPLES writes such a file");
}

std::vector<double> worths(const Json& json, const char* key, const std::string& place) {
  const Json& list = member(json, key, place);
  if (!list.is_array()) fail(fmt::format("\"{}\" must be an array", key), place);
  std::vector<double> values;
  for (const Json& value : list) {
    if (!value.is_number() || !std::isfinite(value.get<double>()) || value.get<double>() < 0)
      fail(fmt::format("\"{}\" holds something else than a worth", key), place);
    values.push_back(value.get<double>());
  }
  return values;
}

}  // namespace

GradientWorth read_gradient_worth(const std::filesystem::path& path, const std::string& sha256) {
  const std::string place = path.string();
  const Bytes bytes = map_file(path);
  if (bytes.size() > kLargestFile) fail("larger than 256 MB", place);
  const Json json = parse_json(bytes.view(), place);
  if (text(json, "schema", place) != kSchema) fail(fmt::format("this is no \"{}\"", kSchema), place);
  if (text(json, "sha256", place) != sha256)
    throw Error(Code::dataset_mismatch,
                fmt::format("these gradients are of another model ({})", text(json, "model", place)), place,
                "run `tailor worth` on the model that is to be optimized");
  GradientWorth worth;
  const Json& values = member(json, "values", place);
  if (!values.is_array()) fail("\"values\" must be an array", place);
  for (const Json& value : values) {
    const std::string name = text(value, "value", place);
    worth.taylor[name] = worths(value, "taylor", place), worth.fisher[name] = worths(value, "fisher", place);
  }
  return worth;
}

std::vector<double> gradient_worth(const Subject& present, int group,
                                   const std::map<std::string, std::vector<double>>& worth,
                                   const rewrite::KeptChannels& kept) {
  std::vector<double> sums;
  std::set<std::string> counted;
  for (const Reader& reader : readers_of(present, group)) {
    auto known = worth.find(reader.layer.x);
    if (known == worth.end() || !counted.insert(reader.layer.x).second) continue;
    sums.resize(reader.inputs.size(), 0.0);
    const int axis =
        reader.layer.channels_last ? static_cast<int>(present.shapes.shape(reader.layer.x)->size()) - 1 : 1;
    for (std::size_t unit = 0; unit < sums.size(); ++unit)
      for (int i : reader.inputs[unit]) {
        const std::size_t at =
            rewrite::place_in_original(kept, reader.layer.x, axis, static_cast<std::size_t>(i));
        if (at >= known->second.size())
          throw Error(Code::bad_json, "a value has more channels than its gradients", reader.layer.x,
                      "run `tailor worth` on the model that is to be optimized");
        sums[unit] += known->second[at];
      }
  }
  return sums;
}

}  // namespace tailor::pipeline

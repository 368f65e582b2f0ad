// Several shapes of inputs, none of them twice.
#include "tailor/graph/overrides.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

namespace tailor::graph {

ShapeOverrides parse_shape_overrides(const std::vector<std::string>& texts) {
  ShapeOverrides overrides;
  for (const std::string& text : texts)
    if (!overrides.insert(parse_shape_override(text)).second)
      throw Error(Code::bad_value, fmt::format("'{}' gives the shape of an input a second time", text),
                  "--shape");
  return overrides;
}

}  // namespace tailor::graph

/// \file Sizes of inputs as people write them, one text per input.
#pragma once

#include "tailor/graph/shapes.h"

#include <string>
#include <vector>

namespace tailor::graph {

/// Values of `--shape`, each as parse_shape_override reads it. @throws Error bad_value, also for an input that is given twice
ShapeOverrides parse_shape_overrides(const std::vector<std::string>& texts);

}  // namespace tailor::graph

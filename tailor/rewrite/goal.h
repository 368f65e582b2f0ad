/// \file Between which bounds a value's readers look at it.
#pragma once

#include "tailor/graph/model.h"

#include <cmath>
#include <limits>
#include <string>

namespace tailor::rewrite {

struct Bounds {
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();

  bool any() const { return std::isfinite(low) || std::isfinite(high); }
  bool beyond(float a, float b) const { return (a < low && b < low) || (a > high && b > high); }
};

/// Of a Relu: from 0; of a Clip with constant bounds: those. @pre it is one of them
Bounds bounds_of(const graph::Model& model, const graph::Uses& uses, const graph::Node& node);

/// The widest bounds that all readers share; none if one of them is no Relu or Clip, or the value is an output.
Bounds bounds_of_readers(const graph::Model& model, const std::string& value);

}  // namespace tailor::rewrite

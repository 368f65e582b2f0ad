/// \file Constants behind operands, changed use by use. Private to passes of rewrite.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <compare>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace tailor::rewrite {

/// How one operand changes: per axis, the positions to keep (or to zero), in the order of the result. Equal changes of one
/// constant share a tensor.
struct Change {
  std::map<int, std::vector<int>> axes;
  std::byte fill{};  // of what is masked: weights of quantised layers are zero at their zero point
  friend auto operator<=>(const Change&, const Change&) = default;
};
using Slot = std::pair<int, int>;  // node, input

/// A constant whose uses all change alike keeps its name; else each variant is new.
class ConstantRewriter {
 public:
  /// @pre target outlives this; shapes are its own
  ConstantRewriter(graph::Model& target, const graph::Shapes& shapes)
      : model_(target), shapes_(shapes), uses_(target.graph) {}

  /// @throws Error bad_cut if a constant that follows from others is too large to be folded
  void rewrite(const std::map<Slot, Change>& changes,
               const std::function<graph::Tensor(const graph::Tensor&, const Change&)>& apply);

 private:
  const graph::Tensor& constant(const std::string& name) const;
  std::size_t count_uses(const std::string& name) const;
  void replace(const std::string& name, graph::Tensor tensor);
  std::string add(const std::string& stem, int& serial, graph::Tensor tensor);
  void redirect(const std::vector<Slot>& slots, const std::string& name);

  graph::Model& model_;
  const graph::Shapes& shapes_;
  graph::Uses uses_;
};

}  // namespace tailor::rewrite

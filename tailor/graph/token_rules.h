/// \file Private to token_flow: what a rule sees of a node, and the rules by operator.
#pragma once

#include "tailor/graph/tokens.h"

#include <optional>
#include <string_view>

namespace tailor::graph::tokens {

/// A node at least one of whose inputs holds tokens. Inputs' and first output's shapes are known.
struct Context {
  const Model& model;
  const Shapes& shapes;
  const Uses& uses;
  const Node& node;
  int index;
  std::int64_t opset;
  TokenFlow& flow;

  /// Of an input that is left out: that of a scalar.
  const Shape& shape(std::size_t i) const;
  const Shape& out() const { return *shapes.shape(node.output(0)); }
  /// Axes of an input that hold tokens; none for an input that is left out.
  std::vector<TokenAxis> in(std::size_t i) const;
  /// The one on `axis`.
  std::optional<TokenAxis> on(std::size_t i, int axis) const;
  /// Elements of a literal input.
  std::optional<std::vector<std::int64_t>> integers(std::size_t i) const;
  void set(std::vector<TokenAxis> axes, std::size_t output = 0) const;
};

/// Why tokens cannot go; empty if they can.
using Rule = std::string (*)(const Context&);
/// nullptr if there is none. O(1)
Rule find_rule(std::string_view op);

}  // namespace tailor::graph::tokens

/// \file Tokens: the axis along which a transformer computes alike for every place, and only attention mixes places.
///
/// From a value on (the *site*) every operator is proved to be one of these: it computes each token by itself; it weighs
/// keys and values that are both tokens by a softmax over those tokens; it takes the mean, largest or smallest of the
/// tokens; or it picks tokens by their place. So the network computes something from any subset of the tokens: what a
/// sequence of only these would give. What is not understood is an obstacle with a reason, never guessed. Dropping
/// tokens: Rao et al., DynamicViT, arXiv:2106.02034; by measured latency: Eliopoulos et al., arXiv:2407.05941.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace tailor::graph {

/// Longer axes are refused: they are pixels or samples of sound.
inline constexpr std::int64_t kMostTokens = 1 << 16;

/// An axis of a value along which tokens lie: all of them `outer` times over, each in `inner` neighbouring places (a
/// Reshape to batch * tokens rows has outer = batch).
struct TokenAxis {
  int axis = 0;
  std::int64_t outer = 1, inner = 1;
  /// Which token of the site each place holds; -1: one that joined behind the site, and stays.
  std::shared_ptr<const std::vector<int>> tokens;
  bool weights = false;  // a softmax was taken over the axis, and nothing but moved since

  bool plain() const { return outer == 1 && inner == 1; }
  /// Size of the axis.
  std::int64_t size() const { return outer * inner * static_cast<std::int64_t>(tokens->size()); }
};

/// A constant operand one of whose axes has a place for each token.
struct TokenConstant {
  int node = 0, input = 0, axis = 0;
  TokenAxis tokens;  // as they lie beside it
};

/// What happens to the tokens of a site in the rest of the network.
struct TokenFlow {
  std::string site;
  int axis = 0;
  int count = 0;                                         // tokens there
  std::map<std::string, std::vector<TokenAxis>> values;  // that hold tokens, the site among them
  std::vector<TokenConstant> constants;
  std::vector<int> attentions;  // nodes: softmaxes over tokens
  std::set<int> needed;         // tokens that are read by their place (a class token)
  std::string obstacle, at;     // why tokens cannot go, and the node; empty if they can

  bool possible() const { return obstacle.empty(); }
};

/// Follows the tokens that lie along `axis` of the value `site`. Shapes are those of one sample (infer_shapes with a batch of
/// one); what stays is right for any batch. O(nodes + sizes of the axes).
/// @pre the shape of the site is known, and the axis has at least two places
TokenFlow token_flow(const Model& model, const Shapes& shapes, const std::string& site, int axis);

/// A constant that follows from initializers and Constant nodes alone, whatever the input's size; nullptr if there is
/// none. O(nodes behind the value)
const Tensor* literal(const Graph& graph, const Uses& uses, const Shapes& shapes, const std::string& value);

/// Where a Slice reads along one axis: [start, end) of `size` places, and the input or entry that says so.
struct SliceRange {
  std::size_t entry = 0;  // of starts, ends, axes and steps
  std::int64_t start = 0, end = 0;
};
/// Starts, ends, axes or steps of a Slice as they stand in the file; `field` counts them from 0. Empty where they are
/// computed or left out.
std::vector<std::int64_t> slice_field(const Graph& graph, const Uses& uses, const Shapes& shapes,
                                      const Node& node, int field);
/// The range along `axis`; nullopt if the Slice does not name the axis, or not with literal numbers and steps of one.
/// @pre 0 <= axis < rank
std::optional<SliceRange> slice_range(const Graph& graph, const Uses& uses, const Shapes& shapes,
                                      const Node& node, int axis, int rank, std::int64_t size);

}  // namespace tailor::graph

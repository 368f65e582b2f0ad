/// \file Internal to the module: one rule per operator, from the shapes of its inputs to those of its
/// outputs.
///
/// A rule asks a Site for what is known and sets outputs. It never guesses: what it cannot know stays
/// kUnknown (a dimension) or unset (the rank). A contradiction is reported with Site::fail.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace tailor::graph {

/// An element of a folded integer tensor that nobody knows (Shape of a value with a free dimension).
inline constexpr std::int64_t kUnsure = std::numeric_limits<std::int64_t>::min();
/// Larger dimensions are refused, so that sums and most products of dimensions cannot overflow.
inline constexpr std::int64_t kMaxDimension = std::int64_t{1} << 40;
/// Tensors of more elements (64 KiB at 8 bytes each) are not folded.
inline constexpr std::int64_t kMaxElements = 64 * 1024 / 8;

/// Dense integers of which some may be kUnsure, with their dimensions; or reals. A small tensor under
/// folding.
struct Array {
  DataType type = DataType::undefined;
  Shape dims;
  bool real = false;
  std::vector<std::int64_t> ints;
  std::vector<double> reals;

  std::size_t size() const { return real ? reals.size() : ints.size(); }
  double as_real(std::size_t i) const { return real ? reals[i] : static_cast<double>(ints[i]); }
  bool sure() const;
};

/// What inference knows so far.
struct Knowledge {
  Shapes shapes;
  std::unordered_map<std::string, Array> partial;  // integer values with some unsure elements
};

/// A node at the moment its inputs are known and its outputs are asked for.
class Site {
 public:
  Site(const Node& at, std::int64_t version, const Knowledge& known)
      : node(at), opset(version), known_(known) {}

  const Node& node;
  const std::int64_t opset;  // of the node's domain

  bool has(std::size_t input) const { return !node.input(input).empty(); }
  /// Shape of an input; nullptr if its rank is unknown (then the reason is noted).
  const Shape* shape(std::size_t input);
  DataType type(std::size_t input) const;
  /// Elements of an input as far as they are known; nullopt for large or unknown ones.
  std::optional<Array> array(std::size_t input) const;
  /// The same, integers only, elements may be kUnsure.
  std::optional<std::vector<std::int64_t>> integers(std::size_t input) const;
  std::optional<std::vector<double>> reals(std::size_t input) const;
  /// The attribute, or, if the node has none, input `input`. nullopt: given as an input, but not known.
  std::optional<std::vector<std::int64_t>> list(std::string_view attribute, std::size_t input) const;
  /// The attribute with `count` elements in [lo, hi]; `otherwise` everywhere if absent. Fails if it does not
  /// fit.
  std::vector<std::int64_t> attribute(std::string_view name, std::size_t count, std::int64_t otherwise,
                                      std::int64_t lo, std::int64_t hi) const;

  void set(std::size_t output, DataType type, Shape shape);
  void note(std::string why);
  [[noreturn]] void fail(const std::string& what) const;
  /// `axis` counted from the front. Fails if it is outside of `rank`.
  std::size_t axis(std::int64_t axis, std::size_t rank) const;

  std::unordered_map<std::size_t, TensorType> outputs;
  std::string why;  // first note

 private:
  const Knowledge& known_;
};

using Rule = void (*)(Site&);
struct RuleEntry {
  std::string_view op;
  Rule rule;
};

std::span<const RuleEntry> elementwise_rules();
std::span<const RuleEntry> window_rules();     // convolutions and pools
std::span<const RuleEntry> product_rules();    // matrix products, recurrent layers
std::span<const RuleEntry> layout_rules();     // reshaping, cutting, joining, resizing
std::span<const RuleEntry> selection_rules();  // gathering, reducing, making
std::span<const RuleEntry> microsoft_rules();  // domain com.microsoft

/// The rule for an operator; nullptr if there is none.
Rule find_rule(std::string_view domain, std::string_view op);

/// Values of the node's outputs as far as they follow from known inputs. Keyed by output index.
std::unordered_map<std::size_t, Array> fold(Site& site);

/// Sum and product of dimensions: kUnknown spreads, and is what an overflow gives.
std::int64_t plus(std::int64_t a, std::int64_t b);
std::int64_t times(std::int64_t a, std::int64_t b);
/// Multidirectional broadcast. Fails if the shapes do not fit.
Shape broadcast(const Site& site, const Shape& a, const Shape& b);
/// Both are known to be the same: the better known one; nullopt if they differ.
std::optional<std::int64_t> agree(std::int64_t a, std::int64_t b);

void same_rule(Site& site);  // output 0 like input 0
void conv_rule(Site& site);
void gemm_rule(Site& site);
void qgemm_rule(Site& site);
void matmul_rule(Site& site);
void pool_rule(Site& site);

bool is_real(DataType type);  // a type that Array keeps as double
/// nullopt if it is too large, or of a type that shape arithmetic does not use.
std::optional<Array> to_array(const Tensor& tensor);
Tensor to_tensor(const Array& array);

}  // namespace tailor::graph

/// \file Private to the channel rules: labels per value axis while they are being united.
#pragma once

#include "tailor/graph/channels.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace tailor::graph {

/// Elements of the union-find along one axis; null = fixed axis.
using Ids = std::shared_ptr<const std::vector<int>>;
/// One entry per axis of a value; empty if the rank is unknown.
using AxisIds = std::vector<Ids>;

/// Reshape node -> the axis of its result that carries the labels of the axis it splits; a node that is not named
/// uses the last one.
using Carriers = std::map<int, std::size_t>;

/// Longest axis that is labelled: flattened images beyond it are left alone.
inline constexpr std::int64_t kMostPositions = std::int64_t{1} << 24;

/// State of the pass. Rules read the labels of a node's inputs and write those of its outputs; nodes come in
/// topological order, so inputs are known by then.
class ChannelBuilder {
 public:
  ChannelBuilder(const Model& of_model, const Shapes& its_shapes, Carriers chosen = {})
      : model(of_model),
        shapes(its_shapes),
        uses(of_model.graph),
        carriers(std::move(chosen)),
        weights(weights_of(of_model.graph)) {}

  const Model& model;
  const Shapes& shapes;
  const Uses uses;
  const Carriers carriers;

  /// What find_heads collects in a pass of its own: every axis that a split makes gets labels.
  struct Probe {
    struct Split {
      int node;
      std::size_t axis;
      Ids ids;
    };
    std::vector<Split> splits;
    std::vector<Ids> batches;  // batch axes of products of two values
  };
  std::optional<Probe> probe;
  std::map<int, Ids> carried;  // by node of `carriers`: the labels of that axis

  /// Elements of all constants. Memory is bounded by it: a size that somebody wrote into a small file makes no
  /// channels.
  const std::int64_t weights;

  /// Longest axis that may be labelled, and whether so many channels more can be made.
  std::int64_t longest_axis() const { return std::min(kMostPositions, (std::int64_t{1} << 20) + weights); }
  bool has_room(std::int64_t count) const;

  /// Labels of a value; every axis null if it has none (constants, graph inputs).
  AxisIds of(const std::string& value) const;
  /// Shape of a value; empty vector if unknown or scalar.
  Shape shape(const std::string& value) const;
  /// Known, and not labelled: what is filled to a computed size is a value with channels, though inference knows it.
  bool is_constant(const std::string& value) const { return shapes.constant(value) && !labelled(value); }
  bool labelled(const std::string& value) const;
  bool literal(const std::string& value) const { return is_literal(model.graph, uses, value); }

  /// `count` new elements, each an atom of its own until united; null if unknown or without room.
  Ids fresh(std::int64_t count);
  void unite(int a, int b);
  /// Position by position. @pre same length
  void unite(const Ids& a, const Ids& b);
  /// Every element of `ids` (null allowed) becomes unchangeable; the first reason is kept.
  void freeze(const Ids& ids, const Node& node, const std::string& reason);
  void freeze(const AxisIds& axes, const Node& node, const std::string& reason);
  bool frozen(const Ids& ids) const;
  int root(int element) const;
  void freeze_inputs(const Node& node, const std::string& reason);

  void set(const std::string& value, AxisIds axes);
  void bind(int node, int input, int axis, const Ids& ids, Binding::Role role);
  void layer(int node, const Ids& in, const Ids& out) { layers_.push_back({node, in, out}); }

  /// Resolves elements to atoms, atoms to groups.
  Channels finish();

 private:
  static std::int64_t weights_of(const Graph& graph);
  struct Layer {
    int node;
    Ids in, out;
  };
  Label resolve(const Ids& ids);
  void collect_atoms();
  void make_groups(Channels& channels);
  void name_groups(Channels& channels);

  mutable std::vector<int> parent_;
  std::int64_t labelled_ = 0;                                  // positions of all labels
  std::map<int, std::pair<std::string, std::string>> frozen_;  // root -> reason, node
  std::unordered_map<std::string, AxisIds> axes_;
  struct RawBinding {
    int node, input, axis;
    Ids ids;
    Binding::Role role;
  };
  std::vector<RawBinding> bindings_;
  std::vector<Layer> layers_;
  std::vector<int> atom_of_root_;
  std::unordered_map<const std::vector<int>*, Label> resolved_;
};

/// Labels of the outputs of one node. Unknown operators freeze what they touch.
void apply_channel_rule(ChannelBuilder& builder, int node);

/// Splits of channels into heads, as attention does: of the axes that a Reshape makes of one labelled axis, the
/// one that ends as a batch axis of a product of two values. See channel_heads.cpp.
Carriers find_heads(const Model& model, const Shapes& shapes);

/// Reshape of labels: chunks of axes with equal products; see channel_reshape.cpp.
AxisIds reshape_labels(ChannelBuilder& builder, int node, const AxisIds& in, const Shape& from,
                       const Shape& to);

}  // namespace tailor::graph

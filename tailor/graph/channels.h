/// \file Channel groups: which positions of which tensors must change together.
///
/// Every axis position that a layer produces gets an element of a union-find; operators unite elements (an
/// Add unites channel by channel, a flatten unites H*W positions with their channel, a shuffle permutes, a
/// channel pad shifts). A class of elements is an *atom*: it is kept or removed as a whole, everywhere. Atoms
/// that appear in exactly the same axes are interchangeable and form a *ChannelGroup*; its width is what a
/// planner chooses. So option-A shortcuts, concats and shuffles need no special cases: they are index
/// arithmetic. A unit need not be one position: a head of attention is all its positions in queries, keys, values
/// and the projection; a hidden unit of an LSTM is a row per gate, a column of R and its state.
///
/// What is not understood is frozen with a reason, never guessed. Layers in the bodies of If, Loop and Scan belong to
/// groups like all others, which may cross the borders.
#pragma once

#include "tailor/graph/bodies.h"
#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tailor::graph {

/// Atom of each position of an axis. Axes that share a label are the same object.
using Label = std::shared_ptr<const std::vector<int>>;

/// An axis of a constant operand of a node. Two uses of one initializer are two bindings: they may be cut
/// differently.
struct Binding {
  int node = 0, input = 0, axis = 0;
  Label label;
  enum class Role {
    produces,  // rows that make the channel (output axis of weights, bias, scale of a normalisation)
    consumes,  // columns that read the channel (input axis of weights)
    follows,   // element-wise constants along the channel
  } role = Role::follows;
};

struct ChannelGroup {
  std::string name;        // the layer that makes it (first in topological order); for several, the first
  std::vector<int> atoms;  // in the order of their first appearance; width = atoms.size()
  std::string frozen;      // why it cannot change; empty if it can
  std::string frozen_at;   // the node that freezes it

  int width() const { return static_cast<int>(atoms.size()); }
  bool changeable() const { return frozen.empty(); }
};

/// Where an atom belongs.
struct AtomPlace {
  int group = 0, unit = 0;
};

/// One layer with weights, as the groups see it.
struct LayerChannels {
  int node = 0;
  Label in, out;  // null: fixed
};

/// The model with its bodies laid open, and what the groups own in there; node numbers are those of `open.flat`, whose
/// outermost nodes are among them.
struct OpenChannels {
  LaidOpen open;
  std::vector<Binding> bindings;
  std::vector<LayerChannels> layers;
};

struct Channels {
  std::vector<ChannelGroup> groups;
  std::vector<AtomPlace> atoms;                         // by atom
  std::map<std::pair<std::string, int>, Label> values;  // (value, axis) -> label; absent: fixed axis
  std::vector<Binding> bindings;  // by node, then input, then axis; not of nodes in bodies
  std::vector<LayerChannels>
      layers;  // Conv, ConvTranspose, Gemm, MatMul with constant weights; not those in bodies
  /// Null if the model has no bodies, or none that can be laid open. Groups and values are those of all nodes.
  std::shared_ptr<const OpenChannels> inside;
  /// Fixed axes of layers: layer node -> why its output (or input) channels cannot change.
  std::map<int, std::string> fixed_layers;

  Label find(const std::string& value, int axis) const;
  /// How many positions of `label` belong to each group: (group, positions), by group.
  std::vector<std::pair<int, int>> composition(const Label& label) const;
  /// True if some of the group's channels are those of a value in the body of If, Loop or Scan. O(values)
  bool in_bodies(int group) const;
};

/// @pre shapes = infer_shapes(model). O(nodes + positions) apart from sorting. @throws nothing but Error bug.
Channels channel_groups(const Model& model, const Shapes& shapes);

}  // namespace tailor::graph

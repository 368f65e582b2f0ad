// Labels through Reshape, Flatten, Squeeze and Unsqueeze. The axes of both sides are cut into chunks of equal
// products:
//   (C)(H)(W) -> (C*H*W)      position i of the result belongs to channel i / (H*W)
//   (C*H*W)   -> (C)(H)(W)    the way back: the axis gets the label whose positions are the same already
//   (g*c)     -> (g)(c)       one axis gets the label, and positions that differ on the others are united: the
//                             inner one (channel shuffle, size of heads), or the one that find_heads chose
// Sizes of 1 belong to any chunk. A chunk with more than one labelled axis, or with unknown sizes, freezes
// its labels.
#include "tailor/graph/channel_builder.h"

#include <cstdint>

namespace tailor::graph {
namespace {

struct Chunk {
  std::size_t from_begin, from_end, to_begin, to_end;
};

// Greedy: extend the side with the smaller product until both are equal. Trailing ones join the last chunk.
std::vector<Chunk> chunks_of(const Shape& from, const Shape& to) {
  std::vector<Chunk> chunks;
  std::size_t i = 0, j = 0;
  while (i < from.size() || j < to.size()) {
    Chunk chunk{i, i, j, j};
    std::int64_t a = i < from.size() ? from[i++] : 1, b = j < to.size() ? to[j++] : 1;
    while (a != b) {
      if (a > kMostPositions * 4 || b > kMostPositions * 4 || a == 0 || b == 0) return {};
      if (a < b && i < from.size())
        a *= from[i++];
      else if (b < a && j < to.size())
        b *= to[j++];
      else
        return {};
    }
    while (i < from.size() && from[i] == 1 && (j >= to.size() || to[j] != 1)) ++i;
    while (j < to.size() && to[j] == 1 && (i >= from.size() || from[i] != 1)) ++j;
    chunk.from_end = i, chunk.to_end = j;
    chunks.push_back(chunk);
  }
  return chunks;
}

bool known(const Shape& shape) {
  for (std::int64_t dim : shape)
    if (dim < 0) return false;
  return true;
}

// The label of a chunk's source side, spread over the flattened chunk; null if nothing is labelled.
Ids flatten(ChannelBuilder& b, const Node& node, const AxisIds& in, const Shape& from, const Chunk& chunk) {
  std::size_t labelled = 0, which = 0;
  for (std::size_t axis = chunk.from_begin; axis < chunk.from_end; ++axis)
    if (in[axis]) ++labelled, which = axis;
  if (labelled == 0) return nullptr;
  if (labelled > 1) {
    for (std::size_t axis = chunk.from_begin; axis < chunk.from_end; ++axis)
      b.freeze(in[axis], node, "is merged with another labelled axis");
    return nullptr;
  }
  std::int64_t outer = 1, inner = 1;
  for (std::size_t axis = chunk.from_begin; axis < which; ++axis) outer *= from[axis];
  for (std::size_t axis = which + 1; axis < chunk.from_end; ++axis) inner *= from[axis];
  if (outer == 1 && inner == 1) return in[which];
  if (outer * inner * static_cast<std::int64_t>(in[which]->size()) > b.longest_axis()) {
    b.freeze(in[which], node, "is merged into a very long axis");
    return nullptr;
  }
  auto out = std::make_shared<std::vector<int>>();
  for (std::int64_t o = 0; o < outer; ++o)
    for (int id : *in[which]) out->insert(out->end(), static_cast<std::size_t>(inner), id);
  return out;
}

// Where axis `carrier` lies in a chunk: position i of the flattened chunk has coordinate i / inner % size on it.
struct Stride {
  std::size_t size, inner;
  std::size_t coordinate(std::size_t i) const { return i / inner % size; }
};

Stride stride_of(const Shape& to, const Chunk& chunk, std::size_t carrier) {
  Stride stride{static_cast<std::size_t>(to[carrier]), 1};
  for (std::size_t axis = carrier + 1; axis < chunk.to_end; ++axis)
    stride.inner *= static_cast<std::size_t>(to[axis]);
  return stride;
}

// Positions with the same coordinate are the same already.
bool fits(const ChannelBuilder& b, const Ids& flat, const Stride& stride) {
  for (std::size_t i = 0; i < flat->size(); ++i)
    if (b.root((*flat)[i]) != b.root((*flat)[stride.coordinate(i) * stride.inner])) return false;
  return true;
}

// Unites positions with the same coordinate.
Ids folded(ChannelBuilder& b, const Ids& flat, const Stride& stride) {
  auto out = std::make_shared<std::vector<int>>();
  for (std::size_t c = 0; c < stride.size; ++c) out->push_back((*flat)[c * stride.inner]);
  for (std::size_t i = 0; i < flat->size(); ++i) b.unite((*flat)[i], (*out)[stride.coordinate(i)]);
  return out;
}

// Every axis of the split becomes visible, so that find_heads sees where it goes.
void probe_split(ChannelBuilder& b, int node, const Shape& to, const Chunk& chunk, AxisIds& out) {
  for (std::size_t axis = chunk.to_begin; axis < chunk.to_end; ++axis)
    if (to[axis] > 1 && (out[axis] = b.fresh(to[axis]))) b.probe->splits.push_back({node, axis, out[axis]});
}

// Spreads a flattened label over the target axes: one axis larger than one carries it. That is one which unites
// nothing, else the one that is chosen, else the last.
void unflatten(ChannelBuilder& b, int node, const Ids& flat, const Shape& to, const Chunk& chunk,
               AxisIds& out) {
  std::size_t carrier = chunk.to_end, larger = 0;
  for (std::size_t axis = chunk.to_begin; axis < chunk.to_end; ++axis)
    if (to[axis] > 1) carrier = axis, ++larger;
  if (carrier == chunk.to_end) carrier = chunk.to_begin;
  if (carrier >= to.size()) return;
  if (larger <= 1) {
    out[carrier] = flat;
    return;
  }
  for (std::size_t axis = chunk.to_begin; axis < chunk.to_end; ++axis)
    if (to[axis] > 1 && fits(b, flat, stride_of(to, chunk, axis))) {
      out[axis] = folded(b, flat, stride_of(to, chunk, axis));
      return;
    }
  if (b.probe) return probe_split(b, node, to, chunk, out);
  auto chosen = b.carriers.find(node);
  bool here = chosen != b.carriers.end() && chosen->second >= chunk.to_begin && chosen->second < chunk.to_end;
  if (here) carrier = chosen->second;
  out[carrier] = folded(b, flat, stride_of(to, chunk, carrier));
  if (here) b.carried[node] = out[carrier];
}

}  // namespace

AxisIds reshape_labels(ChannelBuilder& b, int index, const AxisIds& in, const Shape& from, const Shape& to) {
  const Node& node = b.model.graph.nodes[index];
  AxisIds out(to.size());
  bool labelled = false;
  for (const Ids& ids : in) labelled = labelled || ids;
  if (!labelled) return out;
  std::vector<Chunk> chunks = known(from) && known(to) ? chunks_of(from, to) : std::vector<Chunk>{};
  if (chunks.empty()) {
    b.freeze(in, node, "is reshaped in a way that does not keep channels together");
    return out;
  }
  for (const Chunk& chunk : chunks)
    if (Ids flat = flatten(b, node, in, from, chunk)) unflatten(b, index, flat, to, chunk, out);
  return out;
}

}  // namespace tailor::graph

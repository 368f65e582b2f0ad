// What a rule may take for granted: operands of known rank, axes that can be counted, layers whose weights fit their
// inputs. A node that breaks it is frozen before its rule sees it. Files that no runtime would load come here too.
#include "tailor/graph/channel_context.h"

#include <array>
#include <string_view>

namespace tailor::graph {

std::int64_t ChannelBuilder::weights_of(const Graph& graph) {
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : graph.initializers) bytes += tensor.data.size();
  for (const Node& node : graph.nodes)
    if (const auto* value = node.op == "Constant" ? node.find<Tensor>("value") : nullptr)
      bytes += value->data.size();
  return static_cast<std::int64_t>(bytes / sizeof(float));
}

// A channel of a layer takes some hundred bytes here and tens of weights in the file.
bool ChannelBuilder::has_room(std::int64_t count) const {
  constexpr std::int64_t kFree = std::int64_t{1} << 17;
  return count >= 0 && count <= kMostPositions &&
         static_cast<std::int64_t>(parent_.size()) + count <= kFree + weights / 16;
}

}  // namespace tailor::graph

namespace tailor::graph::labels {
namespace {

constexpr std::int64_t kLongest = std::int64_t{1} << 31;

bool countable(const Shape& shape) {
  for (std::int64_t dim : shape)
    if (dim > kLongest) return false;
  return true;
}

// Output and input channels of a convolution's weights, before groups.
bool convolution_fits(const Context& c, std::size_t weights, bool transposed) {
  Shape w = c.shape(weights);
  std::int64_t groups = c.node.integer("group", 1);
  if (w.size() < 3) return true;  // the rule looks at that
  if (groups < 1 || w[0] < 1 || w[1] < 1 || w[0] > kMostPositions || w[1] > kMostPositions / groups)
    return false;
  if (w[0] % groups != 0) return false;
  Ids in = at(c.in(0), 1);
  return !in || static_cast<std::int64_t>(in->size()) == (transposed ? w[0] : w[1] * groups);
}

bool matrix_fits(const Context& c, std::size_t weights) {
  for (std::int64_t dim : c.shape(weights))
    if (!c.b.has_room(dim)) return false;
  return true;
}

// Operators that can make a label longer.
bool may_lengthen(const std::string& op) {
  static constexpr std::array<std::string_view, 9> ops = {
      "Concat", "QLinearConcat", "Pad", "Gather", "Tile", "Expand", "SpaceToDepth", "Reshape", "Flatten"};
  return std::find(ops.begin(), ops.end(), op) != ops.end();
}

bool too_long(const Context& c) {
  bool labelled = false;
  for (const std::string& name : c.node.inputs)
    for (const Ids& ids : c.b.of(name)) labelled = labelled || ids;
  for (std::int64_t dim : c.out_shape())
    if (labelled && dim > c.b.longest_axis()) return true;
  return false;
}

}  // namespace

const char* contradiction(const Context& c) {
  for (const std::vector<std::string>* names : {&c.node.inputs, &c.node.outputs})
    for (const std::string& name : *names)
      if (!countable(c.b.shape(name))) return "meets an axis that is too long";
  const std::string& op = c.node.op;
  if (may_lengthen(op) && too_long(c)) return "meets an axis that is too long";
  bool fits = true;
  if (op == "Conv" || op == "FusedConv" || op == "ConvInteger") fits = convolution_fits(c, 1, false);
  if (op == "QLinearConv") fits = convolution_fits(c, 3, false);
  if (op == "ConvTranspose") fits = convolution_fits(c, 1, true);
  if (op == "Gemm" || (op == "MatMul" && c.constant(1))) fits = matrix_fits(c, 1);
  return fits ? nullptr : "meets weights that do not fit it";
}

}  // namespace tailor::graph::labels

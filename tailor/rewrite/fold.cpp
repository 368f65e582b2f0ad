// fold_kernels: what the branch reads and gives, as planes; which kernels lead from the one to the other.
// fold_branch:  a Conv of zeros before the sum, then dead nodes go.
#include "tailor/rewrite/fold.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

namespace tailor::rewrite {
namespace {

using graph::Model;
using graph::Node;
using graph::Shape;

// One axis of the plane: stride and zeros on both sides that lead from `in` to `out` positions.
struct Window {
  std::int64_t stride, begin, end;
};

std::optional<Window> window(std::int64_t in, std::int64_t out, int kernel) {
  if (in < 1 || out < 1 || out > in) return std::nullopt;
  std::int64_t stride = (in + out - 1) / out, begin = (kernel - 1) / 2,
               end = (out - 1) * stride + kernel - in - begin;
  if (end < 0) {  // positions at the end that no window reaches
    if (-end >= stride) return std::nullopt;
    end = 0;
  }
  if (end > kernel / 2) return std::nullopt;
  return Window{stride, begin, end};
}

struct Fold {
  std::string input;
  Window h, w;
  std::int64_t ic, oc;
};

std::optional<Fold> fold(const Model& model, const graph::Shapes& shapes, const Branch& branch, int kernel) {
  std::string input = branch_input(model, shapes, branch);
  const Shape *from = input.empty() ? nullptr : shapes.shape(input), *to = shapes.shape(branch.operand);
  if (!from || !to || from->size() != 4 || to->size() != 4 || (*from)[0] != (*to)[0]) return std::nullopt;
  auto h = window((*from)[2], (*to)[2], kernel), w = window((*from)[3], (*to)[3], kernel);
  if (!h || !w || (*from)[1] < 1 || (*to)[1] < 1) return std::nullopt;
  return Fold{input, *h, *w, (*from)[1], (*to)[1]};
}

// Largest side of the branch's kernels (odd ones), and how many layers with weights it has.
struct Content {
  int kernel = 0, layers = 0;
};

Content content(const Model& model, const graph::Shapes& shapes, const Branch& branch) {
  Content c;
  for (int index : branch.nodes) {
    const Node& node = model.graph.nodes[index];
    c.layers += node.op == "Conv" || node.op == "ConvTranspose" || node.op == "Gemm" || node.op == "MatMul";
    const graph::Tensor* w = node.op == "Conv" ? shapes.constant(node.input(1)) : nullptr;
    if (!w || w->type != graph::DataType::f32 || w->dims.size() != 4) continue;
    if (std::int64_t side = std::max(w->dims[2], w->dims[3]); side % 2 == 1)
      c.kernel = std::max(c.kernel, static_cast<int>(side));
  }
  return c;
}

Node convolution(const Fold& f, int kernel, const std::string& stem) {
  Node node{"Conv", "", stem, {f.input, stem + "_weight", stem + "_bias"}, {stem}};
  auto list = [](std::vector<std::int64_t> values) { return graph::Attribute{std::move(values)}; };
  node.attributes["kernel_shape"] = list({kernel, kernel});
  node.attributes["strides"] = list({f.h.stride, f.w.stride});
  node.attributes["pads"] = list({f.h.begin, f.w.begin, f.h.end, f.w.end});
  return node;
}

}  // namespace

std::string branch_input(const Model& model, const graph::Shapes& shapes, const Branch& branch) {
  std::set<std::string> inside, outside;
  for (int index : branch.nodes)
    inside.insert(model.graph.nodes[index].outputs.begin(), model.graph.nodes[index].outputs.end());
  for (int index : branch.nodes)
    for (const std::string& name : graph::reads(model.graph.nodes[index]))
      if (!inside.contains(name) && !shapes.constant(name)) outside.insert(name);
  return outside.size() == 1 && inside.contains(branch.operand) ? *outside.begin() : std::string();
}

std::string folded_value(const Branch& branch, int kernel) {
  return fmt::format("{}_folded{}x{}", branch.name, kernel, kernel);
}

std::vector<int> fold_kernels(const Model& model, const graph::Shapes& shapes, const Branch& branch) {
  Content c = content(model, shapes, branch);
  std::vector<int> kernels;
  for (int kernel : {c.kernel, 1}) {
    bool simpler = c.layers > 1 || kernel < c.kernel;
    bool known = std::find(kernels.begin(), kernels.end(), kernel) != kernels.end();
    if (kernel > 0 && simpler && !known && fold(model, shapes, branch, kernel)) kernels.push_back(kernel);
  }
  return kernels;
}

Model fold_branch(const Model& model, const graph::Shapes& shapes, const Branch& branch, int kernel) {
  std::vector<int> kernels = fold_kernels(model, shapes, branch);
  if (std::find(kernels.begin(), kernels.end(), kernel) == kernels.end())
    throw Error(Code::bad_cut, fmt::format("no {0}x{0} convolution can stand for this branch", kernel),
                branch.name);
  Fold f = *fold(model, shapes, branch, kernel);
  std::string stem = folded_value(branch, kernel);
  Model result = model;
  Node& sum = result.graph.nodes[branch.sum];
  std::replace(sum.inputs.begin(), sum.inputs.end(), branch.operand, stem);
  Node node = convolution(f, kernel, stem);
  auto count = static_cast<std::size_t>(f.oc * f.ic * kernel * kernel);
  result.graph.initializers[node.inputs[1]] =
      graph::make_f32({f.oc, f.ic, kernel, kernel}, std::vector<float>(count));
  result.graph.initializers[node.inputs[2]] =
      graph::make_f32({f.oc}, std::vector<float>(static_cast<std::size_t>(f.oc)));
  result.graph.nodes.insert(result.graph.nodes.begin() + branch.sum, std::move(node));
  graph::remove_dead(result.graph);
  graph::check(result.graph);
  return result;
}

}  // namespace tailor::rewrite

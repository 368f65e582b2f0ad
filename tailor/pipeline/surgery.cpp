// read_subject   the passes that need no runtime, in order
// apply          cut, then tokens, then fold and drop, then kernels
// final_form     finds the original's groups again in the changed model, by the operands that they are bound to
#include "tailor/pipeline/surgery.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/fewer_tokens.h"
#include "tailor/pipeline/merge.h"
#include "tailor/rewrite/absorb.h"
#include "tailor/rewrite/shortcut.h"
#include "tailor/rewrite/widen.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <unordered_set>

namespace tailor::pipeline {
namespace {

bool finite(const graph::Tensor& tensor) {
  if (tensor.type != graph::DataType::f32) return true;
  constexpr std::size_t kStride = std::size_t{4} << 20;
  for (std::size_t from = 0; from < tensor.data.size(); from += kStride) {
    Bytes part = tensor.data.part(from, std::min(kStride, tensor.data.size() - from));
    bool good = true;  // without a branch per element the compiler takes many at once
    for (std::size_t i = 0; i + sizeof(float) <= part.size(); i += sizeof(float)) {
      std::uint32_t bits;
      std::memcpy(&bits, part.data() + i, sizeof bits);
      good &= (bits & 0x7F800000u) != 0x7F800000u;
    }
    if (!good) return false;
    release_pages(part);
  }
  return true;
}

// Infinity is a usual bound of Clip and a usual mask of attention: only operands of layers must be finite.
void check_finite(const Subject& subject) {
  std::unordered_set<const std::byte*> seen;  // weights have two axes, and may be shared
  for (const graph::Binding& binding : subject.channels.bindings) {
    const graph::Node& node = subject.model.graph.nodes[binding.node];
    const graph::Tensor* tensor = subject.shapes.constant(node.inputs[binding.input]);
    if (tensor && seen.insert(tensor->data.data()).second && !finite(*tensor))
      throw Error(Code::not_finite,
                  fmt::format("the weights '{}' hold NaN or infinity", node.inputs[binding.input]),
                  "node " + node.label(), "mend the model: its outputs cannot be right");
  }
}

// The subject's branch of that name as it is in `model`, made of it. It is the same operand of its sum, whatever has become of
// the other.
rewrite::Branch branch_of(const Subject& subject, const graph::Model& model, const graph::Shapes& shapes,
                          const std::string& name) {
  for (const rewrite::Branch& branch : subject.branches)
    if (branch.name == name)
      if (auto now = rewrite::branch_at(model, shapes, name, rewrite::side_of(subject.model, branch)))
        return std::move(*now);
  throw Error(Code::bad_cut, "there is no residual branch of that name", name);
}

graph::Model widen_after(const Subject& subject, const Surgery& surgery, const graph::Model& model) {
  if (surgery.added.empty()) return model;
  Subject now = make_subject(model, subject.overrides);
  std::map<int, int> extra;
  for (const auto& [group, original] : original_groups(subject, surgery, now))
    if (auto it = surgery.added.find(original); it != surgery.added.end()) extra[group] = it->second;
  return rewrite::widen(model, now.shapes, now.channels, extra);
}

}  // namespace

std::string Subject::sha256() const {
  return model.origin.empty() ? std::string() : tailor::sha256(model.origin);
}

Subject make_subject(graph::Model model, const graph::ShapeOverrides& overrides) {
  Subject subject;
  subject.model = std::move(model);
  subject.overrides = overrides;
  subject.shapes = graph::infer_shapes(subject.model, overrides);
  subject.channels = graph::channel_groups(subject.model, subject.shapes);
  subject.branches = rewrite::residual_branches(subject.model, subject.shapes);
  subject.layers = latency::extract_workloads(subject.model, subject.shapes);
  return subject;
}

Subject read_subject(const std::filesystem::path& path, const graph::ShapeOverrides& overrides) {
  Subject subject = make_subject(onnx::read(path), overrides);
  subject.path = path;
  check_finite(subject);
  return subject;
}

Subject with_shortcuts(const Subject& read) {
  rewrite::Shortcuts shortcuts = rewrite::shortcuts_as_convolutions(read.model, read.shapes);
  if (shortcuts.values.empty()) return read;
  Subject subject = make_subject(std::move(shortcuts.model), read.overrides);
  subject.path = read.path, subject.shortcuts = std::move(shortcuts.values);
  return subject;
}

std::set<int> stream_groups(const Subject& subject) {
  std::set<int> groups;
  const auto& values = subject.channels.values;
  for (const rewrite::Branch& branch : subject.branches)
    for (auto it = values.lower_bound({branch.name, 0}); it != values.end() && it->first.first == branch.name;
         ++it)
      for (const auto& [group, positions] : subject.channels.composition(it->second)) groups.insert(group);
  return groups;
}

int width_after(const Subject& subject, const Surgery& surgery, int group) {
  auto kept = surgery.kept.find(group);
  auto added = surgery.added.find(group);
  return (kept == surgery.kept.end() ? subject.channels.groups[group].width()
                                     : static_cast<int>(kept->second.size())) +
         (added == surgery.added.end() ? 0 : added->second);
}

graph::Model apply(const Subject& subject, const Surgery& surgery) {
  graph::Model model = subject.model;
  if (!surgery.kept.empty()) model = rewrite::cut(model, subject.shapes, subject.channels, {surgery.kept});
  model = with_fewer_tokens(model, subject.overrides, surgery.tokens);
  for (const auto& [name, kernel] : surgery.folded) {
    graph::Shapes shapes = graph::infer_shapes(model, subject.overrides);
    model = rewrite::fold_branch(model, shapes, branch_of(subject, model, shapes, name), kernel);
  }
  for (const std::string& name : surgery.dropped) {
    graph::Shapes shapes = graph::infer_shapes(model, subject.overrides);
    model = rewrite::drop_branch(model, branch_of(subject, model, shapes, name));
  }
  for (const auto& [value, taps] : surgery.kernels) model = rewrite::crop_kernel(model, value, taps);
  return model;
}

graph::Model final_form(const Subject& subject, const Surgery& surgery, const graph::Model& model) {
  graph::Model widened = widen_after(subject, surgery, model);
  return rewrite::absorb_identities(widened, graph::infer_shapes(widened, subject.overrides));
}

rewrite::KeptChannels kept_values(const Subject& subject, const Surgery& surgery) {
  return rewrite::kept_channels(subject.channels, rewrite::kept_atoms(subject.channels, {surgery.kept}));
}

}  // namespace tailor::pipeline

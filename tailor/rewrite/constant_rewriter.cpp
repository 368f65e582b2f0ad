#include "tailor/rewrite/constant_rewriter.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::rewrite {

void ConstantRewriter::rewrite(
    const std::map<Slot, Change>& changes,
    const std::function<graph::Tensor(const graph::Tensor&, const Change&)>& apply) {
  std::map<std::string, std::map<Change, std::vector<Slot>>> by_name;
  for (const auto& [slot, change] : changes)
    by_name[model_.graph.nodes[slot.first].inputs[slot.second]][change].push_back(slot);
  for (const auto& [name, variants] : by_name) {
    bool alone =
        variants.size() == 1 && count_uses(name) == variants.begin()->second.size() && !uses_.is_output(name);
    int serial = 0;
    for (const auto& [change, slots] : variants) {
      graph::Tensor tensor = apply(constant(name), change);
      if (alone)
        replace(name, std::move(tensor));
      else
        redirect(slots, add(fmt::format("{}_cut", name), serial, std::move(tensor)));
    }
  }
}

const graph::Tensor& ConstantRewriter::constant(const std::string& name) const {
  if (const graph::Tensor* direct = graph::constant(model_.graph, uses_, name)) return *direct;
  const graph::Tensor* folded = shapes_.constant(name);
  if (!folded) throw Error(Code::bad_cut, fmt::format("the constant '{}' is too large to be folded", name));
  return *folded;
}

std::size_t ConstantRewriter::count_uses(const std::string& name) const {
  std::size_t count = 0;
  for (int node : uses_.consumers(name)) {
    const auto& inputs = model_.graph.nodes[node].inputs;
    count +=
        std::max<std::size_t>(1, static_cast<std::size_t>(std::count(inputs.begin(), inputs.end(), name)));
  }
  return count;
}

void ConstantRewriter::replace(const std::string& name, graph::Tensor tensor) {
  int producer = uses_.producer(name);
  if (producer < 0) {
    model_.graph.initializers[name] = std::move(tensor);
  } else if (graph::Node& node = model_.graph.nodes[producer]; node.find<graph::Tensor>("value")) {
    node.attributes.find("value")->second.value = std::move(tensor);
  } else {  // folded from other constants: those stay behind and die
    std::replace(node.outputs.begin(), node.outputs.end(), name, name + "_uncut");
    model_.graph.initializers[name] = std::move(tensor);
  }
}

std::string ConstantRewriter::add(const std::string& stem, int& serial, graph::Tensor tensor) {
  std::string name;
  do name = fmt::format("{}{}", stem, serial++);
  while (model_.graph.initializers.contains(name) || uses_.producer(name) >= 0);
  model_.graph.initializers[name] = std::move(tensor);
  return name;
}

void ConstantRewriter::redirect(const std::vector<Slot>& slots, const std::string& name) {
  for (auto [node, input] : slots) model_.graph.nodes[node].inputs[input] = name;
}

}  // namespace tailor::rewrite

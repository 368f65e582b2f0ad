#include "tailor/pipeline/readers.h"

#include <algorithm>

namespace tailor::pipeline {

bool contains_group(const graph::Channels& channels, const graph::Label& label, int group) {
  return label && std::any_of(label->begin(), label->end(),
                              [&](int atom) { return channels.atoms[atom].group == group; });
}

graph::Label input_label(const Subject& subject, int node) {
  for (const graph::LayerChannels& layer : subject.channels.layers)
    if (layer.node == node) return layer.in;
  return nullptr;
}

std::vector<Reader> readers_of(const Subject& subject, int group) {
  const auto units =
      static_cast<std::size_t>(subject.channels.groups[static_cast<std::size_t>(group)].width());
  std::vector<Reader> list;
  for (rewrite::LinearLayer& layer : rewrite::linear_layers(subject.model, subject.shapes)) {
    const graph::Label in = input_label(subject, layer.node);
    std::vector<std::vector<int>> inputs(units);
    for (std::size_t i = 0; in && i < in->size(); ++i) {
      const graph::AtomPlace place = subject.channels.atoms[static_cast<std::size_t>((*in)[i])];
      if (place.group == group) inputs[static_cast<std::size_t>(place.unit)].push_back(static_cast<int>(i));
    }
    if (std::any_of(inputs.begin(), inputs.end(), [](const auto& of_unit) { return !of_unit.empty(); }))
      list.push_back({std::move(layer), std::move(inputs)});
  }
  return list;
}

std::vector<Reader> fitted_readers(const Subject& subject, const rewrite::Equations& equations, int group) {
  std::vector<Reader> list = readers_of(subject, group);
  std::erase_if(list, [&](const Reader& reader) { return !equations.contains(reader.layer.y); });
  return list;
}

}  // namespace tailor::pipeline

/// \file Real and made models with all that is known of them, and inputs.
#pragma once

#include "tailor/graph/channels.h"
#include "tests/rewrite/graphs.h"

#include <set>

namespace tailor::testing {

struct Known {
  graph::Model model;
  graph::Shapes shapes;
  graph::Channels channels;
  runtime::NamedTensors inputs;
};

inline Known known(graph::Model model, std::int64_t free_size) {
  Known k;
  k.shapes = graph::infer_shapes(model, fill_free(model, free_size));
  k.channels = graph::channel_groups(model, k.shapes);
  k.inputs = random_inputs(model, k.shapes, 3);
  k.model = std::move(model);
  return k;
}

inline std::vector<int> changeable(const graph::Channels& channels) {
  std::vector<int> list;
  for (std::size_t g = 0; g < channels.groups.size(); ++g)
    if (channels.groups[g].changeable() && channels.groups[g].width() > 1)
      list.push_back(static_cast<int>(g));
  return list;
}

// Those that cannot be read, and one whose branches depend on an input (bodies_test.cpp).
inline const std::set<std::string> kElsewhere = {"espcn_x3_subpixel_quant", "old_no_opset_super_resolution",
                                                 "silero_vad"};

// Sizes for free dimensions: small images; what listens needs a frame of sound.
inline std::int64_t free_size(const std::string& name) { return name.starts_with("silero") ? 512 : 96; }

// Real models that can be read, `part` of `parts` of them.
inline std::vector<std::string> some_models(std::size_t part, std::size_t parts) {
  std::vector<std::string> names;
  std::size_t i = 0;
  for (const auto& path : real_models())
    if (std::string name = path.stem().string(); !kElsewhere.contains(name) && i++ % parts == part)
      names.push_back(name);
  return names;
}

}  // namespace tailor::testing

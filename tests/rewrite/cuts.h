/// \file Every changeable group of a graph cut alone and all together, against the mask.
#pragma once

#include "tailor/rewrite/cut.h"
#include "tests/rewrite/graphs.h"

namespace tailor::testing {

struct Cuts {
  graph::Model model;
  graph::Shapes shapes;
  graph::Channels channels;
  runtime::NamedTensors inputs;
  double tolerance = 1e-4;

  /// @param samples of the inputs; the channels are found with a batch of one where it is free
  explicit Cuts(graph::Model of_model, std::int64_t samples = 1)
      : model(std::move(of_model)),
        shapes(graph::infer_shapes(model)),
        channels(graph::channel_groups(model, shapes)),
        inputs(random_inputs(model, shapes, 3, samples)) {}

  Cuts(const std::vector<std::string>& lines, graph::Shape input,
       std::map<std::string, graph::Tensor, std::less<>> constants = {}, std::int64_t samples = 1,
       std::int64_t opset = 13)
      : Cuts(graph_of(lines, std::move(input), std::move(constants), opset), samples) {}

  double apart(const rewrite::Cut& what) const {
    return difference(run_model(rewrite::mask(model, shapes, channels, what), inputs),
                      run_model(rewrite::cut(model, shapes, channels, what), inputs));
  }

  /// All but each third unit.
  rewrite::Cut some(int g) const {
    std::vector<int> units;
    for (int u = 0; u < channels.groups[g].width(); ++u)
      if (u % 3 != 1) units.push_back(u);
    return {{{g, units}}};
  }

  /// The number of groups that were cut.
  int check() const {
    int groups = 0;
    rewrite::Cut all;
    runtime::NamedTensors whole = run_model(model, inputs);
    for (int g = 0; g < static_cast<int>(channels.groups.size()); ++g) try {
        const graph::ChannelGroup& group = channels.groups[g];
        if (!group.changeable() || group.width() < 2) continue;
        EXPECT_LE(apart(some(g)), tolerance) << group.name;
        EXPECT_GT(difference(whole, run_model(rewrite::mask(model, shapes, channels, some(g)), inputs)),
                  tolerance)
            << "tells nothing: " << group.name;
        all.kept.merge(some(g).kept), ++groups;
      } catch (const Error& e) {
        ADD_FAILURE() << channels.groups[g].name << ": " << e.what() << " at " << e.place();
      }
    if (groups > 0) {
      EXPECT_LE(apart(all), tolerance);
    }
    return groups;
  }

  /// Why the channels on an axis of a value cannot change; "" if they can, "fixed axis" if there are none.
  std::string frozen(const std::string& value, int axis) const {
    graph::Label label = channels.find(value, axis);
    return label ? channels.groups[channels.atoms[label->at(0)].group].frozen : "fixed axis";
  }
};

}  // namespace tailor::testing

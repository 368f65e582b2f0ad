// Mappings carried out: real networks in 8 bits, split at random, give the same bits as unsplit.
#include "tailor/pipeline/unit_split.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/graph/npy.h"
#include "tailor/pipeline/unit_pieces.h"
#include "tests/rewrite/known.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

namespace tailor::pipeline {
namespace {

using testing::Known;

// Splits of each real network: one of the smaller ones, or as many of all as TAILOR_SPLITS says.
int splits_of_each() {
  const char* text = std::getenv("TAILOR_SPLITS");
  return text ? std::atoi(text) : 0;
}

// What a unit can compute at all gets a random share of the channels.
plan::Mapping random_mapping(const MapResult& result, Random& random) {
  plan::Mapping mapping = result.chosen->mapping;
  for (std::size_t l = 0; l < result.layers.size(); ++l) {
    const plan::SplitProblem problem =
        plan::split_problem(result.platform, result.layers[l].layer, plan::Objective::latency);
    std::vector<std::size_t> able;
    for (std::size_t o = 0; o < problem.options.size(); ++o)
      if (problem.options[o].cycles[1] < latency::kCannot) able.push_back(o);
    std::vector<int>& counts = mapping.splits[l].counts;
    counts.assign(problem.options.size(), 0);
    if (able.empty()) continue;
    int left = problem.channels;
    if (!problem.whole)
      for (std::size_t o : able)
        left -= counts[o] = static_cast<int>(random.below(static_cast<std::size_t>(left + 1)));
    counts[able.front()] += left;
  }
  return mapping;
}

MapOptions options_on(const std::filesystem::path& samples, const char* platform) {
  MapOptions options;
  options.platform = platform;
  options.samples.calib = samples;
  return options;
}

// One input of images, few enough pixels for a test.
bool suits(const Known& k) {
  if (k.model.graph.inputs.size() != 1 || k.model.graph.inputs[0].type != graph::DataType::f32) return false;
  const graph::Shape* x = k.shapes.shape(k.model.graph.inputs[0].name);
  return x && x->size() == 4 && graph::element_count(*x) <= 3 * (splits_of_each() > 0 ? 416 * 416 : 96 * 96);
}

TEST(UnitSplit, RealNetworksGiveTheSameBits) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  TAILOR_NEEDS_RUNNER();
  int networks = 0, layers = 0, reordered = 0;
  for (const std::string& name : testing::some_models(0, 1)) {
    SCOPED_TRACE(name);
    const Known k = testing::known(onnx::read(testing::real_model(name)), testing::free_size(name));
    if (!suits(k) || name.starts_with("vit") || name.ends_with("int8")) continue;
    TemporaryFolder folder(true);
    graph::write_npy(testing::random_inputs(k.model, k.shapes, 5, 12).front().second,
                     folder.path() / "x.npy");
    MapOptions options = options_on(folder.path() / "x.npy", "diana");
    options.samples.overrides = testing::fill_free(k.model, testing::free_size(name));
    const MapResult result = map_model(testing::real_model(name), options);
    options.calib = folder.path() / "x.npy", options.calib_limit = 8;
    const Subject subject = read_subject(testing::real_model(name), options.samples.overrides);
    Random random(9);
    for (int i = 0; i < std::max(1, splits_of_each()); ++i) {
      const UnitSplit split = split_over_units(subject, result, random_mapping(result, random), options);
      EXPECT_TRUE(split.identical()) << split.difference << ", " << split.reordered << " reordered";
      EXPECT_GT(split.nodes, split.layers);
      layers += split.layers, reordered += split.reordered;
    }
    ++networks;
  }
  std::printf("%d networks, %d layers split, %d channel groups reordered\n", networks, layers, reordered);
  EXPECT_GE(networks, splits_of_each() > 0 ? 18 : 6);
  EXPECT_GT(layers, 50);
  EXPECT_GT(reordered, 25);
}

// Piece after piece on the values that pieces before it gave: what comes out is what the whole gives, bit by bit.
void expect_same_by_pieces(const Subject& split, const std::vector<UnitPiece>& pieces,
                           const runtime::NamedTensors& inputs) {
  std::map<std::string, graph::Tensor> values(inputs.begin(), inputs.end());
  for (const UnitPiece& piece : pieces) {
    runtime::NamedTensors given;
    for (const graph::ValueInfo& input : piece.model.graph.inputs) {
      ASSERT_TRUE(values.contains(input.name)) << input.name << " is not there yet";
      given.emplace_back(input.name, values.at(input.name));
    }
    for (auto& [name, tensor] : testing::run_model(piece.model, given)) values[name] = std::move(tensor);
  }
  for (const auto& [name, tensor] : testing::run_model(split.model, inputs))
    EXPECT_EQ(values.at(name).data.view(), tensor.data.view()) << name;
}

TEST(UnitPieces, GiveWhatTheWholeGives) {
  TAILOR_NEEDS_RUNNER();
  TemporaryFolder folder(true);
  const Known k = testing::known(
      testing::graph_of({"Conv x 8x3x3x3 8 -> a | pads=[1,1,1,1]", "BatchNormalization a 8 8 8 8 -> b",
                         "Relu b -> r", "Conv r 8x8x3x3 -> c | pads=[1,1,1,1]", "Add c r -> s", "Relu s -> t",
                         "Conv t 8x1x3x3 8 -> d | group=8", "GlobalAveragePool d -> p", "Flatten p -> f",
                         "Gemm f 8x5 5 -> y"},
                        {1, 3, 8, 8}),
      8);
  onnx::write(k.model, folder.path() / "m.onnx");
  graph::write_npy(testing::random_inputs(k.model, k.shapes, 5, 16).front().second, folder.path() / "x.npy");
  MapOptions options = options_on(folder.path() / "x.npy", "diana");
  const MapResult result = map_model(folder.path() / "m.onnx", options);
  options.calib = folder.path() / "x.npy";
  const Subject subject = read_subject(folder.path() / "m.onnx", {});
  Random random(4);
  for (int i = 0; i < 6; ++i) {
    const UnitSplit done = split_over_units(subject, result, random_mapping(result, random), options);
    EXPECT_EQ(done.activation_bits, 7) << "as DIANA says";
    const Subject split = make_subject(done.split, {});
    const std::vector<UnitPiece> pieces = unit_pieces(split, done.parts);
    std::set<std::string> layers, units;
    for (const UnitPiece& piece : pieces) {
      EXPECT_EQ(piece.unit.empty(), piece.layer.empty());
      if (piece.unit.empty()) continue;
      layers.insert(piece.layer), units.insert(piece.unit);
      ASSERT_EQ(piece.model.graph.inputs.size(), 1U);
      EXPECT_EQ(piece.model.graph.inputs[0].type, graph::DataType::u8) << piece.layer << " on " << piece.unit;
    }
    EXPECT_EQ(layers.size(), 4U);
    EXPECT_EQ(units.size(), 2U);
    expect_same_by_pieces(split, pieces, k.inputs);
  }
}

TEST(UnitSplit, OrdersFollowTheFirstMaker) {
  const Known k =
      testing::known(testing::graph_of({"Conv x 4x3x1x1 -> a", "Relu a -> r", "Conv r 4x4x1x1 -> b",
                                        "Add b r -> s", "Conv s 2x4x1x1 -> y"},
                                       {1, 3, 5, 5}),
                     8);
  const rewrite::Orders orders =
      unit_orders(k.model, k.channels, {{0, {1, 0, 1, 0}}, {2, {1, 1, 0, 0}}, {4, {0, 1}}});
  ASSERT_EQ(orders.size(), 1u) << "what the network gives keeps its order";
  EXPECT_EQ(orders.begin()->second, (std::vector<int>{3, 1, 2, 0}));
  EXPECT_TRUE(unit_orders(k.model, k.channels, {{0, {1, 0, 1, 0}}, {2, {1, 1, 0, 0}}}).empty())
      << "the last layer sums floats";
}

TEST(UnitSplit, NeedsSamplesAndEightBits) {
  TAILOR_NEEDS_RUNNER();
  TemporaryFolder folder(true);
  const Known k = testing::known(testing::graph_of({"Conv x 8x3x3x3 -> y"}, {1, 3, 8, 8}), 8);
  onnx::write(k.model, folder.path() / "m.onnx");
  graph::write_npy(testing::random_inputs(k.model, k.shapes, 5, 16).front().second, folder.path() / "x.npy");
  MapOptions options = options_on(folder.path() / "x.npy", "diana");
  const MapResult result = map_model(folder.path() / "m.onnx", options);
  const Subject subject = read_subject(folder.path() / "m.onnx", {});
  EXPECT_THROW(split_over_units(subject, result, result.chosen->mapping, options), Error);
  options.calib = folder.path() / "x.npy";
  EXPECT_TRUE(split_over_units(subject, result, result.chosen->mapping, options).identical());
}

}  // namespace
}  // namespace tailor::pipeline

// Branches of real residual networks: found, and dropped as if their last layer gave zero.
#include "tailor/rewrite/branch.h"

#include "tailor/rewrite/linear_layer.h"
#include "tests/rewrite/graphs.h"

#include <set>

namespace tailor::rewrite {
namespace {

std::vector<Branch> branches(const graph::Model& model) {
  return residual_branches(model, graph::infer_shapes(model));
}

TEST(Branch, OnePerBlock) {
  TAILOR_NEEDS(testing::real_model("resnet56_cifar10"));
  EXPECT_EQ(branches(onnx::read(testing::real_model("resnet20_cifar10"))).size(), 9u);
  EXPECT_EQ(branches(onnx::read(testing::real_model("resnet56_cifar10"))).size(), 27u);
}

std::set<int> ancestors(const graph::Model& model, const std::string& value) {
  graph::Uses uses(model.graph);
  std::set<int> found;
  std::vector<std::string> open = {value};
  while (!open.empty()) {
    int producer = uses.producer(open.back());
    open.pop_back();
    if (producer >= 0 && found.insert(producer).second)
      for (const std::string& name : graph::reads(model.graph.nodes[static_cast<std::size_t>(producer)]))
        open.push_back(name);
  }
  return found;
}

TEST(Branch, NothingThatTheOtherOperandNeeds) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  for (const auto& path : testing::real_models()) {
    std::string name = path.stem().string();
    if (name == "espcn_x3_subpixel_quant" || name == "old_no_opset_super_resolution") continue;
    graph::Model model = onnx::read(path);
    for (const Branch& branch : branches(model)) {
      std::set<int> needed = ancestors(model, branch.kept);
      for (int node : branch.nodes) EXPECT_FALSE(needed.contains(node)) << name << " " << branch.name;
      EXPECT_NO_THROW(drop_branch(model, branch)) << name << " " << branch.name;
    }
  }
}

// The last layer of the branch gives zero: its weights and bias, and those of a normalisation, are zero.
graph::Model silenced(const graph::Model& model, const Branch& branch) {
  graph::Model result = model;
  graph::Uses uses(model.graph);
  std::string value = branch.operand;
  for (bool done = false; !done;) {
    int index = uses.producer(value);
    const graph::Node& node = model.graph.nodes[static_cast<std::size_t>(index)];
    for (std::size_t i = 1; i < node.inputs.size(); ++i)
      if (const graph::Tensor* t = graph::constant(model.graph, uses, node.inputs[i]))
        set_operand(result, index, i,
                    graph::make_f32(t->dims, std::vector<float>(static_cast<std::size_t>(t->size()))));
    done = node.op != "BatchNormalization";
    value = node.inputs[0];
  }
  return result;
}

TEST(Branch, DroppedIsSilenced) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  TAILOR_NEEDS_RUNNER();
  for (const char* name :
       {"resnet20_cifar10", "mlperftiny_resnet8_cifar10", "mobilenet_v2_1.0_224_imagenet", "tinyyolo_52"}) {
    graph::Model model = onnx::read(testing::real_model(name));
    graph::Shapes shapes = graph::infer_shapes(model);
    auto inputs = testing::random_inputs(model, shapes, 5);
    for (const Branch& branch : branches(model)) {
      graph::Model dropped = drop_branch(model, branch);
      EXPECT_LT(dropped.graph.nodes.size(), model.graph.nodes.size());
      EXPECT_LE(testing::difference(testing::run_model(silenced(model, branch), inputs),
                                    testing::run_model(dropped, inputs)),
                1e-4)
          << name << " " << branch.name;
    }
  }
}

TEST(Branch, AllOfANetworkOneAfterTheOther) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  TAILOR_NEEDS_RUNNER();
  graph::Model model = onnx::read(testing::real_model("resnet20_cifar10"));
  auto inputs = testing::random_inputs(model, graph::infer_shapes(model), 5);
  for (auto left = branches(model); !left.empty(); left = branches(model))
    model = drop_branch(model, left.front());
  EXPECT_EQ(testing::run_model(model, inputs)[0].second.dims, (graph::Shape{1, 10}));
}

// Relu behind the sum stays where the kept operand may be negative.
TEST(Branch, ReluGoesOnlyWhereNothingIsNegative) {
  TAILOR_NEEDS_RUNNER();
  for (bool rectified : {false, true}) {
    graph::Model model =
        testing::graph_of({"Conv x 8x4x1x1 -> a0", rectified ? "Relu a0 -> a" : "Identity a0 -> a",
                           "Conv a 8x8x1x1 -> b", "Add a b -> s", "Relu s -> r", "Conv r 2x8x1x1 -> y"},
                          {1, 4, 5, 5});
    auto found = branches(model);
    ASSERT_EQ(found.size(), 1u);
    graph::Model dropped = drop_branch(model, found[0]);
    long relus = std::count_if(dropped.graph.nodes.begin(), dropped.graph.nodes.end(),
                               [](const graph::Node& n) { return n.op == "Relu"; });
    EXPECT_EQ(relus, 1) << rectified;
    auto inputs = testing::random_inputs(model, graph::infer_shapes(model), 5);
    EXPECT_LE(testing::difference(testing::run_model(silenced(model, found[0]), inputs),
                                  testing::run_model(dropped, inputs)),
              1e-5);
  }
}

}  // namespace
}  // namespace tailor::rewrite

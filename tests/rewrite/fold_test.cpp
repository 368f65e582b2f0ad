// One convolution in place of a branch: which kernels fit, that zeros are the same as nothing, and that a
// branch which is linear is found again exactly.
#include "tailor/rewrite/fold.h"

#include "tailor/base/error.h"
#include "tailor/rewrite/repair.h"
#include "tests/rewrite/graphs.h"

namespace tailor::rewrite {
namespace {

using Lines = std::vector<std::string>;

struct Found {
  graph::Model model;
  graph::Shapes shapes;
  std::vector<Branch> branches;
};

Found found(graph::Model model) {
  Found f{std::move(model), {}, {}};
  f.shapes = graph::infer_shapes(f.model);
  f.branches = residual_branches(f.model, f.shapes);
  return f;
}

// Kernels for the only branch of a small network whose stem and tail are the same each time.
std::vector<int> kernels(const Lines& branch) {
  Lines lines = {"Conv x 8x4x1x1 -> a"};
  lines.insert(lines.end(), branch.begin(), branch.end());
  lines.insert(lines.end(), {"Add a b -> s", "Conv s 2x8x1x1 -> y"});
  Found f = found(testing::graph_of(lines, {1, 4, 8, 8}));
  EXPECT_EQ(f.branches.size(), 1u);
  return fold_kernels(f.model, f.shapes, f.branches.at(0));
}

TEST(Fold, KernelsThatFit) {
  using List = std::vector<int>;
  EXPECT_EQ(kernels({"Conv a 6x8x3x3 -> p | pads=[1,1,1,1]", "Relu p -> q",
                     "Conv q 8x6x3x3 -> b | pads=[1,1,1,1]"}),
            (List{3, 1}));
  EXPECT_EQ(kernels({"Conv a 6x8x1x1 -> p", "Relu p -> q", "Conv q 8x6x5x5 -> b | pads=[2,2,2,2]"}),
            (List{5, 1}));
  EXPECT_EQ(kernels({"Conv a 6x8x1x1 -> p", "Relu p -> q", "Conv q 8x6x1x1 -> b"}), (List{1}));
  EXPECT_EQ(kernels({"Conv a 8x8x3x3 -> b | pads=[1,1,1,1]"}), (List{1}))
      << "it is a 3x3 convolution already";
  EXPECT_EQ(kernels({"Conv a 8x8x1x1 -> b"}), List{});
}

TEST(Fold, NotWithASecondInput) {
  Found f =
      found(testing::graph_of({"Conv x 8x4x1x1 -> a", "Conv x 8x4x1x1 -> r", "Conv a 8x8x1x1 -> p",
                               "Mul p r -> q", "Conv q 8x8x1x1 -> b", "Add a b -> s", "Conv s 2x8x1x1 -> y"},
                              {1, 4, 8, 8}));
  ASSERT_EQ(f.branches.size(), 1u);
  EXPECT_EQ(branch_input(f.model, f.shapes, f.branches[0]), "");
  EXPECT_TRUE(fold_kernels(f.model, f.shapes, f.branches[0]).empty());
}

TEST(Fold, AKernelThatDoesNotFitIsRefused) {
  Found f = found(testing::graph_of({"Conv x 8x4x1x1 -> a", "Conv a 8x8x1x1 -> p", "Conv p 8x8x1x1 -> b",
                                     "Add a b -> s", "Conv s 2x8x1x1 -> y"},
                                    {1, 4, 8, 8}));
  try {
    fold_branch(f.model, f.shapes, f.branches.at(0), 3);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bad_cut);
  }
}

TEST(Fold, ZerosAreAsGoodAsNothing) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  TAILOR_NEEDS_RUNNER();
  int folded = 0;
  for (const char* name : {"resnet20_cifar10", "mlperftiny_resnet8_cifar10", "mobilenet_v2_1.0_224_imagenet",
                           "trt_residual_block", "yolox_nano"}) {
    Found f = found(onnx::read(testing::real_model(name)));
    auto inputs = testing::random_inputs(f.model, f.shapes, 5);
    for (const Branch& branch : f.branches)
      for (int kernel : fold_kernels(f.model, f.shapes, branch)) {
        graph::Model with = fold_branch(f.model, f.shapes, branch, kernel);
        EXPECT_LE(testing::difference(testing::run_model(drop_branch(f.model, branch), inputs),
                                      testing::run_model(with, inputs)),
                  1e-4)
            << name << " " << branch.name << " " << kernel;
        ++folded;
      }
  }
  EXPECT_GT(folded, 30);
}

// Without the Relu between them, 3x3 and 1x1 are one 3x3; repair has to find it from samples.
TEST(Fold, ALinearBranchIsFoundAgain) {
  TAILOR_NEEDS_RUNNER();
  for (const char* stride : {"strides=[1,1]", "strides=[2,2]"}) {
    std::string first = std::string("Conv a 6x8x3x3 6 -> p | pads=[1,1,1,1] ") + stride,
                aside = std::string("Conv a 8x8x1x1 -> k | ") + stride;
    Found f = found(
        testing::graph_of({"Conv x 8x4x3x3 -> a | pads=[1,1,1,1]", aside, first, "Conv p 8x6x1x1 8 -> b",
                           "Add k b -> s", "Relu s -> t", "Conv t 2x8x1x1 -> y"},
                          {1, 4, 8, 8}));
    auto samples = testing::random_inputs(f.model, f.shapes, 3, 64),
         others = testing::random_inputs(f.model, f.shapes, 9);
    auto branch =
        std::find_if(f.branches.begin(), f.branches.end(), [](const Branch& b) { return b.operand == "b"; });
    ASSERT_NE(branch, f.branches.end());
    graph::Model pruned = fold_branch(f.model, f.shapes, *branch, 3);
    graph::Shapes shapes = graph::infer_shapes(pruned);
    Activations wanted(*testing::runner(), f.shapes, samples, 1, std::size_t{1} << 30),
        present(*testing::runner(), shapes, samples, 1, std::size_t{1} << 30);
    RepairOptions options;
    options.ridge = 1e-7, options.only = {{folded_value(*branch, 3)}};
    graph::Model fitted = repair(f.model, wanted, pruned, present, {}, shapes, options).model;
    EXPECT_LE(testing::difference(testing::run_model(f.model, others), testing::run_model(fitted, others)),
              1e-3)
        << stride;
  }
}

}  // namespace
}  // namespace tailor::rewrite

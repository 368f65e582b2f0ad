// Smaller kernels as candidates: what stays of a kernel is fitted to what the whole one gave.
#include "tailor/pipeline/candidates.h"

#include "tests/rewrite/graphs.h"

namespace tailor::pipeline {
namespace {

// A network whose second convolution reads a plane that does not change from row to row: the rows of its 3x3
// kernel see the same, away from the border.
struct Striped {
  Subject subject = make_subject(
      testing::graph_of({"Conv x 6x3x1x1 6 -> a", "Conv a 5x6x3x3 5 -> b | pads=[1,1,1,1]", "Relu b -> y"},
                        {1, 3, 12, 12}),
      {});
  runtime::NamedTensors samples = testing::random_inputs(subject.model, subject.shapes, 3, 96);
  rewrite::Equations equations;

  Striped() {
    std::vector<float> values = samples[0].second.values<float>();
    for (std::size_t i = 0; i < values.size(); ++i)
      if (i % 144 >= 12) values[i] = values[i - 12];
    samples[0].second = graph::make_f32(samples[0].second.dims, std::move(values));
    rewrite::Activations wanted(*testing::runner(), subject.shapes, samples, 1, std::size_t{1} << 30),
        present(*testing::runner(), subject.shapes, samples, 1, std::size_t{1} << 30);
    rewrite::RepairOptions options;
    options.positions = 144;
    equations =
        rewrite::repair(subject.model, wanted, subject.model, present, {}, subject.shapes, options).equations;
  }
  rewrite::LinearLayer layer() const { return rewrite::linear_layers(subject.model, subject.shapes).at(1); }
  graph::Model with(const rewrite::Taps& taps) const {
    return crop_and_refit(subject, equations, layer(), taps, 1e-6);
  }
  // Squared distance of the outputs from the original's over their squares.
  double distance(const graph::Model& model) const {
    auto a = testing::run_model(subject.model, samples), b = testing::run_model(model, samples);
    std::vector<float> x = a[0].second.values<float>(), y = b[0].second.values<float>();
    double error = 0, all = 0;
    for (std::size_t i = 0; i < x.size(); ++i) error += (x[i] - y[i]) * (x[i] - y[i]), all += x[i] * x[i];
    return error / all;
  }
};

TEST(Kernels, TheTapsThatStayTakeOverWhatTheOthersDid) {
  TAILOR_NEEDS_RUNNER();
  Striped s;
  rewrite::Taps row{1, 0, 1, 3}, column{0, 1, 3, 1};
  double refitted = s.distance(s.with(row)),
         cropped = s.distance(rewrite::crop_kernel(s.subject.model, "b", row));
  EXPECT_LT(refitted, 0.03) << "only the border differs";
  EXPECT_GT(cropped, 10 * refitted);
  EXPECT_GT(s.distance(s.with(column)), 2 * refitted) << "columns differ from each other";
}

TEST(Kernels, SurgeryAndCandidateAreTheSameNetwork) {
  TAILOR_NEEDS_RUNNER();
  Striped s;
  rewrite::Taps taps{1, 0, 1, 3};
  Surgery surgery;
  surgery.kernels["b"] = taps;
  graph::Model applied = apply(s.subject, surgery), candidate = s.with(taps);
  ASSERT_EQ(applied.graph.nodes.size(), candidate.graph.nodes.size());
  for (std::size_t i = 0; i < applied.graph.nodes.size(); ++i) {
    const graph::Node &a = applied.graph.nodes[i], &b = candidate.graph.nodes[i];
    EXPECT_EQ(a.integers("pads"), b.integers("pads"));
    EXPECT_EQ(a.integers("kernel_shape"), b.integers("kernel_shape"));
  }
  EXPECT_FALSE(surgery.empty());
  EXPECT_TRUE(Surgery{}.empty());
}

}  // namespace
}  // namespace tailor::pipeline

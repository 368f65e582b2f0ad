// What rounds decide, put together on the original, against the same decisions carried out one after the other.
#include "tailor/pipeline/merge.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tailor/onnx/onnx.h"
#include "tests/pipeline/random_table.h"
#include "tests/testing.h"

namespace tailor::pipeline {
namespace {

std::vector<int> any_choice(const CandidateTable& table, Random& random, bool branches) {
  std::vector<int> choice;
  for (const GroupCandidates& group : table.groups)
    choice.push_back(static_cast<int>(random.below(group.widths.size())));
  for (const BranchCandidate& branch : table.branches)
    choice.push_back(
        branches && random.below(4) == 0 ? static_cast<int>(random.below(branch.options.size() + 1)) : 0);
  for (const KernelCandidate& kernel : table.kernels)
    choice.push_back(static_cast<int>(random.below(kernel.options.size() + 1)));
  return choice;
}

// By operand: copies of shared initializers are numbered as they come.
void expect_same_weights(const graph::Model& expected, const graph::Model& found) {
  ASSERT_EQ(expected.graph.nodes.size(), found.graph.nodes.size());
  for (std::size_t n = 0; n < found.graph.nodes.size(); ++n) {
    const graph::Node &then = expected.graph.nodes[n], &now = found.graph.nodes[n];
    ASSERT_EQ(then.inputs.size(), now.inputs.size());
    for (std::size_t i = 0; i < now.inputs.size(); ++i) {
      auto a = expected.graph.initializers.find(then.inputs[i]),
           b = found.graph.initializers.find(now.inputs[i]);
      ASSERT_EQ(a == expected.graph.initializers.end(), b == found.graph.initializers.end());
      if (b == found.graph.initializers.end()) continue;
      ASSERT_TRUE(a->second.dims == b->second.dims && a->second.data == b->second.data) << now.label();
    }
  }
}

// Three rounds of random decisions.
void expect_rounds_compose(const Subject& original, Random& random, bool branches) {
  Surgery surgery;
  Subject present = make_subject(original.model, {});
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    CandidateTable table = testing::random_table(present, random);
    const std::set<int> shared = shared_groups(original, surgery, present);
    std::erase_if(table.groups, [&](const GroupCandidates& g) { return !shared.contains(g.group); });
    const std::vector<int> choice = any_choice(table, random, branches);
    const graph::Model stepwise = apply(present, merge(present, {}, present, table, choice));
    surgery = merge(original, surgery, present, table, choice);
    present = make_subject(apply(original, surgery), {});
    present.branches = shared_branches(original, present);
    expect_same_weights(stepwise, present.model);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

// A head of attention that is left alone divides into its positions, branches of a decoder lie in each other, and the larger
// operand of a sum need not be the larger one once it is folded.
TEST(Merge, RoundsComposeOnRealModels) {
  int models = 0;
  for (const auto& path : testing::real_models()) {
    if (std::filesystem::file_size(path) > (std::size_t{32} << 20)) continue;
    SCOPED_TRACE(path.filename().string());
    Subject original;
    try {
      original = make_subject(onnx::read(path), {});
    } catch (const Error&) {
      continue;  // two of the files are there to be refused
    }
    ++models;
    Random random(static_cast<std::uint64_t>(models));
    for (bool branches : {false, true})
      EXPECT_NO_THROW(expect_rounds_compose(original, random, branches)) << "branches " << branches;
  }
  if (models == 0) GTEST_SKIP() << "no real models";
}

}  // namespace
}  // namespace tailor::pipeline

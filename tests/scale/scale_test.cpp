// What grows with a model and what must not: memory while weights go from one file to another, and work per node.
// Times are printed by bench/scale_bench.cpp; here only memory and results are judged.
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tailor/rewrite/cut.h"
#include "tests/scale/memory.h"
#include "tests/scale/models.h"
#include "tests/testing.h"

namespace tailor::testing {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
#ifdef TAILOR_SANITIZED
constexpr bool kMemoryCounts = false;  // sanitizers keep what was freed
#else
constexpr bool kMemoryCounts = true;
#endif

rewrite::Cut half_of(const graph::Channels& channels, int group) {
  rewrite::Cut what;
  for (int unit = 0; unit < channels.groups[static_cast<std::size_t>(group)].width(); unit += 2)
    what.kept[group].push_back(unit);
  return what;
}

// Read, infer, group, cut one group, write: the straight line of a surgery.
void operate(const std::filesystem::path& from, const std::filesystem::path& to) {
  graph::Model model = onnx::read(from);
  graph::Shapes shapes = graph::infer_shapes(model);
  graph::Channels channels = graph::channel_groups(model, shapes);
  int group = channels.atoms[static_cast<std::size_t>(channels.find("a3", 1)->at(0))].group;
  onnx::write(rewrite::cut(model, shapes, channels, half_of(channels, group)), to);
}

void expect_bounded(std::size_t most_inline) {
  TemporaryFolder folder;
  std::filesystem::path from = folder.path() / "in.onnx", to = folder.path() / "out.onnx";
  onnx::Draft(chain(48, 512), from, most_inline).commit();  // 48 MiB of weights, 2 of which the cut changes
  if (!reset_peak_memory()) GTEST_SKIP() << "the peak of memory cannot be reset here";
  std::size_t before = peak_memory();
  operate(from, to);
  if (kMemoryCounts) {
    EXPECT_LT(peak_memory() - before, 16 * kMiB) << "weights that nobody changes were kept in memory";
  }
  graph::Model small = onnx::read(to);
  EXPECT_EQ(small.graph.initializers.at("w3").dims, (graph::Shape{256, 512, 1, 1}));
  EXPECT_EQ(small.graph.initializers.at("w4").dims, (graph::Shape{512, 256, 1, 1}));
  EXPECT_TRUE(small.graph.initializers.at("w9").data == onnx::read(from).graph.initializers.at("w9").data);
}

TEST(Scale, MemoryDoesNotGrowWithWeights) { expect_bounded(onnx::kMostBytes); }
TEST(Scale, NorWithExternalOnes) { expect_bounded(0); }

TEST(Scale, TwentyThousandNodes) {
  graph::Model model = residual_net(20000, 4);
  graph::Shapes shapes = graph::infer_shapes(model);
  graph::Channels channels = graph::channel_groups(model, shapes);
  int group = channels.atoms[static_cast<std::size_t>(channels.find("c0", 1)->at(0))].group;
  graph::Model small = rewrite::cut(model, shapes, channels, half_of(channels, group));
  EXPECT_EQ(small.graph.nodes.size(), model.graph.nodes.size());
  EXPECT_EQ(onnx::parse(Bytes::own(onnx::serialize_to_string(small))).graph.nodes.size(),
            model.graph.nodes.size());
}

}  // namespace
}  // namespace tailor::testing

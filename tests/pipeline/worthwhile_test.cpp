// Widths in candidate tables: each can be carried out on the graph, whatever couples its channels.
#include "tailor/pipeline/worthwhile.h"

#include "tailor/base/error.h"
#include "tailor/onnx/onnx.h"
#include "tailor/rewrite/widen.h"
#include "tests/testing.h"

namespace tailor::pipeline {
namespace {

// Every channel costs, so that every width of the grid is worth having; a width that is no multiple of 4 costs more.
struct ChannelOracle : latency::LatencyOracle {
  std::vector<latency::Estimate> evaluate(std::span<const latency::Workload> workloads) override {
    std::vector<latency::Estimate> answers;
    for (const latency::Workload& w : workloads) {
      const Microseconds us{1.0 + static_cast<double>(w.ic + 2 * w.oc) + (w.oc % 4 == 0 ? 0.0 : 40.0)};
      answers.push_back({us, us, us, How::modelled, {}});
    }
    return answers;
  }
  latency::Context context() const override { return {}; }
};

std::vector<int> first_units(int count) {
  std::vector<int> units(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) units[static_cast<std::size_t>(i)] = i;
  return units;
}

struct Tried {
  int narrower = 0, wider = 0;
};

Tried expect_all_can_be_carried_out(const std::string& name) {
  SCOPED_TRACE(name);
  const Subject s = read_subject(testing::real_model(name), {});
  ChannelOracle oracle;
  LatencyBook book(oracle);
  Tried tried;
  for (const auto& [group, widths] : worthwhile_widths(s, book, 4)) {
    const graph::ChannelGroup& g = s.channels.groups[static_cast<std::size_t>(group)];
    EXPECT_TRUE(g.changeable());
    EXPECT_LE(widths.size(), 4u);
    EXPECT_TRUE(std::is_sorted(widths.begin(), widths.end()));
    for (int width : widths) try {
        EXPECT_NE(width, g.width());
        if (width < g.width())
          rewrite::cut(s.model, s.shapes, s.channels, {{{group, first_units(width)}}}), ++tried.narrower;
        else
          rewrite::widen(s.model, s.shapes, s.channels, {{group, width - g.width()}}), ++tried.wider;
      } catch (const Error& e) {
        ADD_FAILURE() << g.name << " at " << width << ": " << e.what();
      }
  }
  return tried;
}

// Depthwise and grouped layers, shuffles by Reshape and by Gather, concats, heads, eight-bit layers.
TEST(Worthwhile, WidthsThatTheGraphAllows) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  int wider = 0;
  for (const char* name :
       {"shufflenet-v2-12-int8", "nanodet_m_320", "FastestDet", "prisma_seg_256", "vit_cifar10_pgd_2_3_16",
        "resnet20_cifar10", "mlperftiny_vww_mobilenetv1_025_96"}) {
    const Tried tried = expect_all_can_be_carried_out(name);
    EXPECT_EQ(tried.narrower == 0, std::string(name).ends_with("int8"))
        << name << ": its layers cannot be timed";
    wider += tried.wider;
  }
  EXPECT_GT(wider, 0);
}

// Three heads are three units of sixteen channels: two and one of them are widths.
TEST(Worthwhile, HeadsAreWidths) {
  TAILOR_NEEDS(testing::real_model("vit_cifar10_pgd_2_3_16"));
  const Subject s = read_subject(testing::real_model("vit_cifar10_pgd_2_3_16"), {});
  ChannelOracle oracle;
  LatencyBook book(oracle);
  int heads = 0;
  for (const auto& [group, widths] : worthwhile_widths(s, book, 4))
    if (s.channels.groups[static_cast<std::size_t>(group)].width() == 3) {
      EXPECT_EQ(widths, (std::vector<int>{1, 2}));
      ++heads;
    }
  EXPECT_EQ(heads, 2) << "one group of heads per block";
}

}  // namespace
}  // namespace tailor::pipeline

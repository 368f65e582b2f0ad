// The real models: nodes, parameters, multiply-accumulates, and output shapes as ONNX Runtime 1.30 computes
// them (every intermediate value was compared when this table was made).
#include "tailor/graph/shapes.h"
#include "tailor/onnx/onnx.h"
#include "tests/testing.h"

#include <cmath>

namespace tailor::onnx {
namespace {

struct Golden {
  const char* name;
  std::vector<const char*> overrides;
  std::size_t nodes;
  std::int64_t parameters;  // in initializers
  double megamacs;
  std::string outputs;
};

std::string outputs_of(const graph::Model& model, const graph::Shapes& shapes) {
  std::string text;
  for (const graph::ValueInfo& output : model.graph.outputs) {
    const graph::Shape* shape = shapes.shape(output.name);
    text += (text.empty() ? "" : " ") + (shape ? graph::to_string(*shape) : "none");
  }
  return text;
}

std::int64_t macs_of(const graph::Model& model, const graph::Shapes& shapes) {
  std::int64_t sum = 0;
  for (const graph::Node& node : model.graph.nodes)
    sum += std::max<std::int64_t>(multiply_accumulates(node, shapes), 0);
  return sum;
}

void expect(const Golden& golden) {
  SCOPED_TRACE(golden.name);
  graph::Model model = read(testing::real_model(golden.name));
  graph::ShapeOverrides overrides;
  for (const char* text : golden.overrides) overrides.insert(graph::parse_shape_override(text));
  graph::Shapes shapes = infer_shapes(model, overrides);
  std::int64_t parameters = 0;
  for (const auto& [name, tensor] : model.graph.initializers) parameters += tensor.size();
  EXPECT_EQ(model.graph.nodes.size(), golden.nodes);
  EXPECT_EQ(parameters, golden.parameters);
  EXPECT_NEAR(static_cast<double>(macs_of(model, shapes)) * 1e-6, golden.megamacs, 0.0006);
  EXPECT_EQ(outputs_of(model, shapes), golden.outputs);
}

TEST(Golden, RealModels) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  const std::vector<Golden> table = {
      {"FastestDet", {}, 211, 240443, 121.492, "1x85x22x22"},
      {"ch_ppocr_mobile_v2.0_cls", {"x:1x3x48x192"}, 385, 0, 16.315, "1x2"},
      {"ch_ppocr_mobile_v2.0_det", {"x:1x3x320x320"}, 432, 0, 477.941, "1x1x320x320"},
      {"ch_ppocr_mobile_v2.0_det_prune", {"x:1x3x320x320"}, 463, 0, 500.946, "1x3x320x320"},
      {"cifar10_resnet_2b", {}, 17, 112006, 0.683, "1x10"},
      {"deeplabv3_mnv2_dm05_pascal", {}, 108, 688371, 867.497, "1x513x513"},
      {"dtln_model_1", {}, 36, 363457, 0.361, "1x1x257 1x2x128x2"},
      {"espcn_x3_subpixel_float", {}, 8, 68032, 1.086, "1x3x12x12"},
      {"micro_kws_m_fp32", {}, 21, 27148, 5.709, "1x10"},
      {"mlperftiny_ad_autoencoder", {}, 19, 265864, 0.264, "1x640"},
      {"mlperftiny_kws_dscnn", {}, 21, 22604, 2.657, "1x12"},
      {"mlperftiny_resnet8_cifar10", {}, 22, 77706, 12.502, "1x10"},
      {"mlperftiny_vww_mobilenetv1_025_96", {}, 57, 210850, 7.490, "1x2"},
      {"mnist-8", {}, 12, 5998, 0.787, "1x10"},
      {"mobilenet_v1_0.25_128_float_imagenet", {}, 57, 467595, 13.570, "1x1001"},
      {"mobilenet_v2_1.0_224_imagenet", {}, 100, 3489099, 300.776, "1x1001"},
      {"nanodet_m_320", {}, 238, 941887, 342.223, "1x1600x80 1x400x80 1x100x80 1x1600x32 1x400x32 1x100x32"},
      {"odimo_resnet20_cifar10_fp", {}, 73, 274042, 40.813, "1x10"},
      {"openwakeword_embedding_model", {}, 65, 328137, 41.956, "1x1x1x96"},
      {"prisma_seg_256", {}, 176, 923057, 1097.466, "1x1x256x256"},
      {"resnet20_cifar10", {}, 73, 271130, 40.551, "1x10"},
      {"resnet56_cifar10", {}, 199, 857114, 125.486, "1x10"},
      {"shufflenet-v2-12-int8", {}, 189, 2286994, 144.908, "1x1000"},
      {"silero_vad", {"input:1x512", "state:2x1x128"}, 5, 0, 0.000, "none none"},
      {"silero_vad_16k_op15", {"input:1x512"}, 121, 309633, 0.433, "1x1 2x1x128"},
      {"super-resolution-10", {}, 12, 59657, 2984.870, "1x1x672x672"},
      {"tinyyolo_52", {}, 31, 92093, 36.569, "1x21125"},
      {"tract_byte_sb_bidi_lstm", {"input:1x16"}, 27, 339206, 5.247, "1x16x2"},
      {"trt_residual_block", {}, 15, 85952, 349.225, "1x256x56x56"},
      {"ultraface-RFB-320", {}, 242, 281135, 100.419, "1x4420x2 1x4420x4"},
      {"vit_cifar10_ibp_3_3_8", {}, 189, 68266, 1.171, "1x10"},
      {"vit_cifar10_pgd_2_3_16", {}, 133, 76186, 0.337, "1x10"},
      {"yolox_nano", {}, 369, 904481, 522.553, "1x3549x85"},
  };
  EXPECT_EQ(table.size(), 33u);
  for (const Golden& golden : table) expect(golden);
}

}  // namespace
}  // namespace tailor::onnx

// Networks that others made: the same outputs as ONNX Runtime's, and a gradient for every weight.
#include "tailor/learn/network.h"
#include "tests/running.h"

#include <gtest/gtest.h>

#include <set>

namespace tailor::learn {
namespace {

namespace fs = std::filesystem;

struct Subject {
  std::string name;
  std::int64_t size = 64;  // of free dimensions that are no batch
  std::int64_t batch = 1;  // where the graph allows more than one
};

// Every convolutional network and vision transformer among the test data.
const std::vector<Subject>& subjects() {
  static const std::vector<Subject> list = {{"FastestDet"},
                                            {"ch_ppocr_mobile_v2.0_cls", 64, 2},
                                            {"ch_ppocr_mobile_v2.0_det", 64, 2},
                                            {"ch_ppocr_mobile_v2.0_det_prune", 64, 2},
                                            {"cifar10_resnet_2b", 0, 3},
                                            {"deeplabv3_mnv2_dm05_pascal"},
                                            {"espcn_x3_subpixel_float", 0, 1},
                                            {"micro_kws_m_fp32"},
                                            {"mlperftiny_ad_autoencoder", 0, 3},
                                            {"mlperftiny_kws_dscnn", 0, 3},
                                            {"mlperftiny_resnet8_cifar10", 0, 3},
                                            {"mlperftiny_vww_mobilenetv1_025_96", 0, 3},
                                            {"mnist-8"},
                                            {"mobilenet_v1_0.25_128_float_imagenet", 0, 2},
                                            {"mobilenet_v2_1.0_224_imagenet", 0, 2},
                                            {"nanodet_m_320"},
                                            {"odimo_resnet20_cifar10_fp", 0, 3},
                                            {"openwakeword_embedding_model", 0, 1},
                                            {"prisma_seg_256"},
                                            {"resnet20_cifar10", 0, 3},
                                            {"resnet56_cifar10", 0, 3},
                                            {"super-resolution-10"},
                                            {"tinyyolo_52"},
                                            {"trt_residual_block", 0, 2},
                                            {"ultraface-RFB-320"},
                                            {"vit_cifar10_ibp_3_3_8", 0, 3},
                                            {"vit_cifar10_pgd_2_3_16", 0, 3},
                                            {"yolox_nano"}};
  return list;
}

struct Example {
  graph::Model model;
  NamedTensors inputs;
};

Example example(const Subject& subject, const fs::path& path) {
  Example e{onnx::read(path), {}};
  graph::Shapes shapes = graph::infer_shapes(e.model, testing::fill_free(e.model, subject.size));
  bool free = e.model.graph.inputs[0].shape && (*e.model.graph.inputs[0].shape)[0] < 0;
  e.inputs = testing::random_inputs(e.model, shapes, 11, free ? subject.batch : 1);
  return e;
}

class RealModels : public ::testing::TestWithParam<Subject> {};

TEST_P(RealModels, AnswerLikeOnnxRuntime) {
  fs::path path = testing::real_model(GetParam().name);
  TAILOR_NEEDS(path);
  TAILOR_NEEDS_RUNNER();
  Example e = example(GetParam(), path);
  runtime::NamedTensors wanted = testing::runner()->run(path, e.inputs, {}, 64, 1, false, true), found;
  Network network(e.model);
  std::vector<graph::Tensor> outputs = network.run(e.inputs);
  for (std::size_t i = 0; i < outputs.size(); ++i)
    found.emplace_back(e.model.graph.outputs[i].name, outputs[i]);
  if (found[0].second.type == graph::DataType::i64) {  // classes of pixels: ties are broken by rounding
    auto a = *graph::as_integers(found[0].second), b = *graph::as_integers(wanted[0].second);
    std::size_t same = 0;
    for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i];
    EXPECT_GT(static_cast<double>(same), 0.9999 * static_cast<double>(a.size()));
    return;
  }
  EXPECT_LT(testing::difference(wanted, found), 1e-4);
}

// What is written back changes only where training changed it: an untouched network gives the file's own bytes, unless
// vectors had to be parted.
TEST_P(RealModels, GiveBackWhatTheyTook) {
  fs::path path = testing::real_model(GetParam().name);
  TAILOR_NEEDS(path);
  graph::Model model = onnx::read(path);
  EXPECT_EQ(onnx::serialize_to_string(Network(model).model()),
            onnx::serialize_to_string(with_own_vectors(model)));
}

TEST_P(RealModels, HaveAGradientForEveryWeight) {
  fs::path path = testing::real_model(GetParam().name);
  TAILOR_NEEDS(path);
  Example e = example(GetParam(), path);
  Network network(e.model);
  std::vector<graph::Tensor> weights, outputs = network.run(e.inputs);
  Random random(3);
  for (const graph::Tensor& output : outputs)
    if (output.type == graph::DataType::f32) weights.push_back(testing::smooth(output.dims, random));
  if (weights.empty()) GTEST_SKIP() << "its only output is made of classes";
  Gradients found = network.gradients(e.inputs, weights);
  std::set<std::string> without;
  for (const Parameter& p : network.parameters())
    if (!p.statistic() && !found.parameters.contains(p.name)) without.insert(p.name);
  EXPECT_TRUE(without.empty()) << without.size() << " of " << network.parameters().size() << ", "
                               << *without.begin();
  EXPECT_GT(network.parameters().size(), 3u);
}

std::string test_name(const ::testing::TestParamInfo<Subject>& subject) {
  std::string name = subject.param.name;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, RealModels, ::testing::ValuesIn(subjects()), test_name);

// Recurrent and quantised networks, and bodies of If: refused with the operators' names.
TEST(RealModelsOfOtherKinds, AreRefusedByName) {
  for (auto [name, op] :
       {std::pair{"dtln_model_1", "LSTM"}, {"shufflenet-v2-12-int8", "QLinearConv"}, {"silero_vad", "If"}}) {
    fs::path path = testing::real_model(name);
    TAILOR_NEEDS(path);
    Example e = example({name}, path);
    Network network(e.model);
    try {
      network.run(e.inputs);
      ADD_FAILURE() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::not_trainable) << name;
      EXPECT_NE(std::string(error.what()).find(op), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace tailor::learn

// Models as lists of layers: what is fused, what moves no data, what is left out.
#include "tailor/pipeline/layer_list.h"

#include "tailor/base/error.h"
#include "tests/app/models.h"
#include "tests/testing.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tailor::pipeline {
namespace {

using graph::DataType;
using graph::Shape;

LayerList list_of(graph::Model model, DataType type = DataType::f16) {
  return layer_list(make_subject(std::move(model), {}), type);
}

std::vector<std::string> texts(const LayerList& list) {
  std::vector<std::string> all;
  for (const ListedLayer& layer : list.layers) all.push_back(layer.text);
  return all;
}

TEST(LayerList, OfTheSmallModel) {
  const LayerList list = list_of(tailor::testing::small_model(16));
  EXPECT_EQ(texts(list),
            (std::vector<std::string>{"conv_mb1_g1_ic3ih32iw32_oc16oh32ow32_kh3kw3_sh1sw1_ph1pw1_f16+relu",
                                      "conv_mb1_g1_ic16ih32iw32_oc8oh32ow32_kh3kw3_sh1sw1_ph1pw1_f16",
                                      "pool_avg_mb1_c8ih32iw32_oh1ow1_kh32kw32_sh1sw1_ph0pw0_f16",
                                      "gemm_m1_k8_n10_f16"}));
  EXPECT_TRUE(list.left_out.empty());
  EXPECT_EQ(list.layers[0].layer, 0);
  EXPECT_EQ(list.layers[2].layer, -1);
  // The relu is fused: the second convolution reads what the first launch wrote; Flatten is a view.
  EXPECT_EQ(list.layers[1].inputs, std::vector<int>{list.layers[0].output});
  EXPECT_EQ(list.layers[3].inputs, std::vector<int>{list.layers[2].output});
}

// x -> Conv a -> Relu -> Conv b -> Add(b, x) -> Softmax -> HardSwish
graph::Model residual() {
  graph::Model model = tailor::testing::small_model(3);
  std::map<std::string, graph::Attribute, std::less<>> same = model.graph.nodes[0].attributes;
  model.graph.nodes = {{"Conv", "", "a", {"x", "w1"}, {"a"}, same}, {"Relu", "", "ra", {"a"}, {"b"}},
                       {"Conv", "", "b", {"b", "w1"}, {"c"}, same}, {"Add", "", "sum", {"x", "c"}, {"d"}},
                       {"Softmax", "", "soft", {"d"}, {"e"}},       {"HardSwish", "", "swish", {"e"}, {"y"}}};
  model.graph.initializers.erase("w2"), model.graph.initializers.erase("w3");
  model.opsets = {{"", 14}};
  model.graph.outputs = {{"y", DataType::f32, Shape{1, 3, 32, 32}}};
  return model;
}

TEST(LayerList, AResidualIsFusedAndWhatIsUnknownIsLeftOut) {
  const LayerList list = list_of(residual(), DataType::f32);
  ASSERT_EQ(list.layers.size(), 3u);
  EXPECT_EQ(list.layers[1].text, "conv_mb1_g1_ic3ih32iw32_oc3oh32ow32_kh3kw3_sh1sw1_ph1pw1_f32+add");
  ASSERT_EQ(list.layers[1].inputs.size(), 2u);
  EXPECT_EQ(list.layers[1].inputs[1], list.layers[0].inputs[0]) << "the residual is the network's input";
  EXPECT_EQ(list.layers[2].text, "eltwise_n3072_f32+hardswish");
  EXPECT_EQ(list.left_out, (std::map<std::string, int>{{"Softmax", 1}}));
}

TEST(LayerList, AsALine) {
  const Json json = parse_json(list_of(residual()).to_line(), "test");
  ASSERT_EQ(json["layers"].size(), 3u);
  for (const Json& layer : json["layers"]) EXPECT_EQ(layer.size(), 3u);
}

TEST(LayerList, Precisions) {
  EXPECT_EQ(type_of_precision(""), DataType::f32);
  EXPECT_EQ(type_of_precision("tf32"), DataType::f32);
  EXPECT_EQ(type_of_precision("i8"), DataType::i8);
  EXPECT_THROW(type_of_precision("f64"), Error);
}

// Every tensor that a launch reads was written before it, or by nobody: an input, or the output of what is left out.
TEST(LayerList, RealModelsInOrder) {
  for (const char* name : {"resnet50", "mobilenetv2", "resnet20_cifar10"}) {
    const auto path = tailor::testing::real_model(name);
    if (!std::filesystem::exists(path)) continue;
    const LayerList list = layer_list(read_subject(path, {}), DataType::f16);
    std::map<int, std::size_t> writer;
    for (std::size_t i = 0; i < list.layers.size(); ++i)
      EXPECT_TRUE(writer.emplace(list.layers[i].output, i).second) << name << ": written twice";
    for (std::size_t i = 0; i < list.layers.size(); ++i)
      for (int tensor : list.layers[i].inputs) {
        const auto found = writer.find(tensor);
        EXPECT_TRUE(found == writer.end() || found->second < i) << name << ": " << list.layers[i].text;
      }
  }
  TAILOR_NEEDS(tailor::testing::real_model("resnet20_cifar10"));
}

}  // namespace
}  // namespace tailor::pipeline

// What the files of others must survive: reading, and writing back the very same bytes.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tests/testing.h"

namespace tailor::onnx {
namespace {

using testing::real_model;
using testing::real_models;

TEST(RealModels, AllButTwoAreLoadedAndWrittenBackByteByByte) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  int loaded = 0;
  for (const auto& path : real_models()) {
    std::string name = path.stem().string();
    if (name == "espcn_x3_subpixel_quant" || name == "old_no_opset_super_resolution") continue;
    SCOPED_TRACE(name);
    Bytes file = map_file(path);
    graph::Model model;
    ASSERT_NO_THROW(model = read(path));
    std::vector<Bytes> pieces = serialize(model);
    ASSERT_EQ(pieces.size(), 1u) << "an untouched model is one piece: its file";
    EXPECT_TRUE(pieces[0] == file);
    ++loaded;
  }
  EXPECT_GE(loaded, 33);
}

TEST(RealModels, WrittenFromScratchTheyReadTheSame) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  for (const char* name :
       {"resnet20_cifar10", "silero_vad_16k_op15", "mnist-8", "ch_ppocr_mobile_v2.0_cls"}) {
    SCOPED_TRACE(name);
    graph::Model model = read(real_model(name));
    graph::Model bare = model;
    bare.origin = {};
    bare.graph.origin = {};
    for (auto& node : bare.graph.nodes) {
      node.origin = {};
      for (auto& [key, attribute] : node.attributes) attribute.origin = {};
    }
    for (auto& [key, tensor] : bare.graph.initializers) tensor.origin = {};
    for (auto& [key, info] : bare.graph.value_infos) info.origin = {};
    for (auto* list : {&bare.graph.inputs, &bare.graph.outputs})
      for (auto& info : *list) info.origin = {};
    graph::Model again = parse(Bytes::own(serialize_to_string(bare)));
    ASSERT_EQ(again.graph.nodes.size(), model.graph.nodes.size());
    for (std::size_t i = 0; i < model.graph.nodes.size(); ++i) {
      const graph::Node &a = again.graph.nodes[i], &b = model.graph.nodes[i];
      EXPECT_EQ(a.op, b.op);
      EXPECT_EQ(a.name, b.name);
      EXPECT_EQ(a.inputs, b.inputs);
      EXPECT_EQ(a.outputs, b.outputs);
      EXPECT_EQ(a.attributes.size(), b.attributes.size());
    }
    ASSERT_EQ(again.graph.initializers.size(), model.graph.initializers.size());
    for (const auto& [key, tensor] : model.graph.initializers)
      EXPECT_TRUE(again.graph.initializers.at(key).data == tensor.data) << key;
    EXPECT_EQ(again.graph.inputs.size(), model.graph.inputs.size());
    EXPECT_EQ(again.opsets, model.opsets);
  }
}

TEST(RealModels, TwoAreRefusedByCode) {
  TAILOR_NEEDS(real_model("espcn_x3_subpixel_quant"));
  auto code = [](const char* name) {
    try {
      read(real_model(name));
    } catch (const Error& error) {
      return std::pair(error.code(), std::string(error.what()));
    }
    return std::pair(Code::bug, std::string("loaded"));
  };
  auto [foreign, message] = code("espcn_x3_subpixel_quant");
  EXPECT_EQ(foreign, Code::foreign_domain);
  EXPECT_NE(message.find("onnx.brevitas"), std::string::npos) << message;
  EXPECT_NE(message.find("Quant"), std::string::npos) << message;
  EXPECT_EQ(code("old_no_opset_super_resolution").first, Code::no_opset);
}

}  // namespace
}  // namespace tailor::onnx

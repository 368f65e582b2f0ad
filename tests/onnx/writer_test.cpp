// What changes is patched, what does not is kept: fields that nobody here knows, order, weights in the
// mapping.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tailor/onnx/wire.h"
#include "tests/testing.h"

#include <algorithm>
#include <cmath>

namespace tailor::onnx {
namespace {

std::string text_of(const Rope& rope) {
  std::string text;
  for (const Bytes& piece : rope.pieces()) text += piece.view();
  return text;
}

Rope value(std::string_view name, std::vector<std::uint64_t> dims) {
  Rope shape, tensor, type, info;
  for (std::uint64_t size : dims) {
    Rope dim;
    dim.varint(1, size);
    shape.message(1, std::move(dim));
  }
  tensor.varint(1, 1);
  tensor.message(2, std::move(shape));
  type.message(1, std::move(tensor));
  info.text(1, name);
  info.message(2, std::move(type));
  info.text(77, "unknown in " + std::string(name));
  return info;
}

Rope weight(std::string_view name, std::vector<std::uint64_t> dims, std::string_view raw) {
  Rope rope;
  for (std::uint64_t dim : dims) rope.varint(1, dim);
  rope.varint(2, 1);
  rope.text(8, name);
  rope.text(9, raw);
  rope.text(88, "unknown in " + std::string(name));
  return rope;
}

// x + w -> a, LeakyRelu -> y, with records in an unusual order and unknown fields at every level.
std::string sample(std::uint64_t ir) {
  Rope add, relu, alpha, graph, model, opset;
  add.text(1, "x");
  add.text(1, "w");
  add.text(2, "a");
  add.text(99, "unknown in add");
  add.text(4, "Add");
  alpha.text(1, "alpha");
  alpha.real(2, 0.5f);
  alpha.varint(20, 1);
  alpha.text(66, "unknown in alpha");
  relu.text(1, "a");
  relu.text(2, "y");
  relu.text(4, "LeakyRelu");
  relu.message(5, std::move(alpha));
  relu.text(99, "unknown in relu");
  graph.message(11, value("x", {1, 2}));
  if (ir < 4) graph.message(11, value("w", {2}));
  graph.message(1, std::move(add));
  graph.message(5, weight("w", {2}, "12345678"));
  graph.message(1, std::move(relu));
  graph.message(13, value("a", {1, 2}));
  graph.text(55, "unknown in graph");
  graph.message(12, value("y", {1, 2}));
  opset.varint(2, 13);
  model.varint(1, ir);
  model.text(2, "by hand");
  model.message(7, std::move(graph));
  model.message(8, std::move(opset));
  model.text(44, "unknown in model");
  return text_of(model);
}

graph::Model sample_model(std::uint64_t ir = 8) { return parse(Bytes::own(sample(ir))); }

int count(const std::string& text, std::string_view part) {
  int n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(Writer, UntouchedIsIdentical) {
  for (std::uint64_t ir : {3u, 8u}) EXPECT_EQ(serialize_to_string(sample_model(ir)), sample(ir));
}

TEST(Writer, APatchedNodeKeepsItsUnknownFields) {
  graph::Model model = sample_model();
  model.graph.nodes[1].attributes["alpha"].value = 0.25f;
  model.graph.nodes[1].name = "named";
  std::string out = serialize_to_string(model);
  for (const char* where : {"relu", "alpha", "add", "graph", "model", "w", "x"})
    EXPECT_EQ(count(out, std::string("unknown in ") + where), 1) << where;
  graph::Model again = parse(Bytes::own(out));
  EXPECT_EQ(again.graph.nodes[1].real("alpha", 0), 0.25f);
  EXPECT_EQ(again.graph.nodes[1].label(), "named");
  model.graph.nodes[1].attributes["alpha"].value = 0.5f;
  model.graph.nodes[1].name = "";
  EXPECT_EQ(serialize_to_string(model), sample(8)) << "a change taken back leaves no trace";
}

TEST(Writer, AttributesOfEveryKind) {
  graph::Model model = sample_model();
  auto& attributes = model.graph.nodes[1].attributes;
  attributes.erase("alpha");
  attributes["f"].value = -0.0f;
  attributes["i"].value = std::int64_t{-5};
  attributes["s"].value = std::string("text");
  attributes["fs"].value = std::vector<float>{1, 2};
  attributes["is"].value = std::vector<std::int64_t>{-1, 1};
  attributes["ss"].value = std::vector<std::string>{"a", ""};
  attributes["t"].value = graph::make_i64({2}, {7, 8});
  graph::Model again = parse(Bytes::own(serialize_to_string(model)));
  const graph::Node& node = again.graph.nodes[1];
  EXPECT_EQ(node.attributes.size(), 7u);
  EXPECT_TRUE(std::signbit(node.real("f", 1)));
  EXPECT_EQ(node.integer("i", 0), -5);
  EXPECT_EQ(node.text("s"), "text");
  EXPECT_EQ(*node.find<std::vector<float>>("fs"), (std::vector<float>{1, 2}));
  EXPECT_EQ(node.integers("is"), (std::vector<std::int64_t>{-1, 1}));
  EXPECT_EQ(*node.find<std::vector<std::string>>("ss"), (std::vector<std::string>{"a", ""}));
  EXPECT_EQ(node.find<graph::Tensor>("t")->values<std::int64_t>(), (std::vector<std::int64_t>{7, 8}));
}

TEST(Writer, WeightsAreReplacedRenamedAddedRemoved) {
  graph::Model model = sample_model();
  auto w = model.graph.initializers.at("w");
  model.graph.initializers.erase("w");
  model.graph.initializers["renamed"] = w;
  model.graph.initializers["new"] = graph::make_f32({1}, {3});
  model.graph.nodes[0].inputs[1] = "renamed";
  std::string out = serialize_to_string(model);
  EXPECT_EQ(count(out, "unknown in w"), 1);
  graph::Model again = parse(Bytes::own(out));
  EXPECT_EQ(again.graph.initializers.size(), 2u);
  EXPECT_TRUE(again.graph.initializers.at("renamed").data == w.data);

  again.graph.initializers.at("renamed").dims = {1};
  again.graph.initializers.at("renamed").data = Bytes::own(std::vector<float>{9});
  again.graph.initializers.erase("new");
  graph::Model third = parse(Bytes::own(serialize_to_string(again)));
  EXPECT_EQ(third.graph.initializers.size(), 1u);
  EXPECT_EQ(third.graph.initializers.at("renamed").values<float>(), std::vector<float>{9});
}

TEST(Writer, WeightsAreNotCopied) {
  graph::Model model = sample_model();
  Bytes big = Bytes::own(std::vector<float>(100000, 1.5f));
  model.graph.initializers["big"] = {graph::DataType::f32, {100000}, big, {}};
  auto pieces = serialize(model);
  EXPECT_TRUE(
      std::any_of(pieces.begin(), pieces.end(), [&](const Bytes& piece) { return piece.same_as(big); }));
}

TEST(Writer, DataThatDoesNotFitItsShapeIsRefused) {
  graph::Model model = sample_model();
  model.graph.initializers.at("w").dims = {3};
  EXPECT_THROW(serialize(model), Error);
}

TEST(Writer, OldModelsListWeightsAsInputs) {
  graph::Model model = sample_model(3);
  ASSERT_EQ(model.graph.inputs.size(), 1u);
  model.graph.initializers.at("w").dims = {1};
  model.graph.initializers.at("w").data = Bytes::own(std::vector<float>{2});
  model.graph.initializers["fresh"] = graph::make_f32({1}, {3});
  Bytes out = Bytes::own(serialize_to_string(model));
  EXPECT_EQ(count(std::string(out.view()), "fresh"), 2) << "as a weight and as an input";
  EXPECT_EQ(count(std::string(out.view()), "unknown in w"), 2);
  model.graph.initializers.erase("w");
  model.graph.nodes[0].inputs[1] = "fresh";
  std::string without = serialize_to_string(model);
  EXPECT_EQ(count(without, "unknown in w"), 0) << "neither as a weight nor as an input";
  EXPECT_EQ(parse(Bytes::own(without)).graph.inputs.size(), 1u);
}

TEST(Writer, NodesInputsOutputsInTheModelsOrder) {
  graph::Model model = sample_model();
  graph::Node extra{"Relu", "", "extra", {"a"}, {"b"}};
  model.graph.nodes.insert(model.graph.nodes.begin() + 1, extra);
  model.graph.nodes[2].inputs[0] = "b";
  model.graph.outputs.insert(model.graph.outputs.begin(),
                             {"b", graph::DataType::f32, graph::Shape{1, -1}, {"", "n"}, {}});
  model.graph.value_infos.erase("a");
  model.graph.name = "g";
  model.opsets["com.microsoft"] = 1;
  model.opsets[""] = 14;
  model.ir_version = 9;
  graph::Model again = parse(Bytes::own(serialize_to_string(model)));
  ASSERT_EQ(again.graph.nodes.size(), 3u);
  EXPECT_EQ(again.graph.nodes[1].name, "extra");
  EXPECT_EQ(again.graph.outputs[0].name, "b");
  EXPECT_EQ(again.graph.outputs[0].symbols, (std::vector<std::string>{"", "n"}));
  EXPECT_TRUE(again.graph.value_infos.empty());
  EXPECT_EQ(again.graph.name, "g");
  EXPECT_EQ(again.opsets, model.opsets);
  EXPECT_EQ(again.ir_version, 9);
  again.graph.nodes.erase(again.graph.nodes.begin() + 1);
  again.graph.nodes[1].inputs[0] = "a";
  again.graph.outputs.erase(again.graph.outputs.begin());
  graph::Model third = parse(Bytes::own(serialize_to_string(again)));
  EXPECT_EQ(third.graph.nodes.size(), 2u);
  EXPECT_EQ(third.graph.nodes[1].op, "LeakyRelu");
}

TEST(Writer, ShapesArePatchedUnknownFieldsStay) {
  graph::Model model = sample_model();
  model.graph.inputs[0].shape = graph::Shape{4, 2};
  std::string out = serialize_to_string(model);
  EXPECT_EQ(count(out, "unknown in x"), 1);
  EXPECT_EQ(parse(Bytes::own(out)).graph.inputs[0].shape, (graph::Shape{4, 2}));
}

TEST(Writer, BodiesArePatchedInPlace) {
  auto body = std::make_shared<graph::Graph>(sample_model().graph);
  graph::Model model = sample_model();
  graph::Node loop{"If", "", "loop", {"a"}, {"z"}};
  body->inputs.clear();
  loop.attributes["then_branch"].value = std::shared_ptr<const graph::Graph>(body);
  model.graph.nodes.insert(model.graph.nodes.begin() + 1, loop);
  std::string first = serialize_to_string(model);
  graph::Model again = parse(Bytes::own(first));
  EXPECT_EQ(serialize_to_string(again), first);
  auto& attribute = again.graph.nodes[1].attributes.at("then_branch");
  auto changed =
      std::make_shared<graph::Graph>(*std::get<std::shared_ptr<const graph::Graph>>(attribute.value));
  changed->nodes[1].attributes.at("alpha").value = 0.125f;
  attribute.value = std::shared_ptr<const graph::Graph>(changed);
  std::string second = serialize_to_string(again);
  EXPECT_EQ(second.size(), first.size());
  EXPECT_EQ(count(second, "unknown in alpha"), 2);
  auto read_back = parse(Bytes::own(second));
  const auto* inner = read_back.graph.nodes[1].find<std::shared_ptr<const graph::Graph>>("then_branch");
  EXPECT_EQ((*inner)->nodes[1].real("alpha", 0), 0.125f);
}

// A model whose weight lies in "w.bin".
std::string external(std::string_view location, std::string_view offset, std::string_view length) {
  graph::Model model = sample_model();
  Rope tensor;
  tensor.varint(1, 2);
  tensor.varint(2, 1);
  tensor.text(8, "w");
  for (auto [key, text] : {std::pair("location", location), {"offset", offset}, {"length", length}}) {
    Rope entry;
    entry.text(1, key);
    entry.text(2, text);
    tensor.message(13, std::move(entry));
  }
  tensor.varint(14, 1);
  model.graph.initializers.erase("w");
  Rope file, opset, graph;
  std::string rest = serialize_to_string(model);
  graph.message(5, std::move(tensor));
  for (const graph::Node& node : model.graph.nodes)
    graph.message(1, [&] {
      Rope r;
      r.add(node.origin);
      return r;
    }());
  graph.message(11, value("x", {1, 2}));
  graph.message(12, value("y", {1, 2}));
  opset.varint(2, 13);
  file.varint(1, 8);
  file.message(7, std::move(graph));
  file.message(8, std::move(opset));
  return text_of(file);
}

TEST(External, IsMappedAndStaysExternal) {
  TemporaryFolder folder;
  write_file(folder.path() / "w.bin", std::string(4096, 'a') + "12345678" + "tail");
  write_file(folder.path() / "model.onnx", external("w.bin", "4096", "8"));
  graph::Model model = read(folder.path() / "model.onnx");
  EXPECT_EQ(model.graph.initializers.at("w").data.view(), "12345678");
  EXPECT_EQ(parse(Bytes::own(serialize_to_string(model))).graph.initializers.at("w").data.view(), "12345678")
      << "serialised, it depends on no file";
  TemporaryFolder elsewhere;
  std::filesystem::path path = elsewhere.path() / "model.onnx";
  write(model, path);
  EXPECT_EQ(map_file(elsewhere.path() / "model.onnx.data").view(), "12345678");
  EXPECT_EQ(read(path).graph.initializers.at("w").data.view(), "12345678");
  EXPECT_EQ(stored_bytes(read(path)), std::filesystem::file_size(path) + 8);
}

std::vector<std::string> files_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}
using Names = std::vector<std::string>;

graph::Model with_weights(std::size_t floats) {
  graph::Model model = sample_model();
  for (const char* name : {"big", "huge"}) {
    floats *= 2;
    model.graph.initializers[name] =
        graph::make_f32({static_cast<std::int64_t>(floats)}, std::vector<float>(floats, 0.5f));
    model.graph.nodes[0].inputs.push_back(name);
  }
  return model;
}

TEST(External, WhatDoesNotFitIntoOneFileGoesBesideIt) {
  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "net.onnx";
  graph::Model model = with_weights(600);
  Draft(model, path, 4000).commit();
  EXPECT_EQ(files_in(folder.path()), (Names{"net.onnx", "net.onnx.data"}));
  EXPECT_EQ(std::filesystem::file_size(folder.path() / "net.onnx.data"), 2 * 4096 + 9600u)
      << "aligned offsets";
  graph::Model again = read(path);
  for (const char* name : {"w", "big", "huge"})
    EXPECT_TRUE(again.graph.initializers.at(name).data == model.graph.initializers.at(name).data) << name;
  EXPECT_LT(std::filesystem::file_size(path), 4000u);
}

TEST(External, ReplacingAModelReplacesItsData) {
  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "net.onnx";
  write_file(folder.path() / "net.onnx.data.bak", "of somebody else");
  Draft(with_weights(600), path, 4000).commit();
  graph::Model model = read(path);
  model.graph.nodes[0].name = "renamed";
  write(model, path);  // over the file that its own weights are mapped from
  EXPECT_EQ(files_in(folder.path()), (Names{"net.onnx", "net.onnx.2.data", "net.onnx.data.bak"}));
  EXPECT_EQ(read(path).graph.nodes[0].name, "renamed");
  EXPECT_TRUE(read(path).graph.initializers.at("huge").data == model.graph.initializers.at("huge").data);
  remove_written(path);
  EXPECT_EQ(files_in(folder.path()), (Names{"net.onnx.data.bak"}));
}

TEST(External, ADraftThatIsNotWantedLeavesNothing) {
  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "net.onnx";
  write_file(path, "what was there");
  {
    Draft draft(with_weights(600), path, 4000);
    EXPECT_EQ(read(draft.path()).graph.initializers.size(), 3u);
    EXPECT_EQ(map_file(path).view(), "what was there");
  }
  EXPECT_EQ(files_in(folder.path()), (Names{"net.onnx"}));
  EXPECT_EQ(map_file(path).view(), "what was there");
}

TEST(External, OneFileForTensorsThatShareTheirBytes) {
  TemporaryFolder folder;
  graph::Model model = with_weights(600);
  model.graph.initializers["big"] = model.graph.initializers["huge"];
  Draft(model, folder.path() / "net.onnx", 1000).commit();
  EXPECT_EQ(std::filesystem::file_size(folder.path() / "net.onnx.data"), 9600u);
}

TEST(Reader, PackedFloatsStayInTheMapping) {
  Rope tensor, floats, graph, model, opset, use;
  floats.add(Bytes::own(std::vector<float>{1, 2, 3}));
  tensor.varint(1, 3), tensor.varint(2, 1), tensor.text(8, "w");
  tensor.message(4, std::move(floats));
  use.text(1, "w"), use.text(2, "y"), use.text(4, "Relu");
  graph.message(1, std::move(use));
  graph.message(5, std::move(tensor));
  graph.message(12, value("y", {3}));
  opset.varint(2, 13);
  model.varint(1, 8);
  model.message(8, std::move(opset)), model.message(7, std::move(graph));
  Bytes file = Bytes::own(text_of(model));
  graph::Model read = parse(file);
  const graph::Tensor& w = read.graph.initializers.at("w");
  EXPECT_EQ(w.values<float>(), (std::vector<float>{1, 2, 3}));
  EXPECT_TRUE(w.data.data() > file.data() && w.data.data() < file.data() + file.size());
  EXPECT_EQ(serialize_to_string(read), file.view());
}

TEST(External, NothingOutsideOfTheFolder) {
  TemporaryFolder outer;
  std::filesystem::path folder = outer.path() / "models";
  std::filesystem::create_directory(folder);
  write_file(outer.path() / "secret", "12345678");
  write_file(folder / "short.bin", "1234");
  std::filesystem::create_symlink(outer.path() / "secret", folder / "link");
  std::string absolute = (outer.path() / "secret").string();
  auto code = [&](std::string_view location, std::string_view offset = "0", std::string_view length = "8") {
    try {
      parse(Bytes::own(external(location, offset, length)), folder);
    } catch (const Error& error) {
      return error.code();
    }
    return Code{0};
  };
  for (const char* bad :
       {"../secret", "a/../../secret", "link", "absent", "short.bin", "", ".", "/etc/passwd"})
    EXPECT_EQ(code(bad), Code::external_data) << bad;
  EXPECT_EQ(code(absolute), Code::external_data);
  EXPECT_EQ(code("short.bin", "18446744073709551615"), Code::external_data);
  EXPECT_EQ(code("short.bin", "x"), Code::external_data);
  EXPECT_EQ(code("short.bin", "0", "4"), Code::bad_tensor);
}

}  // namespace
}  // namespace tailor::onnx

// Bytes that mean harm or are damaged: an Error with the right code or a model, never anything else.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/random.h"
#include "tailor/graph/shapes.h"
#include "tailor/onnx/onnx.h"
#include "tailor/onnx/wire.h"
#include "tests/testing.h"

namespace tailor::onnx {
namespace {

Bytes joined(const Rope& rope) {
  std::string text;
  for (const Bytes& piece : rope.pieces()) text += piece.view();
  return Bytes::own(std::move(text));
}

Code code_of(const Bytes& bytes) {
  try {
    parse(bytes);
  } catch (const Error& error) {
    return error.code();
  }
  return Code{0};
}
Code code_of(std::string text) { return code_of(Bytes::own(std::move(text))); }
constexpr Code kFine = Code{0};

Rope opset(std::int64_t version, std::string_view domain = {}) {
  Rope rope;
  if (!domain.empty()) rope.text(1, domain);
  rope.varint(2, static_cast<std::uint64_t>(version));
  return rope;
}

Bytes model_of(Rope graph, Rope import = opset(17)) {
  Rope model;
  model.varint(1, 8);
  model.message(8, std::move(import));
  model.message(7, std::move(graph));
  return joined(model);
}

Rope value(std::string_view name) {
  Rope rope;
  rope.text(1, name);
  return rope;
}

Rope node(std::string_view op, std::string_view input, std::string_view output,
          std::string_view domain = {}) {
  Rope rope;
  rope.text(1, input);
  rope.text(2, output);
  rope.text(4, op);
  if (!domain.empty()) rope.text(7, domain);
  return rope;
}

Rope graph_of(std::vector<Rope> nodes) {
  Rope graph;
  for (Rope& item : nodes) graph.message(1, std::move(item));
  graph.message(11, value("x"));
  graph.message(12, value("y"));
  return graph;
}

Rope tensor(std::vector<std::uint64_t> dims, int type, std::string_view raw) {
  Rope rope;
  for (std::uint64_t dim : dims) rope.varint(1, dim);
  rope.varint(2, static_cast<std::uint64_t>(type));
  rope.text(8, "w");
  rope.text(9, raw);
  return rope;
}

Code code_of_tensor(Rope item) {
  Rope graph = graph_of({});
  graph.message(1, node("Relu", "x", "y"));
  graph.message(5, std::move(item));
  return code_of(model_of(std::move(graph)));
}

TEST(Hostile, NoModelAtAll) {
  EXPECT_EQ(code_of(std::string()), Code::file_empty);
  EXPECT_EQ(code_of("hello, world\n"), Code::not_onnx);
  EXPECT_EQ(code_of("{\"schema\": 1}"), Code::not_onnx);
  EXPECT_EQ(code_of("\x89PNG\r\n\x1a\n"), Code::not_onnx);
  EXPECT_EQ(code_of(std::string("\x80\x02}q\x00", 5)), Code::not_onnx);  // a pickled checkpoint
  EXPECT_EQ(code_of("PK\x03\x04"), Code::not_onnx);                      // a zipped checkpoint
  EXPECT_EQ(code_of(std::string(1000, '\0')), Code::not_onnx);
  EXPECT_EQ(code_of(std::string(1000, '\xff')), Code::not_onnx);
}

TEST(Hostile, HugeLengthsAreTruncatedFiles) {
  EXPECT_EQ(code_of("\x08\x08\x3a\xff\xff\xff\xff\x7f"), Code::truncated);
  EXPECT_EQ(code_of("\x08\x08\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Code::truncated);
  EXPECT_EQ(code_of("\x08\x08"), Code::truncated);
}

TEST(Hostile, OperatorSets) {
  EXPECT_EQ(code_of(model_of(graph_of({node("Relu", "x", "y")}))), kFine);
  EXPECT_EQ(code_of(model_of(graph_of({node("Relu", "x", "y")}), opset(17, "ai.onnx"))), kFine);
  EXPECT_EQ(code_of(model_of(graph_of({node("Relu", "x", "y")}), opset(6))), Code::unsupported_opset);
  EXPECT_EQ(code_of(model_of(graph_of({node("Relu", "x", "y")}), opset(1, "com.microsoft"))), Code::no_opset);
  Rope bare;
  bare.varint(1, 8);
  bare.message(7, graph_of({node("Relu", "x", "y")}));
  EXPECT_EQ(code_of(joined(bare)), Code::no_opset);
}

TEST(Hostile, DomainsUnlessTheModelBringsTheFunction) {
  EXPECT_EQ(code_of(model_of(graph_of({node("Quant", "x", "y", "onnx.brevitas")}))), Code::foreign_domain);
  EXPECT_EQ(code_of(model_of(graph_of({node("Gelu", "x", "y", "com.microsoft")}))), kFine);
  Rope function, model;
  function.text(1, "Quant");
  function.text(10, "onnx.brevitas");
  model.message(8, opset(17));
  model.message(25, std::move(function));
  model.message(7, graph_of({node("Quant", "x", "y", "onnx.brevitas")}));
  EXPECT_EQ(code_of(joined(model)), kFine);
}

TEST(Hostile, GraphsThatContradictThemselves) {
  EXPECT_EQ(
      code_of(model_of(graph_of({node("Relu", "b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")}))),
      Code::bad_model);
  EXPECT_EQ(code_of(model_of(graph_of({node("Relu", "y", "y")}))), Code::bad_model);
  EXPECT_EQ(code_of(model_of(graph_of({node("Relu", "x", "y"), node("Relu", "x", "y")}))), Code::bad_model);
  EXPECT_EQ(code_of(model_of(graph_of({node("Relu", "x", "z")}))), Code::bad_model);
  EXPECT_EQ(code_of(model_of(graph_of({node("", "x", "y")}))), Code::bad_model);
  Rope twice = graph_of({node("Relu", "x", "y")});
  twice.message(11, value("x"));
  EXPECT_EQ(code_of(model_of(std::move(twice))), Code::bad_model);
  Rope weights = graph_of({node("Relu", "x", "y")});
  weights.message(5, tensor({1}, 1, "abcd"));
  weights.message(5, tensor({1}, 1, "abcd"));
  EXPECT_EQ(code_of(model_of(std::move(weights))), Code::bad_model);
}

TEST(Hostile, TensorsWhoseSizeLies) {
  EXPECT_EQ(code_of_tensor(tensor({2}, 1, "12345678")), kFine);
  EXPECT_EQ(code_of_tensor(tensor({2}, 1, "1234567")), Code::bad_tensor);
  EXPECT_EQ(code_of_tensor(tensor({3}, 1, "12345678")), Code::bad_tensor);
  EXPECT_EQ(code_of_tensor(tensor({1ull << 40, 1ull << 40}, 1, "")), Code::bad_tensor);
  EXPECT_EQ(code_of_tensor(tensor({1ull << 62}, 1, "")), Code::bad_tensor);
  EXPECT_EQ(code_of_tensor(tensor({1ull << 61, 8}, 1, "")), Code::bad_tensor);
  EXPECT_EQ(code_of_tensor(tensor({~0ull}, 1, "")), Code::bad_tensor);
  EXPECT_EQ(code_of_tensor(tensor({1}, 0, "1234")), Code::bad_tensor);
  EXPECT_EQ(code_of_tensor(tensor({0, 1ull << 60}, 1, "")), kFine);
  EXPECT_EQ(code_of_tensor(tensor({3}, 99, "what a type")), kFine);  // a type of the future is carried
}

Rope choice(Rope body) {
  Rope graph = graph_of({}), attribute, branch = node("If", "x", "y");
  attribute.text(1, "then_branch");
  attribute.message(6, std::move(body));
  attribute.varint(20, 5);
  branch.message(5, std::move(attribute));
  graph.message(1, std::move(branch));
  return graph;
}

Rope nested(int depth) { return depth == 0 ? graph_of({node("Relu", "x", "y")}) : choice(nested(depth - 1)); }

TEST(Hostile, BodiesThatContradictThemselves) {
  EXPECT_EQ(code_of(model_of(choice(graph_of({node("Relu", "x", "z"), node("Relu", "z", "y")})))), kFine);
  EXPECT_EQ(code_of(model_of(choice(graph_of({node("Relu", "x", "y"), node("Relu", "x", "y")})))),
            Code::bad_model);
  Rope inner = graph_of({node("Relu", "x", "w"), node("Relu", "w", "y")});
  inner.message(5, tensor({1}, 1, "abcd"));
  EXPECT_EQ(code_of(model_of(choice(choice(std::move(inner))))), Code::bad_model);
}

TEST(Hostile, DeepNestingIsBounded) {
  EXPECT_EQ(code_of(model_of(nested(60))), kFine);
  EXPECT_EQ(code_of(model_of(nested(70))), Code::bad_model);
  EXPECT_EQ(code_of(model_of(nested(300))), Code::bad_model);
}

// A model or an Error; what loads is written back byte by byte and does not upset inference.
void survives(const Bytes& bytes) {
  try {
    graph::Model model = parse(bytes);
    bool external = bytes.view().find("location") != std::string_view::npos;
    if (!external) {
      EXPECT_TRUE(serialize_to_string(model) == bytes.view());
    }
    graph::infer_shapes(model);
  } catch (const Error& error) {
    EXPECT_NE(error.code(), Code::bug) << error.what();
  }
}

TEST(Hostile, TruncationAtEveryByte) {
  TAILOR_NEEDS(testing::real_model("mnist-8"));
  Bytes whole = map_file(testing::real_model("mnist-8"));
  for (std::size_t size = 1; size < whole.size(); ++size) {
    Code code = code_of(whole.part(0, size));
    ASSERT_TRUE(code == Code::truncated || code == Code::no_opset) << size << ": " << spelling(code);
  }
}

TEST(Hostile, RandomMutations) {
  Random random(7);
  std::vector<Bytes> seeds{model_of(nested(3)), model_of(graph_of({node("Relu", "x", "y")}))};
  for (const char* name : {"mnist-8", "silero_vad_16k_op15"})
    if (std::filesystem::exists(testing::real_model(name)))
      seeds.push_back(map_file(testing::real_model(name)));
  for (int i = 0; i < 20000 && !::testing::Test::HasFailure(); ++i) {
    std::string text(
        seeds[i % 50 == 0 ? seeds.size() - 1 : i % std::min<std::size_t>(seeds.size(), 3)].view());
    for (std::size_t k = 0; k <= random.below(4); ++k) {
      std::size_t at = random.below(random.below(2) ? text.size() : std::min<std::size_t>(text.size(), 4000));
      if (random.below(4) == 0)
        text.insert(at, 1, static_cast<char>(random.next()));
      else if (random.below(4) == 0)
        text.erase(at, 1 + random.below(8));
      else
        text[at] = static_cast<char>(random.below(2) ? random.next() : text[at] ^ (1 << random.below(8)));
    }
    survives(Bytes::own(std::move(text)));
  }
}

TEST(Hostile, FindingsOfTheFuzzer) {
  std::filesystem::path folder = std::filesystem::path(TAILOR_SOURCE_DIR) / "tests" / "fuzz" / "corpus";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    SCOPED_TRACE(entry.path().filename());
    survives(map_file(entry.path()));
  }
}

}  // namespace
}  // namespace tailor::onnx

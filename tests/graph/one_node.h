/// \file A model of one node, written as a line of text:
///   {"Slice", "1x8x4 [1] [3] [1]", "", "1x2x4"}
/// Inputs: a shape ("1x?x4", "scalar"), a constant ("[1,2]", "[0.5]f", "{3}" for a scalar), or "-" for none.
/// Attributes: "axis=1 pads=[0,1] mode=linear alpha=0.5f". Outputs: shapes, "none" if unknown, "error" for
/// bad_shape.
#pragma once

#include "tailor/base/error.h"
#include "tailor/graph/shapes.h"

#include <sstream>
#include <string>
#include <vector>

namespace tailor::testing {

inline std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> list;
  for (std::string word; in >> word;) list.push_back(word);
  return list;
}

template <class T>
std::vector<T> numbers(std::string text) {
  for (char& c : text)
    if (c == ',' || c == 'x')
      c = ' ';
    else if (c == '?')
      c = '9';  // replaced by the caller
  std::istringstream in(text);
  std::vector<T> list;
  for (T item{}; in >> item;) list.push_back(item);
  return list;
}

inline graph::Shape shape_of(const std::string& text) {
  graph::Shape shape;
  if (text == "scalar") return shape;
  std::string rest = text + "x";
  for (std::size_t at = 0, end = 0; (end = rest.find('x', at)) != std::string::npos; at = end + 1)
    shape.push_back(rest[at] == '?' ? graph::kUnknown : std::stoll(rest.substr(at, end - at)));
  return shape;
}

inline graph::Tensor constant_of(const std::string& text) {
  std::size_t close = text.find_first_of("]}");
  std::string inner = text.substr(1, close - 1);
  bool scalar = text[0] == '{';
  if (text.back() == 'f') {
    auto values = numbers<float>(inner);
    graph::Shape dims = scalar ? graph::Shape{} : graph::Shape{static_cast<std::int64_t>(values.size())};
    return graph::make_f32(dims, values);
  }
  auto values = numbers<std::int64_t>(inner);
  graph::Shape dims = scalar ? graph::Shape{} : graph::Shape{static_cast<std::int64_t>(values.size())};
  return graph::make_i64(dims, values);
}

inline graph::AttributeValue attribute_of(const std::string& text) {
  if (text[0] == '[' && text.back() == 'f') return numbers<float>(text.substr(1, text.size() - 3));
  if (text[0] == '[') return numbers<std::int64_t>(text.substr(1, text.size() - 2));
  if (text.find_first_not_of("-0123456789") == std::string::npos) return std::int64_t{std::stoll(text)};
  if (text.find_first_not_of("-0123456789.f") == std::string::npos) return std::stof(text);
  return text;
}

struct OneNode {
  std::string op, inputs, attributes, outputs;
  int opset = 18;
  std::string domain = {};
};

inline graph::Model model_of(const OneNode& text) {
  graph::Model model;
  model.opsets = {{"", text.opset}, {"com.microsoft", 1}};
  graph::Node node{text.op, text.domain, "it", {}, {}};
  for (const std::string& word : words(text.inputs)) {
    std::string name = "in" + std::to_string(node.inputs.size());
    node.inputs.push_back(word == "-" ? "" : name);
    if (word == "-") continue;
    if (word[0] == '[' || word[0] == '{')
      model.graph.initializers[name] = constant_of(word);
    else
      model.graph.inputs.push_back({name, graph::DataType::f32, shape_of(word)});
  }
  for (const std::string& word : words(text.attributes)) {
    std::size_t equals = word.find('=');
    node.attributes[word.substr(0, equals)].value = attribute_of(word.substr(equals + 1));
  }
  for (std::size_t i = 0; i < std::max<std::size_t>(words(text.outputs).size(), 1); ++i)
    node.outputs.push_back("out" + std::to_string(i));
  model.graph.nodes = {node};
  return model;
}

/// The shapes that inference finds, in the language of OneNode::outputs. Free leading dimensions stay free.
inline std::string inferred(const OneNode& text) {
  graph::Model model = model_of(text);
  try {
    graph::Shapes shapes = graph::infer_shapes(model, {}, graph::kUnknown);
    std::string out;
    for (const std::string& name : model.graph.nodes[0].outputs) {
      const graph::Shape* shape = shapes.shape(name);
      out += (out.empty() ? "" : " ") + (shape ? graph::to_string(*shape) : "none");
    }
    return out;
  } catch (const Error& error) {
    return error.code() == Code::bad_shape ? "error" : error.what();
  }
}

}  // namespace tailor::testing

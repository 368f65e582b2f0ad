/// \file The model as a value: nodes, values, shared immutable weights. Follows ONNX's own data model and
/// names.
///
/// Copying a Model copies names and structure but no weights. Nothing here knows protobuf; the reader leaves
/// in every part the bytes it was read from (`origin`), so that the writer can give back untouched parts bit
/// by bit. Code that changes a part simply changes it: the writer compares, nobody has to clear `origin`.
#pragma once

#include "tailor/base/bytes.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

namespace tailor::graph {

/// Element types by ONNX's numbers (TensorProto.DataType).
enum class DataType : int {
  undefined = 0,
  f32 = 1,
  u8 = 2,
  i8 = 3,
  u16 = 4,
  i16 = 5,
  i32 = 6,
  i64 = 7,
  string = 8,
  boolean = 9,
  f16 = 10,
  f64 = 11,
  u32 = 12,
  u64 = 13,
  c64 = 14,
  c128 = 15,
  bf16 = 16,
  f8e4m3fn = 17,
  f8e4m3fnuz = 18,
  f8e5m2 = 19,
  f8e5m2fnuz = 20,
  u4 = 21,
  i4 = 22,
  f4e2m1 = 23,
};
/// "f32", "i64" ...
std::string_view name(DataType type);
/// Bytes an element takes; 0 for strings and for types of less than a byte.
std::size_t element_size(DataType type);

/// A dimension that is not known (or free).
inline constexpr std::int64_t kUnknown = -1;
using Shape = std::vector<std::int64_t>;
/// Product of the dimensions; kUnknown if one of them is unknown. An empty shape (scalar) has 1.
std::int64_t element_count(const Shape& shape);
/// "1x3x224x224", unknown as "?", scalar as "scalar"
std::string to_string(const Shape& shape);

/// A constant. `data` is dense, row-major, little-endian: element_count(dims) * element_size(type) bytes.
/// Strings and sub-byte types are carried (in `origin`) and never looked into; their `data` is empty.
struct Tensor {
  DataType type = DataType::undefined;
  Shape dims;
  Bytes data;
  Bytes origin = {};

  std::int64_t size() const { return element_count(dims); }
  /// The elements as T. @pre element_size(type) == sizeof(T)
  template <class T>
  std::vector<T> values() const {
    return data.copy_as<T>();
  }
};
Tensor make_f32(Shape dims, std::vector<float> values);
Tensor make_i64(Shape dims, std::vector<std::int64_t> values);
/// Integer tensors (i32, i64, u8, i8, boolean) as 64-bit integers; nullopt for other types.
std::optional<std::vector<std::int64_t>> as_integers(const Tensor& tensor);
/// Floating tensors (f32, f64, f16, bf16) as float; nullopt for other types.
std::optional<std::vector<float>> as_floats(const Tensor& tensor);

struct Graph;
/// An attribute that the project never interprets (sparse tensors, types, lists of graphs): only its bytes.
struct OpaqueAttribute {
  int type = 0;  // AttributeProto.AttributeType
};
using AttributeValue =
    std::variant<float, std::int64_t, std::string, Tensor, std::vector<float>, std::vector<std::int64_t>,
                 std::vector<std::string>, std::shared_ptr<const Graph>, OpaqueAttribute>;
struct Attribute {
  AttributeValue value;
  Bytes origin = {};
};

struct Node {
  std::string op, domain, name;              // domain "" is ai.onnx
  std::vector<std::string> inputs, outputs;  // value names; "" is an omitted optional
  std::map<std::string, Attribute, std::less<>> attributes = {};
  Bytes origin = {};

  std::int64_t integer(std::string_view attribute, std::int64_t otherwise) const;
  float real(std::string_view attribute, float otherwise) const;
  std::vector<std::int64_t> integers(std::string_view attribute,
                                     std::vector<std::int64_t> otherwise = {}) const;
  std::string text(std::string_view attribute, std::string otherwise = {}) const;
  /// The attribute as T; nullptr if absent or of another type.
  template <class T>
  const T* find(std::string_view attribute) const {
    auto it = attributes.find(attribute);
    return it == attributes.end() ? nullptr : std::get_if<T>(&it->second.value);
  }
  /// Name of input `i`, "" if omitted.
  const std::string& input(std::size_t i) const;
  const std::string& output(std::size_t i) const;
  /// How messages call this node: its name, or "Conv -> x12" if it has none.
  std::string label() const;
};

/// A graph input, graph output or annotated value. `shape` is absent when the rank is unknown.
struct ValueInfo {
  std::string name;
  DataType type = DataType::undefined;  // undefined: not a tensor, or not stated
  std::optional<Shape> shape = {};      // kUnknown where free
  std::vector<std::string> symbols =
      {};  // name of each free dimension, "" if none; empty or as long as the shape
  Bytes origin = {};
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;  // topologically ordered
  std::map<std::string, Tensor, std::less<>> initializers;
  std::vector<ValueInfo> inputs;  // without those that are initializers (IR < 4 lists them too)
  std::vector<ValueInfo> outputs;
  std::map<std::string, ValueInfo, std::less<>> value_infos;
  Bytes origin = {};
};

struct Model {
  std::int64_t ir_version = 8;
  std::map<std::string, std::int64_t, std::less<>> opsets = {{"", 17}};  // domain -> version
  Graph graph;
  Bytes origin = {};
};

/// Who writes and who reads each value of a graph. Subgraph bodies (If, Loop, Scan) count as readers of what
/// they capture. Valid while the graph is neither changed nor moved.
class Uses {
 public:
  explicit Uses(const Graph& graph);
  /// Index of the node that writes `value`; -1 for graph inputs, initializers and unknown names.
  int producer(std::string_view value) const;
  /// Nodes that read it, in order, a node once even if it reads the value twice.
  const std::vector<int>& consumers(std::string_view value) const;
  bool is_output(std::string_view value) const;
  /// The only node that reads it; -1 if there are several or none, or if it is an output of the graph.
  int only_reader(std::string_view value) const;

 private:
  struct Entry {
    int producer = -1;
    bool output = false;
    std::vector<int> consumers;
  };
  std::unordered_map<std::string, Entry> entries_;
};

/// True for If, Loop, Scan: a graph is among the attributes.
bool has_body(const Node& node);

/// Names that `node` reads, including what its subgraph bodies capture from outside. In order, each once,
/// without "".
std::vector<std::string> reads(const Node& node);

/// The tensor behind `value` if it is an initializer or written by a Constant node; nullptr else.
const Tensor* constant(const Graph& graph, const Uses& uses, std::string_view value);

/// True if `value` follows from initializers and Constant nodes alone: no input, and no size of a value
/// (Shape, Size), has a part in it.
bool is_literal(const Graph& graph, const Uses& uses, std::string_view value);

/// Checks SSA form (of bodies, too), topological order, producers of all reads, outputs present. @throws Error bad_model
/// naming the node.
void check(const Graph& graph);

/// Names of values, initializers and descriptions that no output needs. O(nodes + edges).
std::unordered_set<std::string> dead_values(const Graph& graph);

/// Nodes, initializers and descriptions that neither an output nor a value of `keep` needs are removed; the order of
/// the rest is kept. O(nodes + edges).
void remove_dead(Graph& graph, const std::unordered_set<std::string>& keep = {});

/// The part of `model` between `inputs` and `outputs` as a model of its own. The inputs become graph inputs
/// with the types given; weights are shared, not copied.
/// @throws Error bad_model if an output depends on a graph input that is not among `inputs`.
Model slice(const Model& model, const std::vector<ValueInfo>& inputs, const std::vector<ValueInfo>& outputs);

}  // namespace tailor::graph

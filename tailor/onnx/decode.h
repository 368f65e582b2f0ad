/// \file Internal to the module: one function per ONNX message, bytes -> value. Each throws tailor::Error on
/// bytes that are no such message; none looks outside of its record.
#pragma once

#include "tailor/base/file.h"
#include "tailor/graph/model.h"
#include "tailor/onnx/wire.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tailor::onnx {

/// Field numbers of the messages that are cut by hand (onnx.proto).
namespace field {
enum Model : std::uint32_t { ir_version = 1, graph = 7, opset_import = 8, functions = 25 };
enum Graph : std::uint32_t {
  node = 1,
  graph_name = 2,
  initializer = 5,
  input = 11,
  output = 12,
  value_info = 13,
  sparse_initializer = 15,
};
enum Node : std::uint32_t {
  node_input = 1,
  node_output = 2,
  node_name = 3,
  op_type = 4,
  attribute = 5,
  domain = 7
};
enum Attribute : std::uint32_t {
  attribute_name = 1,
  f = 2,
  i = 3,
  s = 4,
  t = 5,
  g = 6,
  floats = 7,
  ints = 8,
  strings = 9,
  tensors = 10,
  graphs = 11,
  type_proto = 14,
  type_protos = 15,
  type = 20,
  sparse = 22,
  sparses = 23
};
enum Tensor : std::uint32_t {
  dims = 1,
  data_type = 2,
  segment = 3,
  float_data = 4,
  int32_data = 5,
  string_data = 6,
  int64_data = 7,
  tensor_name = 8,
  raw_data = 9,
  double_data = 10,
  uint64_data = 11,
  external_data = 13,
  data_location = 14
};
}  // namespace field

/// AttributeProto.AttributeType
namespace kind {
enum : int { real = 1, integer = 2, text = 3, tensor = 4, graph = 5, reals = 6, integers = 7, texts = 8 };
}

/// Files of external data, each mapped once however many tensors lie in it.
struct MappedFiles {
  std::map<std::string, Bytes, std::less<>> by_location = {};
};

/// What decoding needs to know besides the bytes.
struct Source {
  std::filesystem::path folder = {};                  // where external data lies
  std::set<std::string, std::less<>> functions = {};  // domains for which the model carries function bodies
  bool ai_onnx = true;                                // the model imports ai.onnx
  std::shared_ptr<MappedFiles> files = std::make_shared<MappedFiles>();
};

struct NamedTensor {
  std::string name;
  graph::Tensor tensor;
  bool external = false;  // the data lies in another file
};

/// The next record. False at the end. @throws Error not_onnx
bool next_record(Scanner& scanner, Record& record);
/// The records of `message`, but for those of `fields`, as one message.
std::string without(const Bytes& message, const std::vector<std::uint32_t>& fields);
/// `inner` (a span of `outer`'s memory) with `outer`'s owner.
Bytes within(const Bytes& outer, std::span<const std::byte> inner);

/// Behind a walk over a mapped message its pages are given back: to find the records of a model, and their names,
/// touches pages of most of its weights.
class PageTrail {
 public:
  explicit PageTrail(const Bytes& message) : message_(message) {}
  void passed(const Record& record) {
    constexpr std::size_t kStride = std::size_t{4} << 20;
    auto end = static_cast<std::size_t>(record.whole.data() + record.whole.size() - message_.data());
    if (end < released_ + kStride) return;
    release_pages(message_.part(released_, end - released_));
    released_ = end;
  }

 private:
  const Bytes& message_;
  std::size_t released_ = 0;
};

/// @throws Error not_onnx, bad_tensor, external_data
NamedTensor decode_tensor(const Bytes& record, const Source& source);
/// Only name and dense dimensions are looked into; the type stays undefined, so nobody reads its data.
NamedTensor decode_sparse_tensor(const Bytes& record);
/// Type and dimensions only; whether the data fits is not looked at.
graph::Tensor decode_header(const Bytes& record);
/// @throws Error not_onnx
graph::ValueInfo decode_value_info(const Bytes& record);
/// @param depth how many graphs are around it
/// @throws Error not_onnx, bad_model, bad_tensor, foreign_domain, no_opset
std::pair<std::string, graph::Attribute> decode_attribute(const Bytes& record, const Source& source,
                                                          int depth);
graph::Node decode_node(const Bytes& record, const Source& source, int depth);
graph::Graph decode_graph(const Bytes& record, const Source& source, int depth);
/// Domain ("" for ai.onnx) and version of an OperatorSetIdProto.
std::pair<std::string, std::int64_t> decode_opset(const Bytes& record);

/// Bytes of the file that an external tensor names. @throws Error external_data
Bytes map_external(const Source& source, const std::string& location, std::uint64_t offset,
                   std::uint64_t size, const std::string& tensor);

}  // namespace tailor::onnx

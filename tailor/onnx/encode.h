/// \file Internal to the module: value -> bytes. A part with an origin is compared with what the origin
/// decodes to, and only the records that differ are replaced; without one it is written from scratch. Weights
/// are never copied.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/onnx/wire.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tailor::onnx {

/// A message with some of its records replaced, dropped or followed by new ones. Untouched, it is its origin.
class Patch {
 public:
  explicit Patch(const Bytes& origin);

  const std::vector<Record>& records() const { return records_; }
  /// Records of `field`, in order.
  std::vector<std::size_t> places(std::uint32_t field) const;
  Bytes payload(std::size_t at) const;

  void drop(std::size_t at) { slots_[at].emplace(); }
  /// Puts `value` in the place of record `at`, unless it is that record's payload.
  void put(std::size_t at, std::uint32_t field, Rope value);
  /// Drops all records of `field` and puts `records` in the place of the first, or at the end.
  void replace(std::uint32_t field, Rope records);
  /// Item k takes the k-th of `places`; places left over vanish, items left over follow the last place.
  void distribute(std::uint32_t field, const std::vector<std::size_t>& places, std::vector<Rope> items);
  /// Adds a record after the last one of `places`, or at the end.
  void append(std::uint32_t field, const std::vector<std::size_t>& places, Rope value);
  Rope finish() &&;

 private:
  Bytes origin_;
  std::vector<Record> records_;
  std::vector<std::optional<Rope>> slots_;  // instead of the record
  std::vector<Rope> after_;                 // behind it; the last one is the end
};

/// What goes to a file beside the model: data that were external already, and initializers of at least `least` bytes.
class ExternalData {
 public:
  static constexpr std::size_t kAlignment = 4096;

  /// @param location the file's name, as the model will say it
  explicit ExternalData(std::string location, std::size_t least = static_cast<std::size_t>(-1))
      : location_(std::move(location)), least_(least) {}

  bool takes(const graph::Tensor& tensor, bool external_before, bool initializer) const {
    return !tensor.data.empty() && (external_before || (initializer && tensor.data.size() >= least_));
  }
  /// The offset of `data`, aligned; the same memory is stored once.
  std::uint64_t place(const Bytes& data);
  const std::string& location() const { return location_; }
  /// The file: data and what fills the gaps.
  const std::vector<Bytes>& pieces() const { return pieces_; }

 private:
  std::string location_;
  std::size_t least_;
  std::vector<Bytes> pieces_;
  std::uint64_t size_ = 0;
  std::map<std::pair<const std::byte*, std::size_t>, std::uint64_t> offsets_;
};

/// What parts are written for.
struct Target {
  std::int64_t ir_version = 0;
  ExternalData* external = nullptr;  // nullptr: everything goes into the model
};

/// `name` is nullptr for the value of an attribute. @throws Error bad_tensor
Rope encode_tensor(const graph::Tensor& tensor, const std::string* name, const Target& target);
Rope encode_value_info(const graph::ValueInfo& info);
Rope encode_attribute(const std::string& name, const graph::Attribute& attribute, const Target& target);
Rope encode_node(const graph::Node& node, const Target& target);
Rope encode_graph(const graph::Graph& graph, const Target& target);
/// The whole file, as pieces. @throws Error bad_tensor
Rope encode_model(const graph::Model& model, ExternalData* external);

}  // namespace tailor::onnx

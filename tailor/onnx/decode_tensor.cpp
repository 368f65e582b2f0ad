// TensorProto -> Tensor. raw_data and packed floats stay where they are; other typed fields are decoded into memory
// of their own; external data is mapped. Order: sizes, typed fields, external files, then decode_tensor and
// decode_sparse_tensor.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/decode.h"
#include "tailor/onnx/proto.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace tailor::onnx {
namespace {

using graph::DataType;

[[noreturn]] void bad(const std::string& name, const std::string& what) {
  throw Error(Code::bad_tensor, what, fmt::format("tensor '{}'", name), "export the model again");
}

std::uint64_t checked_count(const ::onnx::TensorProto& proto) {
  std::uint64_t count = 1;
  bool empty = false;
  for (std::int64_t dim : proto.dims()) {
    if (dim < 0) bad(proto.name(), fmt::format("has the negative dimension {}", dim));
    empty |= dim == 0;
    if (dim > 0 && __builtin_mul_overflow(count, static_cast<std::uint64_t>(dim), &count))
      bad(proto.name(), "has more elements than can be counted");
  }
  if (count >> 62) bad(proto.name(), "has more elements than can be counted");
  return empty ? 0 : count;
}

std::uint64_t checked_bytes(const ::onnx::TensorProto& proto, DataType type, std::uint64_t count) {
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(count, graph::element_size(type), &bytes)) bad(proto.name(), "is too large");
  return bytes;
}

template <class T, class Items>
Bytes narrowed(const Items& items) {
  std::vector<T> out(static_cast<std::size_t>(items.size()));
  for (int i = 0; i < items.size(); ++i) out[static_cast<std::size_t>(i)] = static_cast<T>(items.Get(i));
  return Bytes::own(std::move(out));
}

// The typed field that onnx.proto assigns to `type`, as dense elements.
Bytes typed_data(const ::onnx::TensorProto& proto, DataType type) {
  switch (type) {
    case DataType::f32:
    case DataType::c64:
      return narrowed<float>(proto.float_data());
    case DataType::f64:
    case DataType::c128:
      return narrowed<double>(proto.double_data());
    case DataType::i64:
      return narrowed<std::int64_t>(proto.int64_data());
    case DataType::u64:
      return narrowed<std::uint64_t>(proto.uint64_data());
    case DataType::u32:
      return narrowed<std::uint32_t>(proto.uint64_data());
    case DataType::i32:
      return narrowed<std::int32_t>(proto.int32_data());
    default:
      break;
  }
  return graph::element_size(type) == 2 ? narrowed<std::uint16_t>(proto.int32_data())
                                        : narrowed<std::uint8_t>(proto.int32_data());
}

std::uint64_t external_number(const std::string& text, const std::string& tensor) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw Error(Code::external_data, fmt::format("'{}' is no offset or length", text),
                fmt::format("tensor '{}'", tensor));
  return value;
}

Bytes external_data(const ::onnx::TensorProto& proto, const Source& source, std::uint64_t bytes) {
  std::string location;
  std::uint64_t offset = 0, length = bytes;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = external_number(entry.value(), proto.name());
    if (entry.key() == "length") length = external_number(entry.value(), proto.name());
  }
  if (length != bytes)
    bad(proto.name(), fmt::format("names {} bytes of external data, type and shape make {}", length, bytes));
  return bytes == 0 ? Bytes() : map_external(source, location, offset, length, proto.name());
}

DataType known_type(std::int32_t number) {
  return number > 0 && number <= static_cast<std::int32_t>(DataType::f4e2m1) ? static_cast<DataType>(number)
                                                                             : DataType::undefined;
}

Bytes tensor_data(const ::onnx::TensorProto& proto, const std::optional<Bytes>& dense, const Source& source,
                  DataType type) {
  std::uint64_t bytes = checked_bytes(proto, type, checked_count(proto));
  if (proto.data_location() == ::onnx::TensorProto_DataLocation_EXTERNAL)
    return external_data(proto, source, bytes);
  Bytes data = dense ? *dense : typed_data(proto, type);
  if (data.size() != bytes)
    bad(proto.name(), fmt::format("has {} bytes of data, type and shape make {}", data.size(), bytes));
  return data;
}

}  // namespace

Bytes map_external(const Source& source, const std::string& location, std::uint64_t offset,
                   std::uint64_t size, const std::string& tensor) {
  auto refuse = [&](const std::string& what) {
    throw Error(Code::external_data, fmt::format("its data '{}' {}", location, what),
                fmt::format("tensor '{}'", tensor), "keep the data file beside the model, in its folder");
  };
  namespace fs = std::filesystem;
  auto known = source.files->by_location.find(location);
  if (known == source.files->by_location.end()) {
    fs::path relative = fs::path(location).lexically_normal();
    if (location.empty() || location.find('\0') != std::string::npos) refuse("names no file");
    if (relative.is_absolute() || *relative.begin() == "..") refuse("lies outside of the model's folder");
    std::error_code error;
    fs::path root = fs::canonical(source.folder.empty() ? fs::path(".") : source.folder, error);
    fs::path file = error ? fs::path() : fs::canonical(root / relative, error);
    if (error || !fs::is_regular_file(file, error)) refuse("is missing");
    fs::path inside = file.lexically_relative(root);
    if (inside.empty() || *inside.begin() == "..") refuse("lies outside of the model's folder");
    known = source.files->by_location.emplace(location, map_file(file)).first;
  }
  const Bytes& all = known->second;
  if (offset > all.size() || size > all.size() - offset) refuse("is too short");
  return all.part(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
}

namespace {

// Floats packed in one record lie there as dense elements already: nothing is decoded.
struct Packed {
  std::optional<Bytes> payload;
  int records = 0;

  void see(const Bytes& tensor, const Record& part) {
    if (++records == 1 && part.wire == Wire::bytes)
      payload = within(tensor, part.payload);
    else
      payload.reset();
  }
};

struct TensorParts {
  std::optional<Bytes> raw;
  Packed floats, doubles;
};

TensorParts parts_of(const Bytes& record) {
  TensorParts parts;
  Scanner scanner(record.span());
  for (Record part; next_record(scanner, part);) {
    if (part.field == field::raw_data && part.wire == Wire::bytes) parts.raw = within(record, part.payload);
    if (part.field == field::float_data) parts.floats.see(record, part);
    if (part.field == field::double_data) parts.doubles.see(record, part);
  }
  return parts;
}

// What of the tensor protobuf is not shown: it would copy it.
std::vector<std::uint32_t> dense_fields(const TensorParts& parts) {
  std::vector<std::uint32_t> fields = {field::raw_data};
  if (parts.floats.payload) fields.push_back(field::float_data);
  if (parts.doubles.payload) fields.push_back(field::double_data);
  return fields;
}

std::optional<Bytes> dense_data(const TensorParts& parts, DataType type) {
  if (parts.raw) return parts.raw;
  if (type == DataType::f32 || type == DataType::c64) return parts.floats.payload;
  if (type == DataType::f64 || type == DataType::c128) return parts.doubles.payload;
  return std::nullopt;
}

}  // namespace

NamedTensor decode_tensor(const Bytes& record, const Source& source) {
  TensorParts parts = parts_of(record);
  auto proto = parse_proto<::onnx::TensorProto>(without(record, dense_fields(parts)), "tensor");
  if (proto.has_segment()) bad(proto.name(), "is stored in segments");
  if (proto.data_type() == 0) bad(proto.name(), "has no element type");
  NamedTensor out{proto.name(),
                  {known_type(proto.data_type()), {proto.dims().begin(), proto.dims().end()}, {}, record}};
  out.external = proto.data_location() == ::onnx::TensorProto_DataLocation_EXTERNAL;
  checked_count(proto);
  if (graph::element_size(out.tensor.type) > 0)
    out.tensor.data = tensor_data(proto, dense_data(parts, out.tensor.type), source, out.tensor.type);
  return out;
}

graph::Tensor decode_header(const Bytes& record) {
  auto proto = parse_proto<::onnx::TensorProto>(
      without(record, {field::float_data, field::int32_data, field::string_data, field::int64_data,
                       field::raw_data, field::double_data, field::uint64_data}),
      "tensor");
  return {known_type(proto.data_type()), {proto.dims().begin(), proto.dims().end()}, {}, record};
}

NamedTensor decode_sparse_tensor(const Bytes& record) {
  auto proto = parse_proto<::onnx::SparseTensorProto>(without(record, {2}), "sparse tensor");
  graph::Tensor tensor{DataType::undefined, {proto.dims().begin(), proto.dims().end()}, {}, record};
  return {proto.values().name(), std::move(tensor)};
}

}  // namespace tailor::onnx

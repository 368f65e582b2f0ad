#include "tailor/learn/checkpoint.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/json.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>

namespace tailor::learn {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "tailor checkpoint 1\n";
constexpr std::size_t kMostHeader = std::size_t{64} << 20;

[[noreturn]] void damaged(const fs::path& path, const std::string& what) {
  throw Error(Code::bad_checkpoint, what, path.string(), "remove it and train again without --resume");
}

std::string length_of(std::size_t bytes) {
  std::string text(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) text[i] = static_cast<char>(bytes >> (8 * i) & 255);
  return text;
}

std::size_t read_length(std::string_view bytes) {
  std::size_t length = 0;
  for (std::size_t i = 8; i-- > 0;) length = length << 8 | static_cast<unsigned char>(bytes[i]);
  return length;
}

std::string joined(const Checkpoint& checkpoint) {
  std::string data;
  for (const auto& [name, tensor] : checkpoint.tensors) data += tensor.data.view();
  return data;
}

Json header_of(const Checkpoint& checkpoint, std::string_view data) {
  Json tensors = Json::array();
  for (const auto& [name, tensor] : checkpoint.tensors)
    tensors.push_back({{"name", name}, {"type", static_cast<int>(tensor.type)}, {"dims", tensor.dims}});
  return {{"run", checkpoint.run},
          {"step", checkpoint.step},
          {"notes", checkpoint.notes},
          {"tensors", std::move(tensors)},
          {"sha256", sha256(data)}};
}

// Dimensions whose product is what is left at most; f32, f64 and i64 are all that is ever written.
graph::Tensor read_tensor(const Json& entry, const Bytes& data, std::size_t& at, const std::string& place) {
  auto type = static_cast<graph::DataType>(integer(entry, "type", place));
  if (type != graph::DataType::f32 && type != graph::DataType::f64 && type != graph::DataType::i64)
    damaged(place, "a tensor of an unknown type");
  graph::Shape dims;
  for (const Json& dim : member(entry, "dims", place)) {
    if (!dim.is_number_integer() || dim.get<std::int64_t>() < 0) damaged(place, "a dimension that is none");
    dims.push_back(dim.get<std::int64_t>());
  }
  std::int64_t count = graph::element_count(dims);
  std::size_t each = graph::element_size(type);
  if (count < 0 || static_cast<std::size_t>(count) > (data.size() - at) / each)
    damaged(place, "the file ends early");
  std::size_t bytes = static_cast<std::size_t>(count) * each;
  at += bytes;
  return {type, std::move(dims), data.part(at - bytes, bytes)};
}

Checkpoint parse(const Json& header, const Bytes& data, const std::string& place) {
  Checkpoint checkpoint{
      text(header, "run", place), integer(header, "step", place), text(header, "notes", place), {}};
  std::size_t at = 0;
  for (const Json& entry : member(header, "tensors", place)) {
    std::string name = text(entry, "name", place);
    checkpoint.tensors.emplace_back(std::move(name), read_tensor(entry, data, at, place));
  }
  if (at != data.size()) damaged(place, "bytes are left over");
  if (checkpoint.step < 0) damaged(place, "a position before the beginning");
  return checkpoint;
}

}  // namespace

void write_checkpoint(const fs::path& path, const Checkpoint& checkpoint) {
  std::string data = joined(checkpoint), header = to_line(header_of(checkpoint, data));
  std::vector<Bytes> pieces = {Bytes::own(std::string(kMagic) + length_of(header.size()) + header),
                               Bytes::own(std::move(data))};
  write_file(path, pieces);
}

Checkpoint read_checkpoint(const fs::path& path) {
  if (!fs::exists(path))
    throw Error(Code::nothing_to_resume, "there is no checkpoint to go on from", path.string(),
                "leave --resume out to begin");
  Bytes file = map_file(path);
  std::string_view view = file.view();
  std::size_t start = kMagic.size() + 8;
  if (!view.starts_with(kMagic) || view.size() < start) damaged(path, "the file is no checkpoint");
  std::size_t length = read_length(view.substr(kMagic.size()));
  if (length > kMostHeader || length > view.size() - start) damaged(path, "the file ends early");
  Bytes data = file.part(start + length, file.size() - start - length);
  try {
    Json header = parse_json(view.substr(start, length), path.string());
    if (text(header, "sha256", path.string()) != sha256(data.view()))
      damaged(path, "its content was changed");
    return parse(header, data, path.string());
  } catch (const Error& error) {
    if (error.code() == Code::bad_checkpoint) throw;
    damaged(path, error.what());
  }
}

}  // namespace tailor::learn

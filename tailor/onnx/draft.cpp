// Model files: encode, choose what goes beside them, write both, put the model in its place last.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/decode.h"
#include "tailor/onnx/encode.h"
#include "tailor/onnx/onnx.h"

#include <fmt/format.h>
#include <unistd.h>

#include <set>

namespace tailor::onnx {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kWorthMoving = 1024;  // bytes; smaller initializers stay in a model that is too large

fs::path data_path(const fs::path& target, int serial) {
  fs::path path = target;
  path += serial == 1 ? ".data" : fmt::format(".{}.data", serial);
  return path;
}

fs::path free_data_path(const fs::path& target) {
  int serial = 1;
  while (fs::exists(fs::symlink_status(data_path(target, serial)))) ++serial;
  return data_path(target, serial);
}

// "net.onnx.data" and "net.onnx.2.data" for "net.onnx".
bool is_data_of(const fs::path& target, const std::string& location) {
  const std::string stem = target.filename().string() + ".";
  if (!location.starts_with(stem)) return false;
  std::string rest = location.substr(stem.size());
  if (rest == "data") return true;
  return rest.size() > 5 && rest.ends_with(".data") &&
         rest.find_first_not_of("0123456789") == rest.size() - 5;
}

// Where the record of a tensor says that its data lie; "" if in itself.
std::string location_in(const Bytes& tensor) {
  std::string location;
  Scanner scanner(tensor.span());
  for (Record part; next_record(scanner, part);) {
    if (part.field != field::external_data || part.wire != Wire::bytes) continue;
    std::string key, value;
    Scanner entry(part.payload);
    for (Record item; next_record(entry, item);)
      if (item.wire == Wire::bytes) (item.field == 1 ? key : value) = std::string(item.text());
    if (key == "location") location = value;
  }
  return location;
}

// Data files that the model at `path` names and that a Draft for `path` wrote. Whatever lies there may be no model.
std::set<std::string> own_data(const fs::path& path) {
  std::set<std::string> names;
  std::error_code none;
  if (!fs::is_regular_file(path, none)) return names;
  try {
    Bytes bytes = map_file(path);
    Scanner model(bytes.span());
    for (Record part; next_record(model, part);) {
      if (part.field != field::graph || part.wire != Wire::bytes) continue;
      Scanner graph(part.payload);
      for (Record item; next_record(graph, item);)
        if (item.field == field::initializer && item.wire == Wire::bytes)
          if (std::string location = location_in(within(bytes, item.payload)); is_data_of(path, location))
            names.insert(location);
    }
  } catch (const Error&) {
    names.clear();
  }
  return names;
}

Rope encoded(const graph::Model& model, ExternalData& data, const std::string& location, std::size_t most) {
  Rope rope = encode_model(model, &data);
  if (rope.size() <= most) return rope;
  data = ExternalData(location, kWorthMoving);
  rope = encode_model(model, &data);
  if (rope.size() > kMostBytes)
    throw Error(Code::bad_model,
                fmt::format("the model without its weights would take {} bytes", rope.size()), {},
                "one file can hold 2 GiB");
  return rope;
}

}  // namespace

Draft::Draft(const graph::Model& model, fs::path target, std::size_t most)
    : target_(std::move(target)), part_(target_) {
  part_ += fmt::format(".{}.unverified.part", ::getpid());
  fs::path beside = free_data_path(target_);
  ExternalData data(beside.filename().string());
  Rope rope = encoded(model, data, beside.filename().string(), most);
  bytes_ = rope.size();
  if (!data.pieces().empty()) {
    write_file(beside, data.pieces());
    data_ = beside;
    bytes_ += fs::file_size(beside);
  }
  try {
    write_file(part_, rope.pieces());
  } catch (...) {
    std::error_code ignored;
    fs::remove(data_, ignored);
    throw;
  }
}

Draft::~Draft() {
  if (committed_) return;
  std::error_code ignored;
  fs::remove(part_, ignored);
  if (!data_.empty()) fs::remove(data_, ignored);
}

void Draft::commit() {
  std::set<std::string> replaced = own_data(target_);
  replace_file(part_, target_);
  committed_ = true;
  std::error_code error;
  for (const std::string& name : replaced)
    if (name != data_.filename()) fs::remove(target_.parent_path() / name, error);
}

void write(const graph::Model& model, const fs::path& path) { Draft(model, path).commit(); }

void remove_written(const fs::path& path) {
  std::error_code ignored;
  for (const std::string& name : own_data(path)) fs::remove(path.parent_path() / name, ignored);
  fs::remove(path, ignored);
}

std::uint64_t stored_bytes(const graph::Model& model) {
  std::uint64_t bytes = model.origin.size();
  for (const auto& [name, tensor] : model.graph.initializers)
    if (!tensor.origin.empty() && !location_in(tensor.origin).empty()) bytes += tensor.data.size();
  return bytes;
}

}  // namespace tailor::onnx

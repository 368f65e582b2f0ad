/// \file ONNX files <-> graph::Model. The only user of protobuf.
///
/// Reading maps the file; weights stay in the mapping (copy-free) unless they are stored as typed fields.
/// Writing gives back every record that did not change byte by byte, unknown fields included: read and write
/// of an untouched model are the same bytes. Opset 7 to the newest; external data is mapped, and stays external.
#pragma once

#include "tailor/graph/model.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace tailor::onnx {

/// @throws Error file_missing, file_empty, not_onnx, truncated, bad_model, no_opset, unsupported_opset,
/// foreign_domain,
///         bad_tensor, external_data; never anything else, whatever the bytes are. Memory is bounded by a
///         small multiple of the file's size.
graph::Model read(const std::filesystem::path& path);

/// The same for bytes in memory; external data is looked up in `folder`.
graph::Model parse(const Bytes& bytes, const std::filesystem::path& folder = {});

/// What one file can hold: protobuf's limit.
inline constexpr std::size_t kMostBytes = 0x7FFFFFFF;

/// Serialised model, as pieces that may share the weights' memory; concatenated they are the file (an
/// untouched model is one piece). External data becomes part of it: the result depends on no file beside it.
/// @throws Error bad_model if the result would exceed kMostBytes
std::vector<Bytes> serialize(const graph::Model& model);
std::string serialize_to_string(const graph::Model& model);

/// A model file that is written and can be read, but is not yet in its place; without commit() it vanishes.
///
/// Data that were external stay external, and all initializers of 1 KiB and more become so if the file would exceed
/// `most` bytes: they go to one file beside the target, named after it ("net.onnx.data"), each at a multiple of 4096.
/// That file has a name which is not taken, so the target and its data are whole at every moment; the data of the
/// model that commit() replaces, if they were written by a Draft, are removed then. Weights stream from the mapping
/// of the model that was read: memory does not grow with them.
class Draft {
 public:
  /// @throws Error write_failed, bad_model if not even external data make it small enough
  Draft(const graph::Model& model, std::filesystem::path target, std::size_t most = kMostBytes);
  ~Draft();
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  const std::filesystem::path& path() const { return part_; }
  /// Of the model and its data.
  std::uint64_t bytes() const { return bytes_; }
  /// @throws Error write_failed
  void commit();

 private:
  std::filesystem::path target_, part_, data_;  // data_: empty if there is none
  std::uint64_t bytes_ = 0;
  bool committed_ = false;
};

/// Draft and commit: whole or not at all. @throws Error write_failed, bad_model
void write(const graph::Model& model, const std::filesystem::path& path);

/// Removes a file of write() together with its data. Nothing happens if there is none.
void remove_written(const std::filesystem::path& path);

/// Bytes that a model read from a file takes there: the file's, and of external data what its initializers name.
std::uint64_t stored_bytes(const graph::Model& model);

/// SHA-256 of the file, as plans and profiles name their model.
std::string fingerprint(const std::filesystem::path& path);

}  // namespace tailor::onnx

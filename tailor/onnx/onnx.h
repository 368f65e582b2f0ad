/// \file ONNX files <-> graph::Model. The only user of protobuf.
///
/// Reading maps the file; weights stay in the mapping (copy-free) unless they are stored as typed fields.
/// Writing gives back every record that did not change byte by byte, unknown fields included: read and write
/// of an untouched model are the same bytes. Opset 7 to the newest; external data is mapped.
#pragma once

#include "tailor/graph/model.h"

#include <filesystem>
#include <string>

namespace tailor::onnx {

/// @throws Error file_missing, file_empty, not_onnx, truncated, bad_model, no_opset, unsupported_opset,
/// foreign_domain,
///         bad_tensor, external_data; never anything else, whatever the bytes are. Memory is bounded by a
///         small multiple of the file's size.
graph::Model read(const std::filesystem::path& path);

/// The same for bytes in memory; external data is looked up in `folder`.
graph::Model parse(const Bytes& bytes, const std::filesystem::path& folder = {});

/// Serialised model, as pieces that may share the weights' memory; concatenated they are the file (an
/// untouched model is one piece). External data becomes part of it: the result depends on no file beside it.
/// @throws Error bad_model if the result would exceed protobuf's 2 GiB without external data.
std::vector<Bytes> serialize(const graph::Model& model);
std::string serialize_to_string(const graph::Model& model);

/// Whole or not at all. @throws Error write_failed
void write(const graph::Model& model, const std::filesystem::path& path);

/// SHA-256 of the file, as plans and profiles name their model.
std::string fingerprint(const std::filesystem::path& path);

}  // namespace tailor::onnx

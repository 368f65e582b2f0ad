/// \file NumPy's array files (NEP 1, versions 1 to 3), the form in which tensors cross process borders.
#pragma once

#include "tailor/graph/model.h"

#include <filesystem>
#include <string>

namespace tailor::graph {

/// A dense array in C order. Little-endian numbers and booleans; `place` is named in messages. The data
/// shares `bytes`. Fortran order, big-endian numbers, structures and objects are refused.
/// @throws Error bad_dataset
Tensor parse_npy(const Bytes& bytes, const std::string& place);
/// The file mapped: nothing is copied. @throws Error file_missing, bad_dataset
Tensor read_npy(const std::filesystem::path& path);

/// Version 1.0, data aligned to 64 bytes. bf16 and the 8-bit floats have no name in NumPy and are refused.
/// @throws Error write_failed, bad_value
void write_npy(const Tensor& tensor, const std::filesystem::path& path);

}  // namespace tailor::graph

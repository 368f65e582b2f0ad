/// \file Models that mean harm, made from models that do not: changes at the level of ONNX's own structure, so that
/// most of them get past the reader and into shape inference, grouping and surgery.
#pragma once

#include "tailor/base/random.h"

#include <string>
#include <string_view>
#include <vector>

namespace tailor::fuzz {

/// A model that can be mutated many times. Parsing happens once.
class Seed {
 public:
  /// @throws Error not_onnx if the bytes are no ModelProto
  explicit Seed(std::string_view bytes);
  ~Seed();
  Seed(Seed&&) noexcept;

  /// The bytes with one to five changes: attributes, operators, inputs and outputs of nodes (deleted, doubled, swapped,
  /// put into a body), types and sizes and data of constants, descriptions of values, operator sets; now and then
  /// single bytes of the file.
  std::string mutant(Random& random) const;

 private:
  struct Model;
  Model* model_;
};

/// Small models with the operators of real ones, as files: a seed takes microseconds, a real model milliseconds.
std::vector<std::string> made_seeds();

}  // namespace tailor::fuzz

/// \file What a model of anybody is put through, and what must hold of it.
#pragma once

#include "tailor/base/bytes.h"

#include <cstdint>
#include <string>

namespace tailor::fuzz {

/// How far a model got, for those who ask whether the fuzzing reaches anything.
enum class Reached { refused, inferred, grouped, cut };

/// read -> infer_shapes -> channel_groups -> cut of random groups -> serialize -> read again, the mask, the branches and
/// the workloads. `finding` is set if something else than a tailor::Error of the model's fault comes of it: another
/// exception, an error that says "bug", an untouched model that is not written back byte by byte, a cut whose result
/// cannot be read, more memory than three times the file and 64 MB.
struct Outcome {
  Reached reached = Reached::refused;
  std::string finding;
  std::string refusal;  // code of the error that ended it, "" if there was none
};
Outcome straight_line(const Bytes& file, std::uint64_t seed);

/// Bytes that the program holds from operator new now, and the most since the last reset. In programs that link
/// allocations.cpp; the straight line looks at nothing else.
std::size_t allocated();
std::size_t most_allocated();
void reset_most_allocated();

}  // namespace tailor::fuzz

/// \file Is what the library computed right? Elements of a result beside plain loops in double precision.
#pragma once

#include "runners/onednn/operation.h"

#include <cstdint>
#include <vector>

namespace tailor::onednn {

/// Random values as a tensor of that type holds them: normal in floats, all levels alike in u8 and s8.
void fill(Type type, std::int64_t elements, std::uint64_t seed, void* at);
/// The element as a number (a level as a whole one).
double value_at(Type type, const void* at, std::int64_t index);

/// How far an element is from the loops, as a share of what its precision allows: up to 1 is right. Allowed are 1e-5 of the
/// sum of the absolute products in f32, 2^-8 of the result more in bf16, and half a level where levels are written.
/// Elements are looked at in even steps, at most `most` of them. Infinite if one is no number. O(most x row)
/// @param places as the operation had them, except that `residual` still holds what was read
double largest_error(const Layer& layer, const Parameters& parameters, const Places& places,
                     std::int64_t most = 1024);

/// Runs the layer once on operands of its own. @throws Error as make_operation
double checked_error(const Library& library, const Layer& layer, int weight_bits);

/// 8, or 7 where two products of eight bits saturate when they are added, as x86 without VNNI does: tried out.
/// 0 where the library computes nothing in 8 bits.
int weight_bits_of(const Library& library);

}  // namespace tailor::onednn

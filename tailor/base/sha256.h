/// \file The rounds of SHA-256 (FIPS 180-4). Private: file.h has the function that others use.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace tailor {

using Digest256 = std::array<std::uint32_t, 8>;

/// Whole blocks of 64 bytes, one after the other, into the digest so far.
void sha256_in_software(Digest256& h, const std::byte* bytes, std::size_t blocks);
/// The same by the instructions of x86; false, and nothing done, where the processor has none.
bool sha256_in_hardware(Digest256& h, const std::byte* bytes, std::size_t blocks);

}  // namespace tailor

/// \file Bytes as text that JSON and HTML can carry: Base64 (RFC 4648, section 4).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace tailor {

/// Four letters for every three bytes, filled up with '='. O(bytes)
std::string base64(std::span<const std::byte> bytes);
std::string base64(std::string_view bytes);

}  // namespace tailor

#include "tailor/base/base64.h"

namespace tailor {

std::string base64(std::span<const std::byte> bytes) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned bits = 0;
    for (std::size_t j = i; j < i + 3; ++j)
      bits = bits << 8 | (j < bytes.size() ? std::to_integer<unsigned>(bytes[j]) : 0u);
    for (std::size_t letter = 0; letter < 4; ++letter)
      text += i + letter <= bytes.size() ? kLetters[bits >> (18 - 6 * letter) & 63] : '=';
  }
  return text;
}

std::string base64(std::string_view bytes) { return base64(std::as_bytes(std::span(bytes))); }

}  // namespace tailor

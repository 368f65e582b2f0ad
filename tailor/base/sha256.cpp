// SHA-256 by OpenSSL's libcrypto, which uses the processor's own instructions: models of hundreds of megabytes are hashed.
#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

namespace tailor {

std::string sha256(const Bytes& bytes) {
  constexpr std::size_t kStride = std::size_t{8} << 20;  // pages of a mapped file are given back on the way
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  TAILOR_CHECK(context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1);
  for (std::size_t at = 0; at < bytes.size();) {
    const Bytes part = bytes.part(at, std::min(kStride, bytes.size() - at));
    TAILOR_CHECK(EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1);
    release_pages(part);
    at += part.size();
  }
  std::array<unsigned char, 32> digest{};
  TAILOR_CHECK(EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) == 1);
  std::string text;
  for (unsigned char byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

std::string sha256(std::span<const std::byte> bytes) { return sha256(Bytes(nullptr, bytes)); }

std::string sha256(std::string_view text) {
  return sha256(std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace tailor

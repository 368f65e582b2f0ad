// SHA-256 (FIPS 180-4): the rounds in plain code and in the processor's own instructions where it has them, then the
// padding. Models of hundreds of megabytes are hashed, so the difference is seconds.
#include "tailor/base/sha256.h"

#include "tailor/base/file.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

namespace tailor {
namespace {

alignas(16) constexpr std::array<std::uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

void sha256_block(Digest256& h, const std::byte* block) {
  std::array<std::uint32_t, 64> w{};
  for (int i = 0; i < 16; ++i)
    for (int b = 0; b < 4; ++b) w[i] = w[i] << 8 | std::to_integer<std::uint32_t>(block[4 * i + b]);
  for (int i = 16; i < 64; ++i) {
    std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
    std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, k] = h;
  for (int i = 0; i < 64; ++i) {
    std::uint32_t t1 =
        k + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
    std::uint32_t t2 =
        (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    k = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  std::array<std::uint32_t, 8> sum = {a, b, c, d, e, f, g, k};
  for (int i = 0; i < 8; ++i) h[i] += sum[i];
}

constexpr Digest256 kInitial = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

#if defined(__x86_64__)
bool has_sha_instructions() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool sse41 = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSE4_1) != 0;
  return sse41 && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
}

// The instructions keep the state as (f e b a) and (h g d c), lowest lane first; four words of the schedule and four rounds
// at a time.
__attribute__((target("sha,sse4.1"))) void sha256_by_instructions(Digest256& h, const std::byte* bytes,
                                                                  std::size_t blocks) {
  const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const __m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(&h[0])), 0xB1);
  const __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(&h[4])), 0x1B);
  __m128i feba = _mm_alignr_epi8(abcd, efgh, 8), hgdc = _mm_blend_epi16(efgh, abcd, 0xF0);
  for (std::size_t block = 0; block < blocks; ++block) {
    const __m128i feba_before = feba, hgdc_before = hgdc;
    __m128i w[16];
    for (int j = 0; j < 16; ++j) {
      w[j] = j < 4
                 ? _mm_shuffle_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 64 * block) + j),
                                    big_endian)
                 : _mm_sha256msg2_epu32(_mm_add_epi32(_mm_sha256msg1_epu32(w[j - 4], w[j - 3]),
                                                      _mm_alignr_epi8(w[j - 1], w[j - 2], 4)),
                                        w[j - 1]);
      const __m128i constants = _mm_load_si128(reinterpret_cast<const __m128i*>(kRound.data()) + j);
      const __m128i sum = _mm_add_epi32(w[j], constants);
      hgdc = _mm_sha256rnds2_epu32(hgdc, feba, sum);
      feba = _mm_sha256rnds2_epu32(feba, hgdc, _mm_shuffle_epi32(sum, 0x0E));
    }
    feba = _mm_add_epi32(feba, feba_before), hgdc = _mm_add_epi32(hgdc, hgdc_before);
  }
  const __m128i abef = _mm_shuffle_epi32(feba, 0x1B), ghcd = _mm_shuffle_epi32(hgdc, 0xB1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&h[0]), _mm_blend_epi16(abef, ghcd, 0xF0));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&h[4]), _mm_alignr_epi8(ghcd, abef, 8));
}
#endif

void sha256_blocks(Digest256& h, const std::byte* bytes, std::size_t blocks) {
  if (!sha256_in_hardware(h, bytes, blocks)) sha256_in_software(h, bytes, blocks);
}

// The last bytes (fewer than a block), and the size of the whole.
std::string finish_sha256(Digest256 h, std::span<const std::byte> rest, std::uint64_t size) {
  std::array<std::byte, 128> tail{};
  if (!rest.empty()) std::memcpy(tail.data(), rest.data(), rest.size());
  tail[rest.size()] = std::byte{0x80};
  std::size_t end = rest.size() < 56 ? 64 : 128;
  for (int i = 0; i < 8; ++i) tail[end - 1 - i] = static_cast<std::byte>(size * 8 >> (8 * i));
  sha256_blocks(h, tail.data(), end / 64);
  std::string text;
  for (std::uint32_t word : h) text += fmt::format("{:08x}", word);
  return text;
}

}  // namespace

void sha256_in_software(Digest256& h, const std::byte* bytes, std::size_t blocks) {
  for (std::size_t i = 0; i < blocks; ++i) sha256_block(h, bytes + 64 * i);
}

bool sha256_in_hardware([[maybe_unused]] Digest256& h, [[maybe_unused]] const std::byte* bytes,
                        [[maybe_unused]] std::size_t blocks) {
#if defined(__x86_64__)
  static const bool there = has_sha_instructions();
  if (there) sha256_by_instructions(h, bytes, blocks);
  return there;
#else
  return false;
#endif
}

std::string sha256(const Bytes& bytes) {
  constexpr std::size_t kStride = std::size_t{8} << 20;
  Digest256 h = kInitial;
  std::size_t whole = bytes.size() / 64 * 64;
  for (std::size_t at = 0; at < whole;) {
    Bytes part = bytes.part(at, std::min(kStride, whole - at));
    sha256_blocks(h, part.data(), part.size() / 64);
    release_pages(part);
    at += part.size();
  }
  return finish_sha256(h, bytes.span().subspan(whole), bytes.size());
}

std::string sha256(std::span<const std::byte> bytes) { return sha256(Bytes(nullptr, bytes)); }

std::string sha256(std::string_view text) {
  return sha256(std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace tailor

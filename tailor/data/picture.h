/// \file Pictures of 8 bits a sample, and writing them as PNG (ISO/IEC 15948).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tailor::data {

/// Rows from the top, pixels from the left, the samples of a pixel beside each other: grey, or red, green and blue.
struct Picture {
  int width = 0, height = 0, channels = 1;
  std::vector<std::uint8_t> samples = {};

  std::size_t at(int x, int y) const {
    return (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)) *
           static_cast<std::size_t>(channels);
  }
  friend bool operator==(const Picture&, const Picture&) = default;
};

/// The bytes of a PNG file; equal pictures give equal bytes. O(samples)
/// @pre 1 or 3 channels, at least one pixel, as many samples as that makes
std::string png(const Picture& picture);

}  // namespace tailor::data

/// \file Drawn shapes: a small image-classification set that needs no download.
///
/// Ten classes at random place, size, angle and colour on a gradient, with noise, and often partly covered.
/// The same seed gives the same bytes on every platform: no library function but sqrt is used.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tailor::demo {

inline constexpr std::array<std::string_view, 10> shape_names{
    "circle", "square", "triangle", "star", "cross", "ring", "hexagon", "crescent", "semicircle", "arrow"};
inline constexpr int image_side = 32;
/// Label, then the red, green and blue planes row by row: a record of the CIFAR-10 binary format.
inline constexpr std::size_t record_size = 1 + 3 * image_side * image_side;

/// `count` records. Every block of ten holds each class once, in random order.
std::vector<std::uint8_t> draw_shapes(std::size_t count, std::uint64_t seed);

}  // namespace tailor::demo

// PNG files that are written, read back by zlib and the format's rules, sample for sample.
#include "tailor/data/picture.h"

#include "tailor/base/random.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdlib>

namespace tailor::data {
namespace {

unsigned big_endian(const std::string& bytes, std::size_t at) {
  unsigned value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes.at(at + i));
  return value;
}

// Left, above and above left of a sample: which of them is nearest to left + above - above left.
int paeth(int left, int above, int corner) {
  const int a = std::abs(above - corner), b = std::abs(left - corner),
            c = std::abs(left + above - 2 * corner);
  return a <= b && a <= c ? left : b <= c ? above : corner;
}

// Takes the filters of the scan lines back. @param raw per line: the number of its filter, then its bytes
std::vector<std::uint8_t> unfiltered(const std::string& raw, int width, int height, int channels) {
  const std::size_t line = static_cast<std::size_t>(width) * static_cast<std::size_t>(channels),
                    step = static_cast<std::size_t>(channels);
  std::vector<std::uint8_t> samples(line * static_cast<std::size_t>(height));
  for (std::size_t y = 0; y < static_cast<std::size_t>(height); ++y) {
    const int filter = raw.at(y * (line + 1));
    for (std::size_t x = 0; x < line; ++x) {
      const int left = x >= step ? samples[y * line + x - step] : 0,
                above = y ? samples[(y - 1) * line + x] : 0,
                corner = x >= step && y ? samples[(y - 1) * line + x - step] : 0;
      const int guesses[] = {0, left, above, (left + above) / 2, paeth(left, above, corner)};
      samples[y * line + x] = static_cast<std::uint8_t>(
          static_cast<unsigned char>(raw.at(y * (line + 1) + 1 + x)) + guesses[filter]);
    }
  }
  return samples;
}

// Chunks by their lengths and checks; what IDAT holds, inflated.
Picture decoded(const std::string& file) {
  EXPECT_EQ(file.substr(0, 8), "\x89PNG\r\n\x1a\n");
  Picture picture;
  std::string packed;
  for (std::size_t at = 8; at < file.size();) {
    const unsigned length = big_endian(file, at);
    const std::string kind = file.substr(at + 4, 4), content = file.substr(at + 8, length);
    const auto* checked = reinterpret_cast<const unsigned char*>(file.data()) + at + 4;
    EXPECT_EQ(crc32(0, checked, length + 4), big_endian(file, at + 8 + length)) << kind;
    if (kind == "IHDR") {
      picture.width = static_cast<int>(big_endian(content, 0));
      picture.height = static_cast<int>(big_endian(content, 4));
      picture.channels = content[9] == 2 ? 3 : 1;
      EXPECT_EQ(content[8], 8) << "bits a sample";
    }
    if (kind == "IDAT") packed += content;
    at += 12 + length;
  }
  std::string raw(static_cast<std::size_t>((picture.width * picture.channels + 1) * picture.height), '\0');
  uLongf size = raw.size();
  EXPECT_EQ(uncompress(reinterpret_cast<Bytef*>(raw.data()), &size,
                       reinterpret_cast<const Bytef*>(packed.data()), packed.size()),
            Z_OK);
  EXPECT_EQ(size, raw.size());
  picture.samples = unfiltered(raw, picture.width, picture.height, picture.channels);
  return picture;
}

TEST(Picture, PngHoldsEverySample) {
  Random random(3);
  for (int channels : {1, 3})
    for (int width : {1, 7, 64})
      for (int height : {1, 5, 33}) {
        Picture picture{width, height, channels};
        // Half noise, half a ramp, so that lines are filtered in several ways.
        for (int i = 0; i < width * height * channels; ++i)
          picture.samples.push_back(
              static_cast<std::uint8_t>(i % 2 ? static_cast<int>(random.below(256)) : 3 * i));
        EXPECT_EQ(decoded(png(picture)), picture) << width << "x" << height << "x" << channels;
        EXPECT_EQ(png(picture), png(picture));
      }
}

}  // namespace
}  // namespace tailor::data

#include "tailor/data/picture.h"

#include "tailor/base/error.h"

#include <png.h>

namespace tailor::data {

std::string png(const Picture& picture) {
  TAILOR_CHECK(picture.width > 0 && picture.height > 0 && (picture.channels == 1 || picture.channels == 3));
  TAILOR_CHECK(picture.samples.size() == picture.at(0, picture.height));
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(picture.width);
  image.height = static_cast<png_uint_32>(picture.height);
  image.format = picture.channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string bytes(size, '\0');
  const bool written =
      png_image_write_to_memory(&image, bytes.data(), &size, 0, picture.samples.data(), 0, nullptr) != 0;
  TAILOR_CHECK(written);
  bytes.resize(size);
  return bytes;
}

}  // namespace tailor::data

/// \file JPEG and PNG files to CxHxW floats. Private to the module; the only reader by libjpeg and libpng.
#pragma once

#include "tailor/base/bytes.h"
#include "tailor/graph/model.h"

#include <string>

namespace tailor::data {

/// Shape CxHxW of the image from its header (C = 1 or 3). @throws Error bad_dataset: no JPEG or PNG, alpha
/// channel, CMYK, 16 bits, more than 64 million pixels
graph::Shape image_shape(const Bytes& file, const std::string& place);

/// Pixel values 0..255. @pre shape is image_shape(file). @throws Error bad_dataset: damaged or truncated
void decode_image(const Bytes& file, const graph::Shape& shape, const std::string& place, float* out);

}  // namespace tailor::data

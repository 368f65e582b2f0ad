/// \file Images to the size that a model takes.
#pragma once

#include "tailor/data/dataset.h"

namespace tailor::data {

/// The planar image `from` (CxHxW) as `to` (same C). Triangle filter, as wide as the shrinking asks for, so that
/// nothing aliases: what image libraries call bilinear with antialiasing. crop keeps the proportions: the shorter
/// side fits, the middle of the longer one stays. O(output x (shrinking + 1)) per direction.
/// @pre how != none, sizes positive
void resize(const std::vector<float>& image, const graph::Shape& from, const graph::Shape& to, Resize how,
            float* out);

}  // namespace tailor::data

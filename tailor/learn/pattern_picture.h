/// \file Patterns as pictures: one for each filter, and all of a layer on one sheet.
#pragma once

#include "tailor/data/picture.h"
#include "tailor/graph/model.h"

#include <vector>

namespace tailor::learn {

/// The image with at most `most` pixels a side, in proportion and without aliasing. `shape` (CxHxW) becomes its shape.
std::vector<float> shrunk(const std::vector<float>& image, graph::Shape& shape, int most);

/// The pattern with its contrast stretched: 0 is mid-grey, three of its deviations from it are white or black. Three
/// channels are red, green and blue (the other way round for `bgr`); of other numbers of channels the mean is drawn in
/// grey. A pattern of zeros is grey all over. Larger images are shrunk to at most `most` pixels a side, without
/// aliasing.
/// @param shape CxHxW of the pattern @param most at least 1
data::Picture pattern_picture(const std::vector<float>& pattern, const graph::Shape& shape, int most,
                              bool bgr = false);

/// A grid of pictures, row by row, on black, two pixels apart; small ones are enlarged by whole factors to about 32
/// pixels. A white bar stands above the first picture and every tenth after it, so that the number of one is soon
/// counted.
struct Sheet {
  data::Picture picture;
  int columns = 0;
};
/// @pre at least one picture, all of one size
Sheet sheet_of(const std::vector<data::Picture>& pictures);

}  // namespace tailor::learn

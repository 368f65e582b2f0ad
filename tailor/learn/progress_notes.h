/// \file What a run knows besides tensors: the epoch so far and the curve. Private to the module.
#pragma once

#include "tailor/learn/train.h"

#include <string>
#include <vector>

namespace tailor::learn {

struct ProgressNotes {
  double loss = 0;  // summed over samples of the epoch
  std::int64_t right = 0, seen = 0;
  std::vector<CurvePoint> curve = {};
};

/// As JSON and back, every number as it was. @throws Error bad_checkpoint
std::string to_text(const ProgressNotes& notes);
ProgressNotes parse_notes(const std::string& text, const std::string& place);

}  // namespace tailor::learn

#include "tailor/pipeline/activation_ranges.h"

#include "tailor/base/error.h"
#include "tailor/pipeline/calibration.h"
#include "tailor/rewrite/activations.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::pipeline {
namespace {

void widen(rewrite::Range& range, const graph::Tensor& tensor, const std::string& name) {
  for (float value : tensor.values<float>()) {
    if (!std::isfinite(value))
      throw Error(Code::dataset_mismatch, "the model computes numbers that are not finite on these samples",
                  fmt::format("value '{}'", name),
                  "give samples as the model expects them (--mean, --std, --scale), or leave --calib out");
    range.lo = std::min(range.lo, value), range.hi = std::max(range.hi, value);
  }
}

}  // namespace

std::map<std::string, rewrite::Range> activation_ranges(const Subject& subject,
                                                        const std::vector<std::string>& values,
                                                        const MapOptions& options) {
  CalibrationOptions samples;
  samples.path = options.calib, samples.preparation = options.samples.preparation;
  samples.fit = options.calib_limit, samples.judge = samples.finish = 8, samples.augment = false;
  const Calibration calibration = load_calibration(subject, samples);
  runtime::Runner runner(options.samples.bench.runner);
  rewrite::Activations known(runner, subject.shapes, calibration.fit, calibration.threads,
                             calibration.memory);
  std::map<std::string, rewrite::Range> ranges;
  for (const std::string& value : values)
    widen(ranges[value], known.get(subject.model, {value}).front(), value);
  return ranges;
}

}  // namespace tailor::pipeline

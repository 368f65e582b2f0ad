#include "tailor/pipeline/activation_ranges.h"

#include "tailor/pipeline/calibration.h"
#include "tailor/rewrite/activations.h"

#include <algorithm>

namespace tailor::pipeline {
namespace {

void widen(rewrite::Range& range, const graph::Tensor& tensor) {
  const std::vector<float> values = tensor.values<float>();
  const auto [lo, hi] = std::minmax_element(values.begin(), values.end());
  if (lo != values.end()) range.lo = std::min(range.lo, *lo), range.hi = std::max(range.hi, *hi);
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
  for (const std::string& value : values) widen(ranges[value], known.get(subject.model, {value}).front());
  return ranges;
}

}  // namespace tailor::pipeline

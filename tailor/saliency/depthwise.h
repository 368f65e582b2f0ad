/// \file One channel of a depthwise convolution, without patches.
///
/// Planes get borders of zeros, so that a tap reads at one and the same distance from every output: the convolution is then a
/// sum of shifted rows, and so are its gradients. Strides compute every position and take those that are outputs.
#pragma once

#include "tailor/saliency/normal_equations.h"
#include "tailor/saliency/unfold.h"

#include <cstddef>
#include <vector>

namespace tailor::saliency {

class Depthwise {
 public:
  /// For planes of these heights and widths, of several samples one after the other. @pre strides and dilations of at least 1
  Depthwise(const Extent& from, const Extent& to, const Geometry& geometry, int samples);

  /// What is read, samples x plane of `from`; kept until the next one.
  void set_input(const float* x);
  /// The slopes of the outputs, samples x plane of `to`; kept until the next ones.
  void set_slopes(const float* slopes);

  /// y, samples x plane of `to`, from taps + 1 weights, the intercept last. O(samples * plane * taps)
  void forward(const float* weights, float* y);
  /// Adds the slopes of the weights. @pre slopes and what was read are set
  void add_slopes(float* weights);
  /// Adds the slopes of what was read. @pre slopes are set
  void pull_back(const float* weights, float* x);

 private:
  template <class F>
  void over_inputs(F f) const;
  template <class F>
  void over_outputs(F f) const;

  Extent from_, to_;
  Geometry geometry_;
  int samples_, height_, width_;              // with borders
  std::vector<int> reach_;                    // of each tap: how far from the output it reads
  std::vector<float> input_, slopes_, sums_;  // slopes_ begins with zeros as far as taps reach
};

}  // namespace tailor::saliency

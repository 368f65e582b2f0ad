/// \file The values of a tape for a few samples at a time, and their slopes. Private to tape.cpp.
///
/// Every value is a matrix, channels x (samples * plane), so that a layer is one product with the unfolded patches; or with
/// the value itself, or shifted rows of it (Way).
#pragma once

#include "tailor/saliency/depthwise.h"
#include "tailor/saliency/tape.h"

#include <Eigen/Dense>

#include <optional>
#include <vector>

namespace tailor::saliency {

using Rows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// How a linear step is computed.
enum class Way {
  pointwise,  // 1 x 1 at every position: the value is its own patches
  depthwise,  // each output reads one input of its own
  patches,
};

class Chunk {
 public:
  /// Both outlive it.
  Chunk(const Tape& tape, const TapeWeights& weights);

  /// Samples first <= i < first + samples, step by step; patches are kept for the way back.
  void forward(const Wanted& wanted, int first, int samples);
  /// What is wrong at the goal: present less wanted, 0 where that does not matter. @pre after forward from `first`
  Rows residual(const Wanted& wanted, int first) const;
  /// Slopes of every value from that of the goal; those of the weights are added to `gradient`, if there is one.
  void backward(Rows at_goal, TapeWeights* gradient);

  /// Of the outputs of a group of a linear step. @pre after backward
  Eigen::Block<const Rows, Eigen::Dynamic, Eigen::Dynamic, true> slopes(const Step& step, int group) const;
  /// What they are made of: (inputs x taps + 1) x (samples * plane), ones last. @pre after forward
  Rows patches(const Step& step, int group) const;

 private:
  const Extent& extent(int value) const { return tape_.values[static_cast<std::size_t>(value)]; }
  Eigen::Map<const Rows> weights(int layer) const;
  void unfold_group(const Step& step, int group, Rows& patches) const;
  Depthwise& depthwise(std::size_t at);

  void find_in_place();
  void forward(std::size_t at);
  Rows means(const Rows& a, int plane) const;
  void forward_linear(std::size_t at);
  void forward_pointwise(const Step& step);
  void forward_depthwise(std::size_t at);
  void forward_patches(std::size_t at);

  void backward(std::size_t at, TapeWeights* gradient);
  void pull_back(const Step& step, const Rows& slope, Rows& to) const;
  void pull_back_in_place(const Step& step);
  Rows spread(const Rows& slope, int plane) const;
  void add_gradient(std::size_t at, std::vector<float>& gradient);
  void pull_back_linear(std::size_t at);

  const Tape& tape_;
  const TapeWeights& weights_;
  std::vector<bool> moving_;  // depends on weights
  std::vector<Rows> values_, slopes_;
  std::vector<Way> ways_;  // of each step that is linear
  /// Of each step: whether it works on the memory of its operand, which nobody else reads; its slopes then do the same.
  std::vector<bool> in_place_;
  std::vector<bool> given_over_;            // of each value: whether a step does that to it
  std::vector<std::vector<Rows>> patches_;  // of each step that needs them, per group
  std::vector<std::optional<Depthwise>> depthwise_;
  int samples_ = 0;
};

}  // namespace tailor::saliency

/// \file What a changed model still gets right, against labels and against the original model.
#pragma once

#include "tailor/graph/model.h"

#include <cstdint>
#include <span>
#include <vector>

namespace tailor::runtime {

/// Index of the largest value of each row (the first of equals). Rows are what is left behind the leading
/// dimension: N x C, N x C x 1 x 1 ... @throws Error dataset_mismatch if the tensor is not floating or has no
/// rows
std::vector<std::int64_t> top1(const graph::Tensor& logits);

/// Model B against model A on the same samples; sums, so that batches can be added one after the other.
struct Score {
  std::int64_t n = 0;                         // samples
  std::int64_t agree = 0;                     // A and B give the same class
  std::int64_t labelled = 0;                  // samples with a label
  std::int64_t a_correct = 0, b_correct = 0;  // of the labelled
  std::int64_t only_a_correct = 0;  // discordant pairs, for mcnemar_p(only_b_correct, only_a_correct)
  std::int64_t only_b_correct = 0;
  double squared_error = 0, divergence = 0;  // sums over samples

  double agreement() const { return n ? static_cast<double>(agree) / static_cast<double>(n) : 0; }
  double top1_a() const {
    return labelled ? static_cast<double>(a_correct) / static_cast<double>(labelled) : 0;
  }
  double top1_b() const {
    return labelled ? static_cast<double>(b_correct) / static_cast<double>(labelled) : 0;
  }
  /// Mean over samples of the mean squared difference of the outputs.
  double mean_squared_error() const { return n ? squared_error / static_cast<double>(n) : 0; }
  /// Mean over samples of KL(softmax(a) || softmax(b)) in nats.
  double mean_divergence() const { return n ? divergence / static_cast<double>(n) : 0; }
};

/// Adds a batch. @param a,b    outputs of the two models, equally shaped
/// @param labels one per row, or none
/// @param offset added to each label (1 for models whose class 0 is the background)
/// @throws Error dataset_mismatch: shapes differ, or a label is no class of the model
void add(Score& score, const graph::Tensor& a, const graph::Tensor& b,
         std::span<const std::int64_t> labels = {}, std::int64_t offset = 0);

}  // namespace tailor::runtime

/// \file What the network sees at each step: a pure function of the data, the recipe and the number of the step, so that
/// a run which goes on in the middle sees what it would have seen.
#pragma once

#include "tailor/base/random.h"
#include "tailor/data/dataset.h"
#include "tailor/learn/recipe.h"

#include <cstdint>
#include <vector>

namespace tailor::learn {

/// Images, labels (none if the data have none), and, with mixup, the labels of what was mixed in: the first count for
/// `share`, the others for the rest.
struct Batch {
  graph::Tensor images;
  std::vector<std::int64_t> labels, mixed = {};
  double share = 1;
};

/// A generator for one purpose at one step: equal on every machine.
Random generator(std::uint64_t seed, std::uint64_t purpose, std::uint64_t step);

class Batches {
 public:
  /// @param data outlives this. @throws Error bad_value if crops or mixup are asked of data that are no images
  Batches(const data::Dataset& data, const Recipe& recipe);

  /// Full batches only; data of fewer samples than a batch are one batch.
  std::int64_t per_epoch() const { return per_epoch_; }
  std::int64_t batch() const { return batch_; }
  /// The batch of step `step`, counted from the beginning of training. Every epoch has an order of its own.
  /// Thread-safe. @throws Error bad_dataset for damaged images
  Batch at(std::int64_t step) const;

 private:
  const data::Dataset& data_;
  const Recipe recipe_;
  std::int64_t batch_ = 1, per_epoch_ = 1;
};

/// Mirrors and shifts each image of N x C x H x W. @pre rank 4
void augment(std::vector<float>& images, const graph::Shape& dims, const Augmentation& how, Random& random);
/// A draw of Beta(a, a): x / (x + y) of two draws of Gamma(a) (Marsaglia and Tsang 2000). @pre a > 0
double draw_beta(double a, Random& random);

}  // namespace tailor::learn

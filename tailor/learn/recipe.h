/// \file How a model is trained: every choice that the result depends on, as a value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tailor::learn {

enum class Rule { sgd, adamw };
enum class Curve { cosine, step, constant };

/// The learning rate as a function of the position. Warm-up rises linearly from 0; then cosine falls
/// to `last` x rate (Loshchilov and Hutter, arXiv:1608.03983), step multiplies by `factor` at each of `drops`.
struct Schedule {
  Curve curve = Curve::cosine;
  double rate = 0.01, warmup = 0, last = 0;  // warmup: epochs
  std::vector<double> drops = {0.5, 0.75};   // shares of all epochs
  double factor = 0.1;
};
/// @param position in epochs, 0 <= position < epochs
double rate_at(const Schedule& schedule, double position, double epochs);

/// What happens to a batch before the network sees it. Sizes in pixels; zeros (the mean, where --mean is given) come in
/// at the edges.
struct Augmentation {
  bool flip = false;  // left and right, every second image
  int crop = 0;       // shifted by up to so many pixels each way
  double mixup = 0;   // Beta(mixup, mixup) shares with another image (arXiv:1710.09412); 0: none
};

/// What is minimised: labels x cross entropy, plus distill x divergence from the teacher, plus match x distance of
/// features. Outputs that are no class scores are distilled by their squared distance.
struct Objective {
  double labels = 1, smoothing = 0;     // label smoothing (arXiv:1512.00567)
  double distill = 0, temperature = 4;  // Hinton et al., arXiv:1503.02531
  double match = 0;                     // sums of residual branches that both models have, in equal shape
};

struct Recipe {
  Rule rule = Rule::sgd;
  double momentum = 0.9, decay = 5e-4, clip = 0;  // clip: largest norm of all gradients together; 0: any
  bool nesterov = false, frozen_statistics = false;
  double average = 0;  // decay of the moving average of weights that is kept in the end; 0: none
  Schedule schedule = {};
  Augmentation augmentation = {};
  Objective objective = {};
  std::int64_t epochs = 1, batch = 128, label_offset = 0;
  std::uint64_t seed = 0;
};

/// @throws Error bad_value naming the first value that makes no sense
void check(const Recipe& recipe);
/// Everything in it as one line of JSON, for fingerprints.
std::string describe(const Recipe& recipe);

}  // namespace tailor::learn

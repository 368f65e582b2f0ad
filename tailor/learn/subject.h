/// \file The networks of a training run and what is said about them. Private to the module.
#pragma once

#include "tailor/learn/aten.h"
#include "tailor/learn/batches.h"
#include "tailor/learn/head.h"
#include "tailor/learn/network.h"
#include "tailor/learn/train.h"

#include <optional>

namespace tailor::learn {

/// The purpose of the random numbers that libtorch draws for Dropout (generator()).
inline constexpr std::uint64_t kDropoutPurpose = 5;

/// The loss of a batch, with its gradient still to be taken, and how many samples were right (CurvePoint).
struct Verdict {
  at::Tensor loss;
  std::int64_t right = 0;
  double beside = 0;  // loss of smaller networks, whose gradient is taken already
};

class Subject {
 public:
  /// @throws Error not_trainable (nothing to train, operators, outputs), dataset_mismatch (labels, outputs that differ
  ///         from the teacher's)
  Subject(const graph::Model& model, const Task& task, const Recipe& recipe, std::int64_t batch);

  Network student;
  /// @pre the weights hold no gradient: those of smaller networks are added up there
  Verdict judge(const Batch& batch, std::int64_t step);
  /// The one that labels are compared with.
  const Head& head() const { return heads_.front(); }

 private:
  void pair_up(const graph::Model& model, const graph::Model& teacher, const data::Dataset& data,
               std::int64_t batch);
  at::Tensor distilled(const std::vector<at::Tensor>& found, const std::vector<at::Tensor>& wanted) const;
  double judge_smaller(const at::Tensor& images, const std::vector<at::Tensor>& answers, std::int64_t step,
                       Mode mode);
  at::Tensor labelled(const at::Tensor& scores, const Batch& batch) const;

  const Recipe recipe_;
  const std::optional<Sandwich> sandwich_;
  std::optional<Network> teacher_;
  std::string input_, teacher_input_;
  std::vector<Head> heads_;
  std::vector<std::string> wanted_, teacher_wanted_;  // heads, then features that are matched
};

}  // namespace tailor::learn

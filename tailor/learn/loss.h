/// \file What is minimised, on libtorch's tensors. Private to the module.
#pragma once

#include "tailor/learn/aten.h"

#include <vector>

namespace tailor::learn {

/// Scores as N x C. @pre N x C x 1 x ...
at::Tensor rows(const at::Tensor& scores);

/// Mean cross entropy; a share `smoothing` of each label goes to all classes alike.
at::Tensor cross_entropy(const at::Tensor& scores, const std::vector<std::int64_t>& labels, double smoothing);

/// T^2 KL(softmax(teacher / T) || softmax(student / T)), mean over samples: its gradient does not vanish as T grows.
at::Tensor divergence(const at::Tensor& student, const at::Tensor& teacher, double temperature);

/// Mean squared difference as a share of the teacher's variance.
at::Tensor relative_distance(const at::Tensor& student, const at::Tensor& teacher);

/// How many rows have their largest score at the label.
std::int64_t count_correct(const at::Tensor& scores, const std::vector<std::int64_t>& labels);

}  // namespace tailor::learn

#include "tailor/learn/loss.h"

namespace tailor::learn {
namespace {

using at::Tensor;

Tensor as_tensor(const std::vector<std::int64_t>& labels) {
  return to_aten(graph::make_i64({static_cast<std::int64_t>(labels.size())}, labels), at::kFloat);
}

}  // namespace

Tensor rows(const Tensor& scores) { return scores.dim() > 2 ? scores.flatten(1) : scores; }

Tensor cross_entropy(const Tensor& scores, const std::vector<std::int64_t>& labels, double smoothing) {
  Tensor log_shares = at::log_softmax(rows(scores), 1);
  Tensor hit = -log_shares.gather(1, as_tensor(labels).unsqueeze(1)).mean();
  return smoothing == 0 ? hit : hit * (1 - smoothing) - log_shares.mean() * smoothing;
}

Tensor divergence(const Tensor& student, const Tensor& teacher, double temperature) {
  Tensor s = at::log_softmax(rows(student) / temperature, 1),
         t = at::log_softmax(rows(teacher) / temperature, 1);
  return (t.exp() * (t - s)).sum(1).mean() * (temperature * temperature);
}

Tensor relative_distance(const Tensor& student, const Tensor& teacher) {
  Tensor apart = student - teacher, around = teacher - teacher.mean();
  return (apart * apart).mean() / ((around * around).mean() + 1e-6);
}

std::int64_t count_correct(const Tensor& scores, const std::vector<std::int64_t>& labels) {
  return at::argmax(rows(scores.detach()), 1).eq(as_tensor(labels)).sum().item().toLong();
}

}  // namespace tailor::learn

#include "tailor/learn/optimiser.h"

#include <algorithm>
#include <cmath>

namespace tailor::learn {
namespace {

constexpr double kSecond = 0.999, kTiny = 1e-8;  // AdamW's second beta and epsilon

std::vector<at::Tensor> copies(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> result;
  for (const at::Tensor& tensor : tensors) result.push_back(tensor.detach().clone());
  return result;
}

}  // namespace

Optimiser::Optimiser(const Recipe& recipe, const std::vector<Parameter>& parameters,
                     std::vector<at::Tensor> weights)
    : recipe_(recipe), weights_(std::move(weights)) {
  for (const Parameter& p : parameters)
    if (!p.statistic()) decays_.push_back(p.decays());
  for (int moment = 0; moment < (recipe.rule == Rule::sgd ? 1 : 2); ++moment)
    for (const at::Tensor& weight : weights_) moments_.push_back(at::zeros_like(weight.detach()));
}

// All gradients together are brought to the largest norm allowed.
void Optimiser::clip() {
  if (recipe_.clip == 0) return;
  double squares = 0;
  for (const at::Tensor& weight : weights_)
    if (weight.grad().defined()) squares += at::sum(weight.grad() * weight.grad()).item().toDouble();
  double norm = std::sqrt(squares);
  if (!(norm > recipe_.clip)) return;
  for (const at::Tensor& weight : weights_)
    if (weight.grad().defined()) weight.mutable_grad().mul_(recipe_.clip / norm);
}

void Optimiser::follow(std::size_t i, double rate) {
  at::Tensor weight = weights_[i], gradient = weight.grad(), &first = moments_[i];
  double decay = decays_[i] ? recipe_.decay : 0;
  if (recipe_.rule == Rule::sgd) {
    if (decay > 0) gradient = gradient.add(weight, decay);
    first.mul_(recipe_.momentum).add_(gradient);
    weight.add_(recipe_.nesterov ? gradient.add(first, recipe_.momentum) : first, -rate);
    return;
  }
  at::Tensor& second = moments_[weights_.size() + i];
  auto n = static_cast<double>(steps_);
  weight.mul_(1 - rate * decay);
  first.mul_(recipe_.momentum).add_(gradient, 1 - recipe_.momentum);
  second.mul_(kSecond).addcmul_(gradient, gradient, 1 - kSecond);
  at::Tensor spread = second.sqrt().div_(std::sqrt(1 - std::pow(kSecond, n))).add_(kTiny);
  weight.addcdiv_(first, spread, -rate / (1 - std::pow(recipe_.momentum, n)));
}

void Optimiser::step(double rate) {
  at::NoGradGuard off;
  ++steps_;
  clip();
  for (std::size_t i = 0; i < weights_.size(); ++i)
    if (weights_[i].grad().defined()) follow(i, rate);
}

Average::Average(double decay, std::vector<at::Tensor> tensors)
    : decay_(decay), tensors_(std::move(tensors)), averages_(copies(tensors_)) {}

void Average::follow(std::int64_t step) {
  at::NoGradGuard off;
  auto n = static_cast<double>(step);
  double stays = std::min(decay_, (1 + n) / (10 + n));
  for (std::size_t i = 0; i < tensors_.size(); ++i) averages_[i].lerp_(tensors_[i], 1 - stays);
}

void Average::exchange() {
  at::NoGradGuard off;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    at::Tensor now = tensors_[i].detach().clone();
    tensors_[i].copy_(averages_[i]);
    averages_[i].copy_(now);
  }
}

}  // namespace tailor::learn

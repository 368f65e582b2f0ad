#include "tailor/learn/subject.h"

#include "tailor/base/error.h"
#include "tailor/learn/classes.h"
#include "tailor/learn/loss.h"
#include "tailor/learn/state.h"
#include "tailor/learn/supernet.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::learn {
namespace {

// Sums of two computed values that both models have by that name, in equal shape.
std::vector<std::string> shared_sums(const graph::Model& model, const graph::Shapes& shapes,
                                     const graph::Shapes& others) {
  std::vector<std::string> names;
  for (const graph::Node& node : model.graph.nodes) {
    if (node.op != "Add" && node.op != "Sum") continue;
    const std::string& name = node.output(0);
    const graph::Shape *here = shapes.shape(name), *there = others.shape(name);
    bool computed = std::none_of(node.inputs.begin(), node.inputs.end(),
                                 [&](const std::string& input) { return shapes.constant(input) != nullptr; });
    if (here && there && *here == *there && computed && here->size() > 1) names.push_back(name);
  }
  return names;
}

std::vector<std::string> values_of(const std::vector<Head>& heads) {
  std::vector<std::string> names;
  for (const Head& head : heads) names.push_back(head.value);
  return names;
}

void check_pair(const std::vector<Head>& ours, const std::vector<Head>& theirs) {
  bool same =
      std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(),
                 [](const Head& a, const Head& b) { return a.classes == b.classes && a.width == b.width; });
  if (!same)
    throw Error(Code::dataset_mismatch, "the two models' outputs do not correspond", "outputs",
                "distil from the model that this one was made from");
}

}  // namespace

Subject::Subject(const graph::Model& model, const Task& task, const Recipe& recipe, std::int64_t batch)
    : student(model), recipe_(recipe), sandwich_(task.sandwich), input_(only_input(model).name) {
  student.keep(task.keepings);
  student.round(task.activations);
  graph::Shapes shapes = shapes_for(model, *task.data, batch);
  heads_ = heads(model, shapes);
  wanted_ = values_of(heads_);
  if (recipe.objective.labels > 0) check_labels(*task.data, head(), recipe.label_offset);
  if (task.eval) check_labels(*task.eval, head(), recipe.label_offset);
  if (student.state().learned().empty())
    throw Error(Code::not_trainable, "the model has no weights that could learn", "model");
  if (task.teacher) pair_up(model, *task.teacher, *task.data, batch);
  if (!task.teacher && (recipe.objective.distill > 0 || recipe.objective.match > 0))
    throw Error(Code::bug, "distillation without a teacher");
}

void Subject::pair_up(const graph::Model& model, const graph::Model& teacher, const data::Dataset& data,
                      std::int64_t batch) {
  teacher_.emplace(teacher);
  teacher_input_ = only_input(teacher).name;
  graph::Shapes ours = shapes_for(model, data, batch), theirs = shapes_for(teacher, data, batch);
  std::vector<Head> their_heads = heads(teacher, theirs);
  check_pair(heads_, their_heads);
  teacher_wanted_ = values_of(their_heads);
  if (recipe_.objective.match == 0) return;
  std::vector<std::string> sums = shared_sums(model, ours, theirs);
  if (sums.empty())
    throw Error(Code::not_trainable, "the models have no sum of equal name and shape to match", "--match",
                "leave --match out");
  wanted_.insert(wanted_.end(), sums.begin(), sums.end());
  teacher_wanted_.insert(teacher_wanted_.end(), sums.begin(), sums.end());
}

at::Tensor Subject::labelled(const at::Tensor& scores, const Batch& batch) const {
  auto shifted = [&](std::vector<std::int64_t> labels) {
    for (std::int64_t& label : labels) label += recipe_.label_offset;
    return labels;
  };
  const Objective& o = recipe_.objective;
  at::Tensor own = cross_entropy(scores, shifted(batch.labels), o.smoothing);
  if (batch.mixed.empty()) return own * o.labels;
  return (own * batch.share + cross_entropy(scores, shifted(batch.mixed), o.smoothing) * (1 - batch.share)) *
         o.labels;
}

at::Tensor Subject::distilled(const std::vector<at::Tensor>& found,
                              const std::vector<at::Tensor>& wanted) const {
  const Objective& o = recipe_.objective;
  at::Tensor loss = at::zeros({}, found[0].options());
  for (std::size_t i = 0; i < heads_.size() && o.distill > 0; ++i)
    loss = loss + (heads_[i].classes ? divergence(found[i], wanted[i], o.temperature)
                                     : relative_distance(found[i], wanted[i])) *
                      o.distill;
  std::size_t features = found.size() - heads_.size();
  for (std::size_t i = heads_.size(); i < found.size(); ++i)
    loss = loss + relative_distance(found[i], wanted[i]) * (o.match / static_cast<double>(features));
  return loss;
}

// Each takes its gradient at once, so that one smaller network's values are kept at a time.
double Subject::judge_smaller(const at::Tensor& images, const std::vector<at::Tensor>& answers,
                              std::int64_t step, Mode mode) {
  double sum = 0;
  const std::vector<std::string> wanted = values_of(heads_);
  for (const graph::Model& carved : sandwich_->carved(step)) {
    Network smaller = borrowed(carved, student);
    std::vector<at::Tensor> found = smaller.state().forward({{input_, images}}, wanted, mode);
    at::Tensor loss = at::zeros({}, found[0].options());
    for (std::size_t i = 0; i < heads_.size(); ++i)
      loss = loss + (heads_[i].classes ? divergence(found[i], answers[i].detach(), sandwich_->temperature)
                                       : relative_distance(found[i], answers[i].detach()));
    loss.backward();
    sum += loss.item().toDouble();
  }
  return sum;
}

Verdict Subject::judge(const Batch& batch, std::int64_t step) {
  at::Tensor images = to_aten(batch.images, at::kFloat);
  Mode mode = recipe_.frozen_statistics ? Mode::frozen : Mode::train;
  std::vector<at::Tensor> found = student.state().forward({{input_, images}}, wanted_, mode), wanted;
  at::Tensor loss = at::zeros({}, found[0].options());
  std::vector<std::int64_t> labels = batch.labels;
  for (std::int64_t& label : labels) label += recipe_.label_offset;
  if (teacher_) {
    at::NoGradGuard off;
    wanted = teacher_->state().forward({{teacher_input_, images}}, teacher_wanted_, Mode::evaluate);
    if (recipe_.objective.labels == 0 && head().classes) {
      graph::Tensor guessed = from_aten(at::argmax(rows(wanted[0]), 1));
      labels = guessed.values<std::int64_t>();
    }
  }
  if (recipe_.objective.labels > 0) loss = loss + labelled(found[0], batch);
  if (teacher_) loss = loss + distilled(found, wanted);
  const double beside = sandwich_ ? judge_smaller(images, found, step, mode) : 0;
  return {loss, head().classes ? count_correct(found[0], labels) : 0, beside};
}

}  // namespace tailor::learn

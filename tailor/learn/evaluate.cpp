// Evaluation of class scores; labels are checked before anything is run.
#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/learn/classes.h"
#include "tailor/learn/loss.h"
#include "tailor/learn/state.h"
#include "tailor/learn/train.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::learn {

graph::Shapes shapes_for(const graph::Model& model, const data::Dataset& data, std::int64_t batch) {
  const graph::ValueInfo& input = only_input(model);
  graph::Shape shape = data.sample_shape();
  shape.insert(shape.begin(), batch);
  return graph::infer_shapes(with_free_batch(model), {{input.name, shape}});
}

void check_labels(const data::Dataset& data, const Head& head, std::int64_t offset) {
  if (!data.labelled())
    throw Error(Code::dataset_mismatch, "the samples have no labels", data.path().string(),
                "give labelled samples; without labels `tailor distill` learns from the original model");
  if (!head.classes)
    throw Error(Code::not_trainable, fmt::format("the output '{}' holds no scores of classes", head.value),
                "outputs", "without them `tailor distill` learns from the original model");
  for (std::int64_t label : data.labels())
    if (label + offset < 0 || label + offset >= head.width)
      throw Error(Code::dataset_mismatch,
                  fmt::format("label {} is none of the model's {} classes", label + offset, head.width),
                  data.path().string(), "--label-offset is added to each label");
}

Evaluation evaluate(Network& network, const Head& head, const data::Dataset& data, std::int64_t offset,
                    std::int64_t batch) {
  at::NoGradGuard off;
  Evaluation result;
  const std::string& input = only_input(network.state().model).name;
  double loss = 0;
  for (std::int64_t first = 0; first < data.size(); first += batch) {
    throw_if_interrupted();
    std::int64_t count = std::min(batch, data.size() - first);
    Feeds feeds = {{input, to_aten(data.batch(first, count), network.state().real)}};
    at::Tensor scores = network.state().forward(feeds, {head.value}, Mode::evaluate).at(0);
    std::vector<std::int64_t> labels(data.labels().begin() + first, data.labels().begin() + first + count);
    for (std::int64_t& label : labels) label += offset;
    loss += cross_entropy(scores, labels, 0).item().toDouble() * static_cast<double>(count);
    result.right += count_correct(scores, labels);
    result.samples += count;
  }
  result.loss = result.samples ? loss / static_cast<double>(result.samples) : 0;
  return result;
}

Evaluation evaluate(const graph::Model& model, const data::Dataset& data, std::int64_t offset,
                    std::int64_t batch, const RoundedActivations& activations) {
  Head head = heads(model, shapes_for(model, data, std::min(batch, data.size()))).front();
  check_labels(data, head, offset);
  Network network(model);
  network.round(activations);
  return evaluate(network, head, data, offset, batch);
}

}  // namespace tailor::learn

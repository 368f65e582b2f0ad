// tailor evaluate, and what the verbs share: threads, samples, scores as text.
#include "tailor/base/parallel.h"
#include "tailor/learn/head.h"
#include "tailor/learn/network.h"
#include "tailor/onnx/onnx.h"
#include "tailor/trainer/trainer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <numeric>

namespace tailor::trainer {

void use_threads(int threads) {
  if (threads < 0 || threads > 1024)
    throw Error(Code::bad_value, fmt::format("{} threads", threads), "--threads", "give 1 or more");
  learn::set_threads(threads == 0 ? cores() : threads);
}

data::Dataset read_samples(const std::filesystem::path& path,
                           const console::PreparationArguments& preparation, const graph::Model& model,
                           std::int64_t limit) {
  if (limit < 0) throw Error(Code::bad_value, "--limit must be positive", "--limit");
  graph::Shape sample = learn::only_input(model).shape.value_or(graph::Shape{});
  if (!sample.empty()) sample.erase(sample.begin());
  data::Dataset data = data::read_dataset(path, console::preparation_of(preparation), sample);
  if (limit == 0 || limit >= data.size()) return data;
  std::vector<std::int64_t> first(static_cast<std::size_t>(limit));
  std::iota(first.begin(), first.end(), std::int64_t{0});
  return data.subset(first);
}

std::string top1_text(const learn::Evaluation& e) {
  return fmt::format("{:.2f} % ({} of {})", 100 * e.top1(), e.right, e.samples);
}

Json evaluation_json(const learn::Evaluation& e) {
  return {{"samples", e.samples}, {"top1", e.top1()}, {"loss", e.loss}};
}

int evaluate(const Voice& voice, const EvaluateArguments& a) {
  if (a.batch < 1) throw Error(Code::bad_value, "--batch must be positive", "--batch");
  use_threads(a.threads);
  graph::Model model = onnx::read(a.model);
  data::Dataset data = read_samples(a.data, a.preparation, model, a.limit);
  learn::Evaluation found = learn::evaluate(model, data, a.label_offset, a.batch);
  if (!voice.json)
    return console::print(fmt::format("top-1  {}\nloss   {:.4f}\n", top1_text(found), found.loss)), 0;
  Json json = {{"schema", "tailor/evaluate/1"}, {"model", a.model.string()}, {"data", a.data.string()}};
  json.update(evaluation_json(found));
  console::print_document(json);
  return 0;
}

}  // namespace tailor::trainer

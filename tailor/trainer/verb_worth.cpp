// tailor worth: gradients once, as a file that `optimize --gradients` reads.
#include "tailor/base/file.h"
#include "tailor/learn/worth.h"
#include "tailor/onnx/onnx.h"
#include "tailor/trainer/trainer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::trainer {
namespace {

Json document(const WorthArguments& a, const learn::WorthResult& found) {
  Json values = Json::array();
  for (const learn::ChannelWorth& w : found.values)
    values.push_back({{"value", w.value}, {"taylor", w.taylor}, {"fisher", w.fisher}});
  return {{"schema", "tailor/worth/1"},
          {"model", a.model.string()},
          {"sha256", sha256(map_file(a.model))},
          {"data", a.data.string()},
          {"samples", found.samples},
          {"labels", found.labelled ? "given" : "own"},
          {"loss", found.loss},
          {"values", std::move(values)}};
}

}  // namespace

int worth(const Voice& voice, const WorthArguments& a) {
  if (a.batch < 1) throw Error(Code::bad_value, "--batch must be positive", "--batch");
  console::check_target(a.out);
  use_threads(a.threads);
  graph::Model model = onnx::read(a.model);
  data::Dataset data = read_samples(a.data, a.preparation, model, a.limit);
  const learn::WorthResult found = learn::channel_worth(model, data, a.label_offset, a.batch);
  const Json json = document(a, found);
  write_file(a.out, json.dump(1) + "\n");
  if (voice.json) return console::print_document(json), 0;
  console::print(
      fmt::format("wrote     {}: {} values, {} samples, labels {}, loss {:.4f}\n"
                  "          tailor optimize --criterion taylor|fisher --gradients {}\n",
                  a.out.string(), found.values.size(), found.samples,
                  found.labelled ? "given" : "by the model's own decisions", found.loss, a.out.string()));
  return 0;
}

}  // namespace tailor::trainer

// The description as cuDNN's text, the graph without a handle, the heuristics' list.
#include "runners/cuda/plan.h"

#include "runners/cuda/dnn.h"
#include "tailor/base/error.h"

#include <nlohmann/json.hpp>

namespace tailor::cuda {
namespace {

DnnDescriptor described_device(Libraries& libraries, const Facts& facts) {
  DnnDescriptor device(libraries, kDeviceProperties);
  device.set_text(kDeviceJson, dnn_device_text(facts));
  device.finalize();
  return device;
}

Json choice_json(const EngineChoice& choice, const char* mode) {
  Json knobs = Json::object();
  for (const auto& [name, value] : choice.knobs) knobs[name] = value;
  return {{"engine", choice.engine}, {"knobs", knobs}, {"tensor_cores", choice.tensor_cores}, {"mode", mode}};
}

// What all engines of one graph are asked in turn.
Json choices_of(Libraries& libraries, const ConvolutionGraph& graph, const DnnDescriptor& device,
                std::size_t most) {
  Json list = Json::array();
  for (auto [mode, name] : {std::pair{kHeuristicA, "A"}, std::pair{kHeuristicFallback, "fallback"}})
    for (const DnnDescriptor& config : engine_configs(libraries, graph, &device, mode)) {
      if (list.size() >= most) return list;
      list.push_back(choice_json(describe(config), name));
    }
  return list;
}

}  // namespace

Json plan_described(Libraries& libraries, const Facts& facts, const Layer& layer, std::size_t most) {
  if (layer.kind != LayerKind::conv)
    throw Error(Code::runtime_refused, "only convolutions can be planned for a device that is not there",
                layer.line);
  libraries.dnn();
  const DnnDescriptor device = described_device(libraries, facts);
  const FusedConvolution words = fusable_words(layer);
  Json choices = Json::array();
  std::size_t fused = words.fused.size();
  for (const Words& tried : {words.fused, Words{}}) {
    const ConvolutionGraph graph = convolution_graph(libraries, nullptr, layer, tried);
    choices = choices_of(libraries, graph, device, most);
    fused = tried.size();
    if (!choices.empty()) break;
  }
  if (choices.empty())
    throw Error(Code::runtime_refused, "cuDNN's heuristics name no engine for this convolution", layer.line);
  return {{"layer", layer.line}, {"library", "cuDNN"}, {"fused", fused}, {"choices", std::move(choices)}};
}

}  // namespace tailor::cuda

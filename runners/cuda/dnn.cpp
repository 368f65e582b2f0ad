// Descriptors, then the graph: tensors (channels last), the convolution, one pointwise operation per fused word, each
// reading the one before through a tensor that exists in the graph only; last the questions to the heuristics.
#include "runners/cuda/dnn.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tailor::cuda {
namespace {

using Dims = std::vector<std::int64_t>;

constexpr std::int64_t kMostConfigs = 100, kMostKnobs = 64;

// Of n x c x h x w with the channels closest together.
Dims channels_last(const Dims& d) { return {d[1] * d[2] * d[3], 1, d[1] * d[3], d[1]}; }

// Makes a graph's parts one by one.
class Builder {
 public:
  Builder(Libraries& libraries, ConvolutionGraph& graph) : libraries_(libraries), graph_(graph) {
    graph_.parts.reserve(64);  // references to parts stay good
  }

  DnnDescriptor& make(DescriptorKind kind) { return graph_.parts.emplace_back(libraries_, kind); }

  const DnnDescriptor& tensor(std::int64_t id, int type, const Dims& dims, bool inside = false) {
    DnnDescriptor& t = make(kTensor);
    constexpr std::int64_t kAlignment = 16;
    t.set(kTensorType, kTypeDataType, type);
    t.set(kTensorDims, kTypeInt64, dims), t.set(kTensorStrides, kTypeInt64, channels_last(dims));
    t.set(kTensorId, kTypeInt64, id), t.set(kTensorAlignment, kTypeInt64, kAlignment);
    if (inside) t.set(kTensorVirtual, kTypeBoolean, true);
    t.finalize();
    if (!inside) graph_.ids.push_back(id);
    return t;
  }
  const DnnDescriptor& inner(int type, const Dims& dims) { return tensor(next_inner_++, type, dims, true); }

  void pointwise(const DnnDescriptor& what, const DnnDescriptor& x, const DnnDescriptor* second,
                 const DnnDescriptor& y) {
    DnnDescriptor& operation = make(kPointwiseOperation);
    operation.set(kOperationPointwise, what);
    operation.set(kOperationX, x), operation.set(kOperationY, y);
    if (second) operation.set(kOperationB, *second);
    operation.finalize();
    operations_.push_back(operation.get());
  }
  void add_operation(const DnnDescriptor& operation) { operations_.push_back(operation.get()); }

  void finish(DnnHandle handle) {
    DnnDescriptor& whole = make(kOperationGraph);
    whole.set(kGraphOperations, kTypeDescriptor, operations_);
    if (handle) whole.set(kGraphHandle, kTypeHandle, handle);
    if (!whole.try_finalize()) throw Error(Code::runtime_refused, "cuDNN has no graph of this form");
  }

 private:
  Libraries& libraries_;
  ConvolutionGraph& graph_;
  std::vector<Descriptor> operations_;
  std::int64_t next_inner_ = 100;
};

const DnnDescriptor& convolution_text(Builder& build, const latency::Workload& w) {
  DnnDescriptor& text = build.make(kConvolution);
  constexpr std::int64_t kPlane = 2;
  text.set(kConvolutionType, kTypeDataType, w.type == graph::DataType::i8 ? kDnnInt32 : kDnnFloat);
  text.set(kConvolutionMode, kTypeConvolutionMode, kCrossCorrelation);
  text.set(kSpatialDims, kTypeInt64, kPlane);
  text.set(kDilations, kTypeInt64, Dims{w.dh, w.dw}), text.set(kStrides, kTypeInt64, Dims{w.sh, w.sw});
  text.set(kPrePaddings, kTypeInt64, Dims{w.pt, w.pl}), text.set(kPostPaddings, kTypeInt64, Dims{w.pb, w.pr});
  text.finalize();
  return text;
}

const DnnDescriptor& pointwise_text(Builder& build, const std::string& word) {
  const std::array<std::pair<const char*, int>, 8> kModes = {{{"bias", kAdd},
                                                              {"bn", kAdd},
                                                              {"add", kAdd},
                                                              {"relu", kReluForward},
                                                              {"clip", kReluForward},
                                                              {"leakyrelu", kReluForward},
                                                              {"sigmoid", kSigmoidForward},
                                                              {"tanh", kTanhForward}}};
  auto mode = std::find_if(kModes.begin(), kModes.end(), [&](const auto& m) { return word == m.first; });
  DnnDescriptor& text = build.make(kPointwise);
  text.set(kPointwiseMode, kTypePointwiseMode, mode->second);
  text.set(kPointwisePrecision, kTypeDataType, kDnnFloat);
  if (word == "clip") text.set(kReluUpperClip, kTypeDouble, 6.0);
  if (word == "leakyrelu") text.set(kReluSlope, kTypeDouble, 0.01);
  text.finalize();
  return text;
}

void add_convolution(Builder& build, const latency::Workload& w, const DnnDescriptor& x,
                     const DnnDescriptor& weights, const DnnDescriptor& y) {
  const DnnDescriptor& text = convolution_text(build, w);
  DnnDescriptor& forward = build.make(kConvolutionForward);
  const float one = 1, none = 0;
  forward.set(kForwardConvolution, text);
  forward.set(kForwardX, x), forward.set(kForwardW, weights), forward.set(kForwardY, y);
  forward.set(kForwardAlpha, kTypeFloat, one), forward.set(kForwardBeta, kTypeFloat, none);
  forward.finalize();
  build.add_operation(forward);
}

const char* knob_name(int type) {
  constexpr std::array kNames = {"SPLIT_K",
                                 "SWIZZLE",
                                 "TILE_SIZE",
                                 "USE_TEX",
                                 "EDGE",
                                 "KBLOCK",
                                 "LDGA",
                                 "LDGB",
                                 "CHUNK_K",
                                 "SPLIT_H",
                                 "WINO_TILE",
                                 "MULTIPLY",
                                 "SPLIT_K_BUF",
                                 "TILEK",
                                 "STAGES",
                                 "REDUCTION",
                                 "CTA_SPLIT_K_MODE",
                                 "SPLIT_K_SLC",
                                 "IDX_MODE",
                                 "SLICED",
                                 "SPLIT_RS",
                                 "SINGLEBUFFER",
                                 "LDGC",
                                 "SPECFILT",
                                 "KERNEL_CFG",
                                 "WORKSPACE",
                                 "TILE_CGA",
                                 "TILE_CGA_M",
                                 "TILE_CGA_N",
                                 "BLOCK_SIZE",
                                 "OCCUPANCY",
                                 "ARRAY_SIZE_PER_THREAD",
                                 "NUM_C_PER_BLOCK",
                                 "SPLIT_COLS",
                                 "TILE_ROWS",
                                 "TILE_COLS",
                                 "LOAD_SIZE",
                                 "CTA_COUNT",
                                 "STREAM_K",
                                 "SPLIT_P_SLC",
                                 "TILE_M",
                                 "TILE_N",
                                 "WARP_SPEC_CFG",
                                 "SWAP_AB"};
  return type >= 0 && type < static_cast<int>(kNames.size()) ? kNames[static_cast<std::size_t>(type)]
                                                             : "KNOB";
}

}  // namespace

int dnn_type(graph::DataType type) {
  switch (type) {
    case graph::DataType::f16:
      return kDnnHalf;
    case graph::DataType::bf16:
      return kDnnBf16;
    case graph::DataType::i8:
      return kDnnInt8;
    default:
      return kDnnFloat;
  }
}

DnnDescriptor::DnnDescriptor(Libraries& libraries, DescriptorKind kind) : libraries_(&libraries) {
  libraries.check_dnn(libraries.dnn().create_descriptor(kind, &descriptor_), "cudnnBackendCreateDescriptor");
}
DnnDescriptor::~DnnDescriptor() {
  if (descriptor_) libraries_->dnn().destroy_descriptor(descriptor_);
}
DnnDescriptor::DnnDescriptor(DnnDescriptor&& other) noexcept
    : libraries_(other.libraries_), descriptor_(std::exchange(other.descriptor_, nullptr)) {}
DnnDescriptor& DnnDescriptor::operator=(DnnDescriptor&& other) noexcept {
  std::swap(libraries_, other.libraries_), std::swap(descriptor_, other.descriptor_);
  return *this;
}

void DnnDescriptor::set_raw(AttributeName name, AttributeType type, std::int64_t count, const void* values) {
  const Status status = libraries_->dnn().set(descriptor_, name, type, count, values);
  if (status != 0)
    libraries_->check_dnn(status,
                          fmt::format("cudnnBackendSetAttribute({})", static_cast<int>(name)).c_str());
}

void DnnDescriptor::set_text(AttributeName name, const std::string& text) {
  set_raw(name, kTypeChar, static_cast<std::int64_t>(text.size()), text.data());
}

void DnnDescriptor::finalize() {
  libraries_->check_dnn(libraries_->dnn().finalize(descriptor_), "cudnnBackendFinalize");
}

bool DnnDescriptor::try_finalize() {
  const Status status = libraries_->dnn().finalize(descriptor_);
  if (status >= kDnnNotSupported && status < kDnnInternal) return false;
  libraries_->check_dnn(status, "cudnnBackendFinalize");
  return true;
}

std::size_t DnnDescriptor::read_raw(AttributeName name, AttributeType type, std::int64_t most,
                                    void* values) const {
  std::int64_t count = 0;
  const Status status = libraries_->dnn().get(descriptor_, name, type, most, &count, values);
  if (status >= kDnnNotSupported && status < kDnnInternal) return 0;
  libraries_->check_dnn(status, "cudnnBackendGetAttribute");
  return static_cast<std::size_t>(std::clamp<std::int64_t>(count, 0, most));
}

std::vector<DnnDescriptor> DnnDescriptor::read_descriptors(AttributeName name, DescriptorKind kind,
                                                           std::int64_t most) const {
  std::vector<DnnDescriptor> owners;
  std::vector<Descriptor> places;
  for (std::int64_t i = 0; i < most; ++i) places.push_back(owners.emplace_back(*libraries_, kind).get());
  const std::size_t count = read_raw(name, kTypeDescriptor, most, places.data());
  owners.erase(owners.begin() + static_cast<std::ptrdiff_t>(count), owners.end());
  return owners;
}

FusedConvolution fusable_words(const Layer& layer) {
  constexpr std::array kFusable = {"bias", "bn", "add", "relu", "clip", "leakyrelu", "sigmoid", "tanh"};
  FusedConvolution words;
  for (const std::string& word : layer.post) {
    const bool fits =
        words.rest.empty() && std::find(kFusable.begin(), kFusable.end(), word) != kFusable.end();
    // Convolution, batch normalisation and bias are one affine map: one sum per channel.
    const bool again = (word == "bn" || word == "bias") && !words.fused.empty() &&
                       (words.fused.back() == "bias" || words.fused.back() == "bn");
    if (!again) (fits ? words.fused : words.rest).push_back(word);
  }
  // Both are sums; engines that fuse both take the residual first.
  for (std::size_t i = 0; i + 1 < words.fused.size(); ++i)
    if ((words.fused[i] == "bias" || words.fused[i] == "bn") && words.fused[i + 1] == "add")
      std::swap(words.fused[i], words.fused[i + 1]);
  return words;
}

ConvolutionGraph convolution_graph(Libraries& libraries, DnnHandle handle, const Layer& layer,
                                   const Words& fused) {
  const latency::Workload& w = layer.sizes;
  const int type = dnn_type(w.type);
  const bool eight = w.type == graph::DataType::i8;
  const Dims out = {w.mb, w.oc, w.oh, w.ow};
  ConvolutionGraph graph;
  Builder build(libraries, graph);
  const DnnDescriptor& x = build.tensor(kIdX, type, {w.mb, w.ic, w.ih, w.iw});
  const DnnDescriptor& weights = build.tensor(kIdWeights, type, {w.oc, w.ic / w.g, w.kh, w.kw});
  const DnnDescriptor& y = build.tensor(kIdY, type, out);
  const DnnDescriptor* last = fused.empty() ? &y : &build.inner(eight ? kDnnInt32 : kDnnFloat, out);
  add_convolution(build, w, x, weights, *last);
  for (std::size_t i = 0; i < fused.size(); ++i) {
    const std::string& word = fused[i];
    const DnnDescriptor* second = nullptr;
    if (word == "bias" || word == "bn")
      second = &build.tensor(kIdBias, eight ? kDnnFloat : type, {1, w.oc, 1, 1});
    if (word == "add") second = &build.tensor(kIdResidual, type, out);
    const DnnDescriptor* next = i + 1 == fused.size() ? &y : &build.inner(kDnnFloat, out);
    build.pointwise(pointwise_text(build, word), *last, second, *next);
    last = next;
  }
  build.finish(handle);
  return graph;
}

std::vector<DnnDescriptor> engine_configs(Libraries& libraries, const ConvolutionGraph& graph,
                                          const DnnDescriptor* device, int mode) {
  DnnDescriptor heuristic(libraries, kHeuristic);
  heuristic.set(kHeuristicGraph, graph.graph());
  heuristic.set(kHeuristicMode, kTypeHeuristicMode, mode);
  if (device) heuristic.set(kHeuristicDevice, *device);
  if (!heuristic.try_finalize()) return {};
  return heuristic.read_descriptors(kHeuristicResults, kEngineConfig, kMostConfigs);
}

EngineChoice describe(const DnnDescriptor& config) {
  EngineChoice choice;
  for (const DnnDescriptor& engine : config.read_descriptors(kConfigEngine, kEngine, 1)) {
    for (std::int64_t index : engine.read<std::int64_t>(kEngineIndex, kTypeInt64, 1)) choice.engine = index;
    for (int note : engine.read<int>(kEngineNotes, kTypeNote, 32))
      if (note == kNoteTensorCore) choice.tensor_cores = true;
  }
  for (const DnnDescriptor& knob : config.read_descriptors(kConfigKnobs, kKnobChoice, kMostKnobs)) {
    const auto type = knob.read<int>(kKnobType, kTypeKnob, 1);
    const auto value = knob.read<std::int64_t>(kKnobValue, kTypeInt64, 1);
    if (!type.empty() && !value.empty()) choice.knobs.emplace_back(knob_name(type[0]), value[0]);
  }
  return choice;
}

std::string to_string(const EngineChoice& choice) {
  std::string text = fmt::format("engine {}", choice.engine);
  for (const auto& [name, value] : choice.knobs) text += fmt::format(", {} {}", name, value);
  return text;
}

}  // namespace tailor::cuda

// libcublasLt and libcudnn as far as the runner uses them. A product is cut into tiles of 128 x 128, a convolution into
// tiles of 64 x 64; a block's time follows from its multiply-accumulates.
#include "tests/cuda/fake_device.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>

using namespace tailor::cuda;
using fake::device;
using fake::handle;
using fake::number;

namespace {

constexpr Status kBlasInvalid = 7, kDnnBad = 2000;

int ceil_div(std::int64_t a, std::int64_t b) { return static_cast<int>((a + b - 1) / b); }

// One multiprocessor does 1024 multiply-accumulates of 16 bits per clock of 1.98 GHz, 128 of 32 bits.
double block_us(std::int64_t macs, bool wide) {
  return static_cast<double>(macs) / (wide ? 128 : 1024) / 1980;
}

struct Layout {
  int type = 0;
  std::uint64_t rows = 0, columns = 0;
  std::int32_t batches = 1;
  std::size_t bytes() const {
    const std::size_t each = type == kReal32F ? 4 : type == kReal8I ? 1 : 2;
    return each * rows * columns * static_cast<std::size_t>(batches);
  }
};
struct Text {
  int compute = 0;
  std::uint32_t epilogue = kPlain;
  Address bias = 0;
};
std::map<std::uintptr_t, Layout> layouts;
std::map<std::uintptr_t, Text> texts;

std::uint64_t rows_of(MatrixLayout layout) { return layouts[number(layout)].rows; }
std::uint64_t columns_of(MatrixLayout layout) { return layouts[number(layout)].columns; }

}  // namespace

extern "C" {

std::size_t cublasLtGetVersion() { return 130000; }
Status cublasLtCreate(BlasHandle* blas) {
  FAKE_CALLED(cublasLtCreate);
  return *blas = handle<BlasHandle>(device().make("blas")), 0;
}
Status cublasLtDestroy(BlasHandle blas) { return device().release("blas", number(blas)) ? 0 : 1; }
Status cublasLtMatmulDescCreate(MatmulText* text, int compute, int) {
  FAKE_CALLED(cublasLtMatmulDescCreate);
  *text = handle<MatmulText>(device().make("product"));
  return texts[number(*text)].compute = compute, 0;
}
Status cublasLtMatmulDescDestroy(MatmulText text) {
  return device().release("product", number(text)) ? 0 : 1;
}
Status cublasLtMatmulDescSetAttribute(MatmulText text, int attribute, const void* value, std::size_t bytes) {
  FAKE_CALLED(cublasLtMatmulDescSetAttribute);
  if (!device().known("product", number(text))) return kBlasInvalid;
  if (attribute == kEpilogue && bytes == 4) std::memcpy(&texts[number(text)].epilogue, value, 4);
  if (attribute == kBiasPointer && bytes == 8) std::memcpy(&texts[number(text)].bias, value, 8);
  return 0;
}
Status cublasLtMatrixLayoutCreate(MatrixLayout* layout, int type, std::uint64_t rows, std::uint64_t columns,
                                  std::int64_t stride) {
  FAKE_CALLED(cublasLtMatrixLayoutCreate);
  if (static_cast<std::uint64_t>(stride) != rows) device().misuse("a matrix with gaps");
  *layout = handle<MatrixLayout>(device().make("layout"));
  layouts[number(*layout)] = {type, rows, columns, 1};
  return 0;
}
Status cublasLtMatrixLayoutDestroy(MatrixLayout layout) {
  return device().release("layout", number(layout)) ? 0 : 1;
}
Status cublasLtMatrixLayoutSetAttribute(MatrixLayout layout, int attribute, const void* value, std::size_t) {
  FAKE_CALLED(cublasLtMatrixLayoutSetAttribute);
  if (attribute == kBatchCount) std::memcpy(&layouts[number(layout)].batches, value, sizeof(std::int32_t));
  return 0;
}
Status cublasLtMatmulPreferenceCreate(MatmulPreference* preference) {
  FAKE_CALLED(cublasLtMatmulPreferenceCreate);
  return *preference = handle<MatmulPreference>(device().make("preference")), 0;
}
Status cublasLtMatmulPreferenceDestroy(MatmulPreference preference) {
  return device().release("preference", number(preference)) ? 0 : 1;
}
Status cublasLtMatmulPreferenceSetAttribute(MatmulPreference, int, const void*, std::size_t) {
  FAKE_CALLED(cublasLtMatmulPreferenceSetAttribute);
  return 0;
}
Status cublasLtMatmulAlgoGetHeuristic(BlasHandle blas, MatmulText text, MatrixLayout a, MatrixLayout b,
                                      MatrixLayout c, MatrixLayout d, MatmulPreference, int most,
                                      MatmulChoice* choices, int* found) {
  FAKE_CALLED(cublasLtMatmulAlgoGetHeuristic);
  const bool good = device().known("blas", number(blas)) && device().known("product", number(text)) &&
                    most > 0 && rows_of(a) == rows_of(b) && rows_of(d) == columns_of(a) &&
                    columns_of(d) == columns_of(b) && rows_of(c) == rows_of(d);
  if (!good) return device().misuse("matrices that do not fit each other"), kBlasInvalid;
  choices[0] = {};
  choices[0].algorithm.opaque[0] = 20;  // 128 x 128
  choices[0].workspace = 1 << 20;
  const double blocks = static_cast<double>(ceil_div(static_cast<std::int64_t>(rows_of(d)), 128)) *
                        ceil_div(static_cast<std::int64_t>(columns_of(d)), 128);
  choices[0].waves = static_cast<float>(blocks / device().setting("sms", 132));
  return *found = 1, 0;
}
Status cublasLtMatmulAlgoConfigGetAttribute(const MatmulAlgorithm* algorithm, int attribute, void* value,
                                            std::size_t bytes, std::size_t* written) {
  FAKE_CALLED(cublasLtMatmulAlgoConfigGetAttribute);
  const std::uint32_t answer = attribute == kTileId ? static_cast<std::uint32_t>(algorithm->opaque[0]) : 1;
  std::memcpy(value, &answer, std::min(bytes, sizeof answer));
  return *written = sizeof answer, 0;
}
Status cublasLtMatmul(BlasHandle blas, MatmulText text, const void*, const void* a, MatrixLayout la,
                      const void* b, MatrixLayout lb, const void*, const void* c, MatrixLayout lc, void* d,
                      MatrixLayout ld, const MatmulAlgorithm*, void* workspace, std::size_t workspace_bytes,
                      Stream stream) {
  FAKE_CALLED(cublasLtMatmul);
  if (!device().known("blas", number(blas))) return kBlasInvalid;
  device().check_memory(number(a), layouts[number(la)].bytes(), "cublasLtMatmul A");
  device().check_memory(number(b), layouts[number(lb)].bytes(), "cublasLtMatmul B");
  device().check_memory(number(c), layouts[number(lc)].bytes(), "cublasLtMatmul C");
  device().check_memory(number(d), layouts[number(ld)].bytes(), "cublasLtMatmul D");
  if (workspace_bytes > 0)
    device().check_memory(number(workspace), workspace_bytes, "cublasLtMatmul workspace");
  const Text& t = texts[number(text)];
  if (t.epilogue & kBias) device().check_memory(t.bias, 2 * rows_of(ld), "cublasLtMatmul bias");
  fake::Kernel kernel;
  kernel.name = "fake_gemm_128x128";
  kernel.grid = {ceil_div(static_cast<std::int64_t>(rows_of(ld)), 128),
                 ceil_div(static_cast<std::int64_t>(columns_of(ld)), 128), layouts[number(ld)].batches};
  kernel.shared = 196608;  // one block per multiprocessor
  kernel.block_us = block_us(std::int64_t{128} * 128 * static_cast<std::int64_t>(rows_of(la)),
                             t.compute == kCompute32F && layouts[number(la)].type == kReal32F);
  return device().launch(stream, kernel);
}

}  // extern "C"

// --- cuDNN ----------------------------------------------------------------------------------------------------------
namespace {

struct Attributes {
  DescriptorKind kind = kTensor;
  bool final = false;
  std::map<int, std::vector<std::uint8_t>> values;

  std::vector<std::int64_t> numbers(int name) const {
    auto it = values.find(name);
    if (it == values.end()) return {};
    std::vector<std::int64_t> list(it->second.size() / 8);
    if (!list.empty()) std::memcpy(list.data(), it->second.data(), 8 * list.size());
    return list;
  }
  int integer(int name) const {
    auto it = values.find(name);
    int value = 0;
    if (it != values.end() && it->second.size() >= 4) std::memcpy(&value, it->second.data(), 4);
    return value;
  }
};
// What a plan keeps of its graph: the graph itself may be gone when it runs.
struct ConvolutionPlan {
  std::vector<std::int64_t> x, w, y;
  bool wide = false;
  int operations = 0;
  std::map<std::int64_t, std::size_t> bytes;  // of the tensors that have memory
};
std::map<std::uintptr_t, Attributes> descriptors;
std::map<std::uintptr_t, ConvolutionPlan> plans;
std::uintptr_t stream_of_dnn = 0;

Attributes& at(std::uintptr_t descriptor) { return descriptors[descriptor]; }

std::vector<std::int64_t> dims_of(std::int64_t tensor) {
  return at(static_cast<std::uintptr_t>(tensor)).numbers(kTensorDims);
}

std::size_t tensor_bytes(const Attributes& tensor) {
  std::size_t bytes = tensor.integer(kTensorType) == kDnnFloat  ? 4
                      : tensor.integer(kTensorType) == kDnnInt8 ? 1
                                                                : 2;
  for (std::int64_t dim : tensor.numbers(kTensorDims)) bytes *= static_cast<std::size_t>(dim);
  return bytes;
}

ConvolutionPlan plan_of(std::uintptr_t graph) {
  ConvolutionPlan plan;
  for (std::int64_t each : at(graph).numbers(kGraphOperations)) {
    const Attributes& operation = at(static_cast<std::uintptr_t>(each));
    ++plan.operations;
    for (const auto& [name, value] : operation.values)
      for (std::int64_t tensor : operation.numbers(name)) {
        auto found = descriptors.find(static_cast<std::uintptr_t>(tensor));
        if (found == descriptors.end() || found->second.kind != kTensor) continue;
        if (!found->second.values.contains(kTensorVirtual))
          plan.bytes[found->second.numbers(kTensorId)[0]] = tensor_bytes(found->second);
      }
    if (operation.kind != kConvolutionForward) continue;
    const auto x = operation.numbers(kForwardX), w = operation.numbers(kForwardW),
               y = operation.numbers(kForwardY);
    plan.x = dims_of(x[0]), plan.w = dims_of(w[0]), plan.y = dims_of(y[0]);
    plan.wide = at(static_cast<std::uintptr_t>(x[0])).integer(kTensorType) == kDnnFloat;
  }
  return plan;
}

// Every descriptor that another one names must be finished.
bool parts_are_final(const Attributes& whole) {
  for (const auto& [name, value] : whole.values)
    for (std::int64_t each : whole.numbers(name)) {
      auto found = descriptors.find(static_cast<std::uintptr_t>(each));
      if (found != descriptors.end() && !found->second.final) return false;
    }
  return true;
}

Status finalize_graph(std::uintptr_t graph) {
  const ConvolutionPlan plan = plan_of(graph);
  if (plan.x.size() != 4 || plan.w.size() != 4 || plan.y.size() != 4) return kDnnBad;
  const bool fits = plan.x[1] % plan.w[1] == 0 && plan.y[1] == plan.w[0] && plan.x[0] == plan.y[0];
  return fits ? 0 : kDnnBad;
}

void copy_out(const void* from, std::size_t bytes, std::int64_t count, std::int64_t* written, void* to) {
  if (to) std::memcpy(to, from, bytes);
  *written = count;
}

// Ranked engines of a graph: 45 with tensor cores, 1 without them.
Status results(const Attributes& heuristic, std::int64_t most, std::int64_t* count, void* places) {
  const auto graph = static_cast<std::uintptr_t>(heuristic.numbers(kHeuristicGraph)[0]);
  const ConvolutionPlan plan = plan_of(graph);
  std::vector<std::int64_t> engines = {45, 1};
  if (device().setting("tensor_only", 0)) engines = {45};
  if (heuristic.integer(kHeuristicMode) == kHeuristicFallback) engines = {engines.back()};
  if (device().setting("unfused", 0) && plan.operations > 1) engines.clear();
  *count = std::min<std::int64_t>(most, static_cast<std::int64_t>(engines.size()));
  auto* configs = static_cast<Descriptor*>(places);
  for (std::int64_t i = 0; i < *count; ++i) {
    Attributes& config = at(number(configs[i]));
    config.final = true;
    const std::int64_t engine = engines[static_cast<std::size_t>(i)], from = static_cast<std::int64_t>(graph);
    config.values[kEngineIndex].assign(reinterpret_cast<const std::uint8_t*>(&engine),
                                       reinterpret_cast<const std::uint8_t*>(&engine) + 8);
    config.values[kHeuristicGraph].assign(reinterpret_cast<const std::uint8_t*>(&from),
                                          reinterpret_cast<const std::uint8_t*>(&from) + 8);
    plans[number(configs[i])] = plan;
  }
  return 0;
}

Status read_config(const Attributes& config, AttributeName name, std::int64_t* count, void* places) {
  auto* parts = static_cast<Descriptor*>(places);
  Attributes& part = at(number(parts[0]));
  part.final = true;
  if (name == kConfigEngine) {
    part.values[kEngineIndex] = config.values.at(kEngineIndex);
  } else {
    const std::int32_t type = 2;  // TILE_SIZE
    const std::int64_t value = 5;
    part.values[kKnobType].assign(reinterpret_cast<const std::uint8_t*>(&type),
                                  reinterpret_cast<const std::uint8_t*>(&type) + 4);
    part.values[kKnobValue].assign(reinterpret_cast<const std::uint8_t*>(&value),
                                   reinterpret_cast<const std::uint8_t*>(&value) + 8);
  }
  return *count = 1, 0;
}

fake::Kernel convolution_kernel(const ConvolutionPlan& plan) {
  const std::int64_t groups = plan.x[1] / plan.w[1], step = device().setting("channel_step", 1);
  const std::int64_t k = ceil_div(plan.w[1], step) * step * plan.w[2] * plan.w[3];
  fake::Kernel kernel;
  kernel.name = "fake_fprop_64x64";
  kernel.grid = {ceil_div(plan.y[0] * plan.y[2] * plan.y[3], 64), ceil_div(plan.y[1] / groups, 64),
                 static_cast<int>(groups)};
  kernel.shared = 196608;
  kernel.block_us = block_us(std::int64_t{64} * 64 * k, plan.wide);
  return kernel;
}

}  // namespace

extern "C" {

std::size_t cudnnGetVersion() { return 91300; }
const char* cudnnGetErrorString(Status) { return "a fake failure of cuDNN"; }
void cudnnGetLastErrorString(char* text, std::size_t bytes) {
  std::strncpy(text, "as it was told to", bytes);
}
Status cudnnCreate(DnnHandle* dnn) {
  FAKE_CALLED(cudnnCreate);
  return *dnn = handle<DnnHandle>(device().make("dnn")), 0;
}
Status cudnnDestroy(DnnHandle dnn) { return device().release("dnn", number(dnn)) ? 0 : kDnnBad; }
Status cudnnSetStream(DnnHandle dnn, Stream stream) {
  FAKE_CALLED(cudnnSetStream);
  if (!device().known("dnn", number(dnn)) || !device().stream(stream)) return kDnnBad;
  return stream_of_dnn = number(stream), 0;
}
Status cudnnBackendCreateDescriptor(DescriptorKind kind, Descriptor* descriptor) {
  FAKE_CALLED(cudnnBackendCreateDescriptor);
  *descriptor = handle<Descriptor>(device().make("descriptor"));
  return at(number(*descriptor)).kind = kind, 0;
}
Status cudnnBackendDestroyDescriptor(Descriptor descriptor) {
  descriptors.erase(number(descriptor));
  return device().release("descriptor", number(descriptor)) ? 0 : kDnnBad;
}
Status cudnnBackendSetAttribute(Descriptor descriptor, AttributeName name, AttributeType type,
                                std::int64_t count, const void* values) {
  FAKE_CALLED(cudnnBackendSetAttribute);
  if (!device().known("descriptor", number(descriptor))) return kDnnBad;
  Attributes& attributes = at(number(descriptor));
  if (attributes.final) return device().misuse("a finished descriptor is changed"), kDnnBad;
  const bool small = type == kTypeBoolean || type == kTypeChar;
  const bool word = type == kTypeDataType || type == kTypeConvolutionMode || type == kTypeHeuristicMode ||
                    type == kTypeFloat || type == kTypePointwiseMode;
  const auto bytes = static_cast<std::size_t>(count) * (small ? 1 : word ? 4 : 8);
  const auto* from = static_cast<const std::uint8_t*>(values);
  attributes.values[name].assign(from, from + bytes);
  if (type == kTypeDescriptor)
    for (std::int64_t part : attributes.numbers(name))
      device().known("descriptor", static_cast<std::uintptr_t>(part));
  return 0;
}
Status cudnnBackendFinalize(Descriptor descriptor) {
  FAKE_CALLED(cudnnBackendFinalize);
  if (!device().known("descriptor", number(descriptor))) return kDnnBad;
  Attributes& attributes = at(number(descriptor));
  if (!parts_are_final(attributes)) return device().misuse("a part is not finished"), kDnnBad;
  if (attributes.kind == kOperationGraph)
    if (Status status = finalize_graph(number(descriptor))) return status;
  if (attributes.kind == kExecutionPlan) {
    const auto config = attributes.numbers(kPlanConfig);
    if (config.empty()) return kDnnBad;
    plans[number(descriptor)] = plans[static_cast<std::uintptr_t>(config[0])];
  }
  return attributes.final = true, 0;
}
Status cudnnBackendGetAttribute(Descriptor descriptor, AttributeName name, AttributeType, std::int64_t most,
                                std::int64_t* count, void* values) {
  FAKE_CALLED(cudnnBackendGetAttribute);
  if (!device().known("descriptor", number(descriptor))) return kDnnBad;
  const Attributes& attributes = at(number(descriptor));
  if (!attributes.final) return device().misuse("an unfinished descriptor is read"), kDnnBad;
  if (name == kHeuristicResults) return results(attributes, most, count, values);
  if (name == kConfigEngine || name == kConfigKnobs) return read_config(attributes, name, count, values);
  if (name == kPlanWorkspace) {
    const std::int64_t bytes = plans[number(descriptor)].wide ? 0 : 1 << 20;
    return copy_out(&bytes, 8, 1, count, values), 0;
  }
  if (name == kEngineNotes) {
    const std::int32_t note = kNoteTensorCore;
    const std::int64_t notes = attributes.numbers(kEngineIndex)[0] == 45 ? 1 : 0;
    return copy_out(&note, notes ? 4 : 0, notes, count, values), 0;
  }
  auto found = attributes.values.find(name);
  if (found == attributes.values.end()) return *count = 0, 0;
  return copy_out(found->second.data(), found->second.size(), 1, count, values), 0;
}
Status cudnnBackendExecute(DnnHandle dnn, Descriptor plan, Descriptor pack) {
  FAKE_CALLED(cudnnBackendExecute);
  if (!device().known("dnn", number(dnn)) || !at(number(plan)).final || !at(number(pack)).final)
    return kDnnBad;
  const ConvolutionPlan& what = plans[number(plan)];
  const auto ids = at(number(pack)).numbers(kPackIds), pointers = at(number(pack)).numbers(kPackPointers);
  if (ids.size() != pointers.size() || ids.size() != what.bytes.size())
    return device().misuse("a plan is run with other tensors than its own"), kDnnBad;
  for (std::size_t i = 0; i < ids.size(); ++i)
    device().check_memory(static_cast<Address>(pointers[i]), what.bytes.at(ids[i]), "cudnnBackendExecute");
  return device().launch(handle<Stream>(stream_of_dnn), convolution_kernel(what));
}

Status cudnnCreateTensorDescriptor(TensorText* tensor) {
  FAKE_CALLED(cudnnCreateTensorDescriptor);
  return *tensor = handle<TensorText>(device().make("tensor")), 0;
}
Status cudnnDestroyTensorDescriptor(TensorText tensor) {
  return device().release("tensor", number(tensor)) ? 0 : kDnnBad;
}
Status cudnnSetTensor4dDescriptor(TensorText tensor, int, int, int n, int c, int h, int w) {
  FAKE_CALLED(cudnnSetTensor4dDescriptor);
  return device().known("tensor", number(tensor)) && n > 0 && c > 0 && h > 0 && w > 0 ? 0 : kDnnBad;
}
Status cudnnCreatePoolingDescriptor(PoolingText* pooling) {
  FAKE_CALLED(cudnnCreatePoolingDescriptor);
  return *pooling = handle<PoolingText>(device().make("pooling")), 0;
}
Status cudnnDestroyPoolingDescriptor(PoolingText pooling) {
  return device().release("pooling", number(pooling)) ? 0 : kDnnBad;
}
Status cudnnSetPooling2dDescriptor(PoolingText pooling, int, int, int, int, int, int, int, int) {
  FAKE_CALLED(cudnnSetPooling2dDescriptor);
  return device().known("pooling", number(pooling)) ? 0 : kDnnBad;
}
Status cudnnPoolingForward(DnnHandle dnn, PoolingText, const void*, TensorText, const void* x, const void*,
                           TensorText, void* y) {
  FAKE_CALLED(cudnnPoolingForward);
  if (!device().known("dnn", number(dnn))) return kDnnBad;
  device().check_memory(number(x), 1, "cudnnPoolingForward");
  device().check_memory(number(y), 1, "cudnnPoolingForward");
  fake::Kernel kernel;
  kernel.name = "fake_pooling";
  kernel.grid = {64, 1, 1}, kernel.shared = 0, kernel.per_multiprocessor = 8;
  return device().launch(handle<Stream>(stream_of_dnn), kernel);
}

}  // extern "C"

// Products by cuBLASLt. Rows lie one after the other: y[m][n] = x[m][k] w[n][k]. To cuBLASLt, which counts columns first,
// that is y' = w'^T x', the one arrangement that all types have. The library's first choice is taken, as frameworks do.
#include "runners/cuda/operation.h"
#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace tailor::cuda {
namespace {

using latency::Workload;

constexpr std::size_t kWorkspace = std::size_t{32} << 20;  // what the library's guide asks for on Hopper

struct Types {
  int data, bias, scale, compute, out;
};
Types types_of(const Layer& layer) {
  switch (layer.sizes.type) {
    case graph::DataType::f16:
      return {kReal16F, kReal16F, kReal32F, kCompute32F, kReal16F};
    case graph::DataType::bf16:
      return {kReal16BF, kReal16BF, kReal32F, kCompute32F, kReal16BF};
    case graph::DataType::i8:
      return {kReal8I, kReal32F, kReal32F, kCompute32I, kReal8I};
    default:
      return {kReal32F, kReal32F, kReal32F, layer.tf32 ? kComputeTf32 : kCompute32F, kReal32F};
  }
}

// Everything that the library needs to know of one product, released together.
struct Product {
  Product(Gpu& gpu, const Layer& layer);
  ~Product();
  void describe();  // apart from the constructor: what it made before a failure is released
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  template <class T>
  void set(int attribute, const T& value) {
    gpu.libraries().check_blas(blas.set_text(text, attribute, &value, sizeof value),
                               "cublasLtMatmulDescSetAttribute");
  }
  void set_batches(MatrixLayout layout, std::int32_t count, std::int64_t stride);
  void choose();
  std::string choice() const;
  void multiply(const Operands& operands);

  Gpu& gpu;
  const BlasFunctions& blas;
  Types types;
  std::int64_t m, n, k, batches;
  bool adds = false;  // the residual goes into the product's own sum
  std::uint32_t epilogue = kPlain;
  MatmulText text = nullptr;
  MatrixLayout w = nullptr, x = nullptr, y = nullptr;
  MatmulPreference preference = nullptr;
  MatmulChoice chosen;
};

// The words at the front of the layer's that the product itself can do, in the order in which it does them: add, bias,
// activation.
struct Fused {
  bool add = false, bias = false;
  std::uint32_t activation = 0;
  Words rest;
};
Fused fused_words(const Layer& layer) {
  Fused fused;
  // Eight-bit sums are scaled before they are stored; what follows is done by a kernel of its own.
  bool open = layer.sizes.type != graph::DataType::i8 && layer.kind == LayerKind::gemm;
  for (const std::string& word : layer.post) {
    const bool bias = word == "bias" || word == "bn";
    if (open && !fused.activation && bias)
      fused.bias = true;
    else if (open && !fused.activation && word == "add")
      fused.add = true;
    else if (open && !fused.activation && (word == "relu" || word == "gelu"))
      fused.activation = word == "relu" ? kRelu : kGelu;
    else
      open = false, fused.rest.push_back(word);
  }
  return fused;
}

Product::Product(Gpu& g, const Layer& layer)
    : gpu(g),
      blas(g.libraries().blas()),
      types(types_of(layer)),
      m(layer.sizes.mb),
      n(layer.sizes.oc),
      k(layer.sizes.ic),
      batches(layer.kind == LayerKind::batched_gemm ? layer.sizes.g : 1) {
  const Fused fused = fused_words(layer);
  adds = fused.add;
  epilogue = (fused.bias ? kBias : 0u) | fused.activation;
  if (epilogue == 0) epilogue = kPlain;
}

void Product::describe() {
  Libraries& libraries = gpu.libraries();
  libraries.check_blas(blas.create_text(&text, types.compute, types.scale), "cublasLtMatmulDescCreate");
  const std::int32_t transpose = 1;
  set(kTransposeA, transpose), set(kEpilogue, epilogue);
  auto layout = [&](MatrixLayout& made, int type, std::int64_t rows, std::int64_t columns) {
    libraries.check_blas(blas.create_layout(&made, type, static_cast<std::uint64_t>(rows),
                                            static_cast<std::uint64_t>(columns), rows),
                         "cublasLtMatrixLayoutCreate");
  };
  layout(w, types.data, k, n), layout(x, types.data, k, m), layout(y, types.out, n, m);
  if (batches > 1) {
    const auto count = static_cast<std::int32_t>(batches);
    set_batches(w, count, k * n), set_batches(x, count, k * m), set_batches(y, count, n * m);
  }
  libraries.check_blas(blas.create_preference(&preference), "cublasLtMatmulPreferenceCreate");
  blas.set_preference(preference, kMaxWorkspace, &kWorkspace, sizeof kWorkspace);
}

Product::~Product() {
  if (preference) blas.destroy_preference(preference);
  for (MatrixLayout layout : {w, x, y})
    if (layout) blas.destroy_layout(layout);
  if (text) blas.destroy_text(text);
}

void Product::set_batches(MatrixLayout layout, std::int32_t count, std::int64_t stride) {
  Libraries& libraries = gpu.libraries();
  libraries.check_blas(blas.set_layout(layout, kBatchCount, &count, sizeof count),
                       "cublasLtMatrixLayoutSetAttribute");
  libraries.check_blas(blas.set_layout(layout, kBatchStride, &stride, sizeof stride),
                       "cublasLtMatrixLayoutSetAttribute");
}

void Product::choose() {
  int found = 0;
  const Status status = blas.choose(gpu.blas(), text, w, x, y, y, preference, 1, &chosen, &found);
  if (status != 0 || found == 0)
    throw Error(Code::runtime_refused,
                fmt::format("cuBLASLt has no kernel for this product (status {})", status));
}

std::string Product::choice() const {
  auto read = [&](int attribute) {
    std::uint32_t value = 0;
    std::size_t written = 0;
    blas.read_algorithm(&chosen.algorithm, attribute, &value, sizeof value, &written);
    return value;
  };
  return fmt::format("tile id {}, stages id {}, split {}, {:.2f} waves", read(kTileId), read(kStagesId),
                     read(kSplitK), static_cast<double>(chosen.waves));
}

void Product::multiply(const Operands& o) {
  auto at = [](Address address) { return reinterpret_cast<void*>(address); };
  if (epilogue & kBias) set(kBiasPointer, o.bias);
  const float one = 1, none = 0;
  const float* beta = adds ? &one : &none;
  gpu.libraries().check_blas(
      blas.multiply(gpu.blas(), text, &one, at(o.weights), w, at(o.x), x, beta, at(adds ? o.residual : o.y),
                    y, at(o.y), y, &chosen.algorithm, at(gpu.workspace(chosen.workspace)), chosen.workspace,
                    gpu.stream()),
      "cublasLtMatmul");
}

}  // namespace

Operation prepare_gemm(Gpu& gpu, const Layer& layer) {
  auto product = std::make_shared<Product>(gpu, layer);
  product->describe();
  product->choose();
  const Workload& w = layer.sizes;
  Operation operation{operand_sizes(layer), "cuBLASLt", product->choice(), product->chosen.workspace, {}};
  const Words rest = fused_words(layer).rest;
  if (rest.empty()) {
    operation.enqueue = [product](const Operands& operands) { product->multiply(operands); };
    return operation;
  }
  operation.library = "cuBLASLt + own";
  auto after =
      elementwise(gpu, {std::max<std::int64_t>(1, product->batches) * w.mb * w.oc, w.oc, w.type, rest});
  operation.enqueue = [product, after](const Operands& operands) {
    product->multiply(operands);
    after(operands.y, operands);
  };
  return operation;
}

}  // namespace tailor::cuda

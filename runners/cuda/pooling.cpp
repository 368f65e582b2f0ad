// Pooling by cuDNN, channels last.
#include "runners/cuda/dnn.h"
#include "runners/cuda/operation.h"
#include "tailor/base/error.h"

#include <fmt/format.h>

namespace tailor::cuda {
namespace {

struct Pooling {
  explicit Pooling(Gpu& g) : gpu(g), dnn(g.libraries().dnn()) {}
  ~Pooling();
  void describe(const Layer& layer);
  Pooling(const Pooling&) = delete;
  Pooling& operator=(const Pooling&) = delete;
  void run(const Operands& operands);

  Gpu& gpu;
  const DnnFunctions& dnn;
  PoolingText text = nullptr;
  TensorText x = nullptr, y = nullptr;
};

void Pooling::describe(const Layer& layer) {
  const latency::Workload& w = layer.sizes;
  Libraries& libraries = gpu.libraries();
  auto size = [](std::int64_t value) { return static_cast<int>(value); };
  auto tensor = [&](TensorText& made, std::int64_t h, std::int64_t width) {
    libraries.check_dnn(dnn.create_tensor(&made), "cudnnCreateTensorDescriptor");
    libraries.check_dnn(
        dnn.set_tensor(made, kNhwc, dnn_type(w.type), size(w.mb), size(w.ic), size(h), size(width)),
        "cudnnSetTensor4dDescriptor");
  };
  tensor(x, w.ih, w.iw), tensor(y, w.oh, w.ow);
  libraries.check_dnn(dnn.create_pooling(&text), "cudnnCreatePoolingDescriptor");
  const int mode = layer.kind == LayerKind::pool_max ? kPoolMax : kPoolAverage;
  libraries.check_dnn(dnn.set_pooling(text, mode, kIgnoreNan, size(w.kh), size(w.kw), size(w.pt), size(w.pl),
                                      size(w.sh), size(w.sw)),
                      "cudnnSetPooling2dDescriptor");
}

Pooling::~Pooling() {
  if (text) dnn.destroy_pooling(text);
  if (x) dnn.destroy_tensor(x);
  if (y) dnn.destroy_tensor(y);
}

void Pooling::run(const Operands& o) {
  const float one = 1, none = 0;
  gpu.libraries().check_dnn(dnn.pool(gpu.dnn(), text, &one, x, reinterpret_cast<const void*>(o.x), &none, y,
                                     reinterpret_cast<void*>(o.y)),
                            "cudnnPoolingForward");
}

// cuDNN gives (in + 2 pad - window) / stride + 1; a network that rounds up, or pads one side more, has another size.
void check_size(const Layer& layer) {
  const latency::Workload& w = layer.sizes;
  const bool fits =
      (w.ih + 2 * w.pt - w.kh) / w.sh + 1 == w.oh && (w.iw + 2 * w.pl - w.kw) / w.sw + 1 == w.ow;
  if (!fits)
    throw Error(Code::runtime_refused,
                "cuDNN's pooling gives another size (it pads both sides alike and rounds down)", layer.line);
}

}  // namespace

Operation prepare_pooling(Gpu& gpu, const Layer& layer) {
  check_size(layer);
  if (!layer.post.empty()) throw Error(Code::runtime_refused, "nothing is fused into pooling", layer.line);
  auto pooling = std::make_shared<Pooling>(gpu);
  pooling->describe(layer);
  gpu.dnn();
  return {operand_sizes(layer), "cuDNN", "", 0, [pooling](const Operands& o) { pooling->run(o); }};
}

}  // namespace tailor::cuda

// Builder makes one way of running a layer: one convolution or product between reorderings. OneDnn::kernel builds both
// ways and keeps the faster.
#include "runners/kernels/onednn.h"

#include "runners/onednn/library.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::kernels {
namespace {

using onednn::check;
using onednn::Dimensions;
using onednn::Library;
using onednn::Memory;
using onednn::PrimitiveDescriptor;
using onednn::TensorDescriptor;

bool has(const latency::Workload& w, const std::string& word) {
  const std::string post = "+" + w.post + "+";
  return post.find("+" + word + "+") != std::string::npos;
}

// Everything that one way of running a layer holds.
struct Way {
  onednn::Belongings parts;
  std::function<void()> run;
  std::string name;
};

// The shapes of a layer as the library wants them.
struct Operation {
  int dimensions = 4, layout = onednn::kNchw;
  Dimensions source = {}, weights = {}, bias = {}, result = {};
};

Operation operation_of(const latency::Workload& w) {
  if (w.kind == latency::Kind::conv)
    return {4,      onednn::kNchw,           {w.mb, w.ic, w.ih, w.iw}, {w.oc, w.ic, w.kh, w.kw},
            {w.oc}, {w.mb, w.oc, w.oh, w.ow}};
  return {2, onednn::kRowMajor, {w.mb, w.ic}, {w.ic, w.oc}, {1, w.oc}, {w.mb, w.oc}};
}

class Builder {
 public:
  Builder(const Library& library, const Layer& layer, float* out)
      : f_(library), layer_(layer), out_(out), shapes_(operation_of(layer.workload)) {}

  // One way; with `own` the library chooses the layout of the activations too.
  std::shared_ptr<Way> make(bool own) {
    way_ = std::make_shared<Way>();
    const PrimitiveDescriptor descriptor = describe(own ? onednn::kAnyLayout : shapes_.layout);
    const char* name = "";
    check(f_.ask(descriptor, onednn::kAskName, 0, &name), "name");
    const TensorDescriptor plain_source = tensor(shapes_.source, shapes_.layout),
                           plain_result = tensor(shapes_.result, shapes_.layout);
    Memory source = memory(plain_source, input()), result = memory(plain_result, out_);
    const TensorDescriptor *own_source = f_.ask_tensor(descriptor, onednn::kAskSource, 0),
                           *own_result = f_.ask_tensor(descriptor, onednn::kAskResult, 0);
    std::vector<std::function<void()>> steps;
    if (!layer_.residual.empty()) steps.push_back(copy_residual());
    Memory from = source, to = result;
    if (!f_.equal(own_source, &plain_source))
      from = memory(*own_source), steps.push_back(reordering(plain_source, source, *own_source, from));
    if (!f_.equal(own_result, &plain_result)) {
      to = memory(*own_result);
      if (!layer_.residual.empty()) steps.push_back(reordering(plain_result, result, *own_result, to));
    }
    steps.push_back(primitive(descriptor, from, to));
    if (to != result) steps.push_back(reordering(*own_result, to, plain_result, result));
    way_->name = fmt::format("{}{}", name, from != source || to != result ? ", reordered" : "");
    way_->run = [&f = f_, steps = std::move(steps)] {
      for (const auto& step : steps) step();
      f.stream_wait(f.stream);
    };
    return way_;
  }

 private:
  float* input() const { return const_cast<float*>(layer_.input.data()); }  // only read by the library

  TensorDescriptor tensor(const Dimensions& sizes, int layout, int dimensions = 0) const {
    TensorDescriptor made;
    check(
        f_.tensor(&made, dimensions ? dimensions : shapes_.dimensions, sizes.data(), onednn::kFloat, layout),
        "tensor");
    return made;
  }
  Memory memory(const TensorDescriptor& of, void* at = nullptr) { return way_->parts.memory(f_, of, at); }
  onednn::Attributes attributes() {
    const onednn::PostOps post = way_->parts.post_ops(f_);
    if (!layer_.residual.empty()) check(f_.post_sum(post, 1), "sum");
    if (has(layer_.workload, "relu")) check(f_.post_eltwise(post, 1, onednn::kRelu, 0, 0), "relu");
    if (has(layer_.workload, "clip")) check(f_.post_eltwise(post, 1, onednn::kClip, 0, 6), "clip");
    return way_->parts.attributes(f_, post);
  }
  PrimitiveDescriptor describe(int layout) {
    const latency::Workload& w = layer_.workload;
    const bool conv = w.kind == latency::Kind::conv, with_bias = !layer_.bias.empty();
    const TensorDescriptor source = tensor(shapes_.source, layout),
                           weights = tensor(shapes_.weights, onednn::kAnyLayout),
                           result = tensor(shapes_.result, layout), bias = bias_tensor();
    const TensorDescriptor* optional = with_bias ? &bias : nullptr;
    onednn::OperationDescriptor operation;
    const Dimensions strides = {w.sh, w.sw}, dilation = {w.dh - 1, w.dw - 1}, before = {w.pt, w.pl},
                     after = {w.pb, w.pr};
    if (conv)
      check(f_.convolution(&operation, onednn::kForwardInference, onednn::kDirect, &source, &weights,
                           optional, &result, strides.data(), dilation.data(), before.data(), after.data()),
            "convolution");
    else
      check(f_.product(&operation, &source, &weights, optional, &result), "product");
    return way_->parts.primitive(f_, operation, attributes());
  }
  TensorDescriptor bias_tensor() const {
    return layer_.workload.kind == latency::Kind::conv ? tensor(shapes_.bias, onednn::kVector, 1)
                                                       : tensor(shapes_.bias, onednn::kRowMajor);
  }
  std::function<void()> reordering(const TensorDescriptor& of, Memory from, const TensorDescriptor& as,
                                   Memory to) {
    return way_->parts.execution(f_, way_->parts.reordering(f_, of, as),
                                 {{onednn::kSource, from}, {onednn::kResult, to}});
  }
  std::function<void()> primitive(PrimitiveDescriptor descriptor, Memory from, Memory to) {
    const TensorDescriptor& packed = *f_.ask_tensor(descriptor, onednn::kAskWeights, 0);
    const TensorDescriptor plain = tensor(shapes_.weights, shapes_.layout);
    Memory given = memory(plain, const_cast<float*>(layer_.weights.data())), weights = memory(packed);
    reordering(plain, given, packed, weights)();
    std::vector<onednn::Argument> arguments = {
        {onednn::kSource, from}, {onednn::kWeights, weights}, {onednn::kResult, to}};
    if (!layer_.bias.empty())
      arguments.push_back({onednn::kBias, memory(bias_tensor(), const_cast<float*>(layer_.bias.data()))});
    return way_->parts.execution(f_, descriptor, std::move(arguments));
  }
  std::function<void()> copy_residual() const {
    return [this_out = out_, &residual = layer_.residual] {
      std::copy(residual.begin(), residual.end(), this_out);
    };
  }

  const Library& f_;
  const Layer& layer_;
  float* out_;
  Operation shapes_;
  std::shared_ptr<Way> way_;
};

double least_us(const Way& way) {
  double best = 1e300;
  for (int i = 0; i < 5; ++i) {
    const double begin = thread_us();
    way.run();
    best = std::min(best, thread_us() - begin);
  }
  return best;
}

}  // namespace

OneDnn::OneDnn(const std::string& path) : library_(std::make_unique<Library>(path)) {}
OneDnn::~OneDnn() = default;
const std::string& OneDnn::version() const { return library_->version; }

Kernel OneDnn::kernel(const Layer& layer) const {
  auto out = std::make_shared<std::vector<float>>(layer.expected.size());
  Builder builder(*library_, layer, out->data());
  std::shared_ptr<Way> way = builder.make(false);
  if (layer.workload.kind == latency::Kind::conv)
    if (std::shared_ptr<Way> own = builder.make(true); least_us(*own) < least_us(*way)) way = std::move(own);
  const std::string name = fmt::format("onednn {}: {}", version(), way->name);
  return {[way](int, int) { way->run(); }, out, name};
}

}  // namespace tailor::kernels

// Builder: tensors of a layer as the library describes them (all by strides, so that no layout has a name here but the
// library's own of the weights), then one primitive, or several for elementwise operations in a row.
#include "runners/onednn/operation.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>

namespace tailor::onednn {
namespace {

int number_of(Type type) {
  switch (type) {
    case Type::f32:
      return kFloat;
    case Type::bf16:
      return kBf16;
    case Type::s8:
      return kS8;
    case Type::u8:
      return kU8;
  }
  return kFloat;
}

bool in_levels(const Layer& layer) { return is_level(layer.reads); }

// Where the library halves weights that meet signed activations (processors without VNNI), they are given doubled.
bool doubled(const Layer& layer, int weight_bits) { return layer.reads == Type::s8 && weight_bits < 8; }

class Builder {
 public:
  Builder(const Library& library, const Layer& layer, const Parameters& parameters, const Places& places,
          int weight_bits)
      : f_(library), layer_(layer), w_(layer.sizes), p_(parameters), at_(places), bits_(weight_bits) {}

  Operation make() {
    switch (layer_.kind) {
      case LayerKind::convolution:
        add_convolution();
        break;
      case LayerKind::elementwise:
        add_elementwise();
        break;
      case LayerKind::reorder:
        add_reorder();
        break;
      case LayerKind::pool_max:
      case LayerKind::pool_average:
        add_pooling();
        break;
    }
    return {[steps = std::move(steps_), parts = parts_] {
              for (const auto& step : steps) step();
            },
            name_};
  }

 private:
  TensorDescriptor pixels(Type type, std::int64_t c, std::int64_t h, std::int64_t w,
                          bool nchw = false) const {
    const Dimensions sizes = {w_.mb, c, h, w};
    const Dimensions strides = nchw ? Dimensions{c * h * w, h * w, w, 1} : Dimensions{c * h * w, 1, w * c, c};
    TensorDescriptor made;
    check(f_.strided(&made, 4, sizes.data(), number_of(type), strides.data()), "tensor");
    return made;
  }
  TensorDescriptor read(bool nchw = false) const { return pixels(layer_.reads, w_.ic, w_.ih, w_.iw, nchw); }
  TensorDescriptor written() const { return pixels(layer_.writes, w_.oc, w_.oh, w_.ow); }
  TensorDescriptor vector(std::int64_t n) const {
    TensorDescriptor made;
    const Dimensions sizes = {n};
    check(f_.tensor(&made, 1, sizes.data(), kFloat, kVector), "tensor");
    return made;
  }

  // oc, ic, kh, kw; the groups in front where there are several. `any`: as the library likes them.
  TensorDescriptor weights(Type type, bool any) const {
    const std::int64_t g = w_.g, oc = w_.oc / g, ic = w_.ic / g, taps = w_.kh * w_.kw;
    const bool grouped = g > 1;
    const Dimensions sizes = grouped ? Dimensions{g, oc, ic, w_.kh, w_.kw} : Dimensions{oc, ic, w_.kh, w_.kw};
    const Dimensions strides = grouped ? Dimensions{oc * ic * taps, ic * taps, taps, w_.kw, 1}
                                       : Dimensions{ic * taps, taps, w_.kw, 1};
    TensorDescriptor made;
    if (any)
      check(f_.tensor(&made, grouped ? 5 : 4, sizes.data(), number_of(type), kAnyLayout), "tensor");
    else
      check(f_.strided(&made, grouped ? 5 : 4, sizes.data(), number_of(type), strides.data()), "tensor");
    return made;
  }

  void append(PostOps post, const std::string& word) const {
    auto eltwise = [&](int kind, float alpha = 0, float beta = 0) {
      check(f_.post_eltwise(post, 1, kind, alpha, beta), word.c_str());
    };
    const bool alike = layer_.residual == layer_.writes;
    if (word == "add" && alike) check(f_.post_sum(post, p_.residual_scale), "sum");
    if (word == "add" && !alike)
      check(f_.post_sum_of(post, p_.residual_scale, number_of(layer_.residual)), "sum");
    if (word == "relu") eltwise(kRelu);
    if (word == "clip") eltwise(kClip, 0, p_.limit);
    if (word == "leakyrelu") eltwise(kRelu, 0.01f);
    if (word == "sigmoid") eltwise(kLogistic);
    if (word == "tanh") eltwise(kTanh);
    if (word == "hardswish") eltwise(kHardSwish);
    if (word == "gelu") eltwise(kGelu);
  }

  Attributes attributes() {
    const PostOps post = parts_->post_ops(f_);
    for (const std::string& word : layer_.post) append(post, word);
    const Attributes made = parts_->attributes(f_, post);
    if (!in_levels(layer_)) return made;
    std::vector<float> scale = p_.scale;
    if (doubled(layer_, bits_))
      for (float& s : scale) s /= 2;
    constexpr int kPerChannel = 2;
    check(f_.set_scales(made, static_cast<std::int64_t>(scale.size()), kPerChannel, scale.data()), "scales");
    return made;
  }

  // The weights in the library's own layout, made once.
  Memory packed_weights(const TensorDescriptor& wanted) {
    const Type type = in_levels(layer_) ? Type::s8 : Type::f32;
    const TensorDescriptor plain = weights(type, false);
    Memory packed = parts_->memory(f_, wanted);
    Belongings once;
    std::vector<std::int8_t> levels;
    void* given = const_cast<float*>(p_.weights.data());
    if (type == Type::s8) {
      for (float level : p_.weights)
        levels.push_back(static_cast<std::int8_t>(level * (doubled(layer_, bits_) ? 2 : 1)));
      given = levels.data();
    }
    once.execution(f_, once.reordering(f_, plain, wanted),
                   {{kSource, once.memory(f_, plain, given)}, {kResult, packed}})();
    f_.stream_wait(f_.stream);
    return packed;
  }

  void add_convolution() {
    const TensorDescriptor x = read(), y = written(),
                           any = weights(in_levels(layer_) ? Type::s8 : layer_.reads, true),
                           bias = vector(w_.oc);
    const Dimensions strides = {w_.sh, w_.sw}, dilation = {w_.dh - 1, w_.dw - 1}, before = {w_.pt, w_.pl},
                     after = {w_.pb, w_.pr};
    OperationDescriptor operation;
    check(f_.convolution(&operation, kForwardInference, kDirect, &x, &any, p_.bias.empty() ? nullptr : &bias,
                         &y, strides.data(), dilation.data(), before.data(), after.data()),
          "convolution");
    const PrimitiveDescriptor made = parts_->primitive(f_, operation, attributes());
    ask_name(made);
    std::vector<Argument> arguments = {{kSource, parts_->memory(f_, x, at_.x)},
                                       {kWeights, packed_weights(*f_.ask_tensor(made, kAskWeights, 0))},
                                       {kResult, parts_->memory(f_, y, at_.y)}};
    if (!p_.bias.empty()) {
      biases_ = std::make_shared<std::vector<float>>(p_.bias);
      if (doubled(layer_, bits_))
        for (float& b : *biases_) b *= 2;
      arguments.push_back({kBias, parts_->memory(f_, bias, biases_->data())});
    }
    if (has_post(layer_, "add") && at_.residual != at_.y) add_copy();
    steps_.push_back([step = parts_->execution(f_, made, std::move(arguments)), keep = biases_] { step(); });
  }

  // The library adds to what lies in the result's place.
  void add_copy() {
    const std::size_t bytes = static_cast<std::size_t>(elements_written(layer_)) * size_of(layer_.writes);
    steps_.push_back([to = at_.y, from = at_.residual, bytes] { std::memcpy(to, from, bytes); });
  }

  void add_pooling() {
    const TensorDescriptor x = read(), y = written();
    const Dimensions strides = {w_.sh, w_.sw}, window = {w_.kh, w_.kw}, before = {w_.pt, w_.pl},
                     after = {w_.pb, w_.pr};
    OperationDescriptor operation;
    check(f_.pooling(&operation, kForwardInference,
                     layer_.kind == LayerKind::pool_max ? kPoolMax : kPoolAverage, &x, &y, strides.data(),
                     window.data(), before.data(), after.data()),
          "pooling");
    const PrimitiveDescriptor made = parts_->primitive(f_, operation, nullptr);
    ask_name(made);
    add_step(made, x, at_.x, y);
  }

  void add_reorder() {
    const TensorDescriptor x = read(layer_.from_nchw), y = written();
    const Attributes made = parts_->attributes(f_, nullptr);
    const bool from = is_level(layer_.reads), to = is_level(layer_.writes);
    const float scale = from == to ? 1 : to ? kLevelsPerUnit : 1 / kLevelsPerUnit;
    check(f_.set_scales(made, 1, 0, &scale), "scales");
    const PrimitiveDescriptor reordering = parts_->reordering(f_, x, y, made);
    ask_name(reordering);
    add_step(reordering, x, at_.x, y);
  }

  // Word by word: the first reads x, the others what the one before wrote.
  void add_elementwise() {
    const TensorDescriptor all = vector(elements_written(layer_));
    void* from = at_.x;
    for (const std::string& word : layer_.post) {
      OperationDescriptor operation;
      if (word == "add" || word == "mul") {
        check(f_.binary(&operation, word == "add" ? kBinaryAdd : kBinaryMul, &all, &all, &all), "binary");
        const PrimitiveDescriptor made = parts_->primitive(f_, operation, nullptr);
        ask_name(made);
        steps_.push_back(parts_->execution(f_, made,
                                           {{kSource, parts_->memory(f_, all, from)},
                                            {kSource1, parts_->memory(f_, all, at_.residual)},
                                            {kResult, parts_->memory(f_, all, at_.y)}}));
      } else {
        check(elementwise_of(word, all, operation), word.c_str());
        const PrimitiveDescriptor made = parts_->primitive(f_, operation, nullptr);
        ask_name(made);
        add_step(made, all, from, all);
      }
      from = at_.y;
    }
  }
  Status elementwise_of(const std::string& word, const TensorDescriptor& all,
                        OperationDescriptor& operation) const {
    auto of = [&](int kind, float alpha = 0, float beta = 0) {
      return f_.elementwise(&operation, kForwardInference, kind, &all, alpha, beta);
    };
    if (word == "relu") return of(kRelu);
    if (word == "clip") return of(kClip, 0, 6);
    if (word == "leakyrelu") return of(kRelu, 0.01f);
    if (word == "sigmoid") return of(kLogistic);
    if (word == "tanh") return of(kTanh);
    if (word == "hardswish") return of(kHardSwish);
    if (word == "gelu") return of(kGelu);
    return of(kLinear, 1, 0.125f);  // a bias
  }

  void add_step(PrimitiveDescriptor made, const TensorDescriptor& x, void* from, const TensorDescriptor& y) {
    steps_.push_back(parts_->execution(
        f_, made, {{kSource, parts_->memory(f_, x, from)}, {kResult, parts_->memory(f_, y, at_.y)}}));
  }
  void ask_name(PrimitiveDescriptor made) {
    const char* name = "";
    check(f_.ask(made, kAskName, 0, &name), "name");
    name_ += (name_.empty() ? "" : ", ") + std::string(name);
  }

  const Library& f_;
  const Layer& layer_;
  const latency::Workload& w_;
  const Parameters& p_;
  Places at_;
  int bits_;
  std::shared_ptr<Belongings> parts_ = std::make_shared<Belongings>();
  std::shared_ptr<std::vector<float>> biases_;
  std::vector<std::function<void()>> steps_;
  std::string name_;
};

}  // namespace

Parameters draw_parameters(const Layer& layer, int weight_bits, std::uint64_t seed) {
  const latency::Workload& w = layer.sizes;
  if (layer.kind != LayerKind::convolution) return {};
  Random random(seed + static_cast<std::uint64_t>(w.oc * 1009 + w.ic));
  Parameters p;
  const auto row = static_cast<double>(w.ic / w.g * w.kh * w.kw);
  const bool levels = in_levels(layer);
  p.most = weight_bits < 8 ? 63 : 127;
  p.weights.resize(static_cast<std::size_t>(w.oc) * static_cast<std::size_t>(row));
  // Of independent products with operands of mean square 1, a sum over the row has this size.
  const double spread = levels ? p.most : 1 / std::sqrt(row);
  for (float& x : p.weights) {
    const double drawn = random.uniform(-spread, spread);
    x = static_cast<float>(levels ? std::nearbyint(drawn) : drawn);
  }
  const double size = levels ? std::sqrt(row) * p.most * 100 : 1;  // of the sums
  if (has_post(layer, "bias") || has_post(layer, "bn"))
    for (std::int64_t c = 0; c < w.oc; ++c)
      p.bias.push_back(static_cast<float>(random.uniform(-size, size) / 8));
  const bool to_levels = is_level(layer.writes);
  if (levels)
    for (std::int64_t c = 0; c < w.oc; ++c)
      p.scale.push_back(static_cast<float>((to_levels ? 60 : 1) / size * random.uniform(0.5, 1.5)));
  if (to_levels) p.residual_scale = 0.5f, p.limit = 6 * kLevelsPerUnit;
  return p;
}

Operation make_operation(const Library& library, const Layer& layer, const Parameters& parameters,
                         const Places& places, int weight_bits) {
  return Builder(library, layer, parameters, places, weight_bits).make();
}

}  // namespace tailor::onednn

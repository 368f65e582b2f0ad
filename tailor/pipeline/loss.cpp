// divergence: softened Kullback-Leibler where outputs are logits, relative squared error where they are other
// floats, the share of differing bytes else. agreement: the share of equal largest outputs.
#include "tailor/pipeline/loss.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

namespace tailor::pipeline {
namespace {

using graph::Tensor;

bool is_logits(const Tensor& t) {
  return t.type == graph::DataType::f32 && t.dims.size() == 2 && t.dims[1] > 1;
}

// Softened, as in distillation (Hinton et al., arXiv:1503.02531): on samples that a network has memorised the
// plain softmax is nearly one-hot and hides what happens to the other classes.
constexpr double kTemperature = 4;

std::vector<double> log_softmax(std::span<const float> row) {
  double top = *std::max_element(row.begin(), row.end()), sum = 0;
  for (float v : row) sum += std::exp((v - top) / kTemperature);
  std::vector<double> out;
  for (float v : row) out.push_back((v - top) / kTemperature - std::log(sum));
  return out;
}

double mean_kl(const Tensor& a, const Tensor& b) {
  std::vector<float> x = a.values<float>(), y = b.values<float>();
  auto classes = static_cast<std::size_t>(a.dims[1]), samples = x.size() / classes;
  double sum = 0;
  for (std::size_t s = 0; s < samples; ++s) {
    auto p = log_softmax(std::span(x).subspan(s * classes, classes)),
         q = log_softmax(std::span(y).subspan(s * classes, classes));
    for (std::size_t c = 0; c < classes; ++c) sum += std::exp(p[c]) * (p[c] - q[c]);
  }
  return sum / static_cast<double>(std::max<std::size_t>(samples, 1));
}

double relative_error(const Tensor& a, const Tensor& b) {
  std::vector<float> x = *graph::as_floats(a), y = *graph::as_floats(b);
  double mean = 0, variance = 0, error = 0;
  for (float v : x) mean += v;
  mean /= static_cast<double>(std::max<std::size_t>(x.size(), 1));
  for (std::size_t i = 0; i < x.size(); ++i)
    variance += (x[i] - mean) * (x[i] - mean), error += (x[i] - y[i]) * (x[i] - y[i]);
  return error / std::max(variance, 1e-30);
}

double differing_bytes(const Tensor& a, const Tensor& b) {
  std::size_t width = std::max<std::size_t>(graph::element_size(a.type), 1), count = a.data.size() / width,
              differ = 0;
  for (std::size_t i = 0; i < count; ++i)
    differ += std::memcmp(a.data.data() + i * width, b.data.data() + i * width, width) != 0;
  return count ? static_cast<double>(differ) / static_cast<double>(count) : 0;
}

// A network that computes NaN or infinity where the original does not is lost; comparisons with NaN must not
// hide it.
double finite_loss(double loss) { return std::isfinite(loss) ? std::clamp(loss, 0.0, kHopeless) : kHopeless; }

double one(const Tensor& a, const Tensor& b) {
  if (a.dims != b.dims || a.type != b.type) return kHopeless;
  if (a.data == b.data) return 0;
  if (is_logits(a)) return finite_loss(mean_kl(a, b));
  return graph::as_floats(a) ? finite_loss(relative_error(a, b)) : differing_bytes(a, b);
}

double same_top(const Tensor& a, const Tensor& b) {
  if (a.dims != b.dims || a.type != b.type) return 0;
  std::vector<float> x = a.values<float>(), y = b.values<float>();
  auto classes = static_cast<std::ptrdiff_t>(a.dims[1]);
  std::size_t same = 0, samples = x.size() / static_cast<std::size_t>(classes);
  for (std::size_t s = 0; s < samples; ++s) {
    auto row = [&](const std::vector<float>& v) {
      return std::span(v).subspan(s * static_cast<std::size_t>(classes), static_cast<std::size_t>(classes));
    };
    auto top = [&](const std::vector<float>& v) {
      return std::max_element(row(v).begin(), row(v).end()) - row(v).begin();
    };
    bool nan = std::any_of(row(y).begin(), row(y).end(), [](float v) { return std::isnan(v); });
    same += !nan && top(x) == top(y);
  }
  return samples ? static_cast<double>(same) / static_cast<double>(samples) : 1;
}

template <class F>
double average(const runtime::NamedTensors& a, const runtime::NamedTensors& b, F f) {
  TAILOR_CHECK(a.size() == b.size() && !a.empty());
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += f(a[i].second, b[i].second);
  return sum / static_cast<double>(a.size());
}

}  // namespace

double divergence(const runtime::NamedTensors& original, const runtime::NamedTensors& changed) {
  return average(original, changed, one);
}

double agreement(const runtime::NamedTensors& original, const runtime::NamedTensors& changed) {
  return average(original, changed, [](const Tensor& a, const Tensor& b) {
    return is_logits(a) ? same_top(a, b) : std::max(0.0, 1 - one(a, b));
  });
}

}  // namespace tailor::pipeline

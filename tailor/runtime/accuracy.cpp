#include "tailor/runtime/accuracy.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::runtime {
namespace {

using Row = std::span<const float>;

struct Rows {
  std::vector<float> values;
  std::size_t count = 0, width = 0;
  Row operator[](std::size_t i) const { return Row(values).subspan(i * width, width); }
};

Rows rows_of(const graph::Tensor& tensor) {
  auto floats = graph::as_floats(tensor);
  if (!floats || tensor.dims.empty() || floats->empty())
    throw Error(Code::dataset_mismatch, fmt::format("an output of {} {} holds no rows of class scores",
                                                    graph::name(tensor.type), graph::to_string(tensor.dims)));
  Rows rows{std::move(*floats), static_cast<std::size_t>(tensor.dims[0]), 0};
  rows.width = rows.values.size() / rows.count;
  return rows;
}

std::int64_t largest(Row row) { return std::max_element(row.begin(), row.end()) - row.begin(); }

double log_sum_exp(Row row) {
  double top = *std::max_element(row.begin(), row.end()), sum = 0;
  for (float x : row) sum += std::exp(x - top);
  return top + std::log(sum);
}

double divergence(Row a, Row b) {
  double za = log_sum_exp(a), zb = log_sum_exp(b), sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::exp(a[i] - za) * ((a[i] - za) - (b[i] - zb));
  return std::max(0.0, sum);
}

double squared_error(Row a, Row b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return sum / static_cast<double>(a.size());
}

void add_label(Score& score, std::int64_t label, std::int64_t a, std::int64_t b) {
  ++score.labelled;
  score.a_correct += a == label;
  score.b_correct += b == label;
  score.only_a_correct += a == label && b != label;
  score.only_b_correct += b == label && a != label;
}

}  // namespace

std::vector<std::int64_t> top1(const graph::Tensor& logits) {
  Rows rows = rows_of(logits);
  std::vector<std::int64_t> classes(rows.count);
  for (std::size_t i = 0; i < rows.count; ++i) classes[i] = largest(rows[i]);
  return classes;
}

void add(Score& score, const graph::Tensor& a, const graph::Tensor& b, std::span<const std::int64_t> labels,
         std::int64_t offset) {
  if (a.dims != b.dims)
    throw Error(Code::dataset_mismatch, fmt::format("the models' outputs are {} and {}",
                                                    graph::to_string(a.dims), graph::to_string(b.dims)));
  Rows x = rows_of(a), y = rows_of(b);
  if (!labels.empty() && labels.size() != x.count)
    throw Error(Code::dataset_mismatch, fmt::format("{} labels for {} samples", labels.size(), x.count));
  for (std::size_t i = 0; i < x.count; ++i) {
    std::int64_t of_a = largest(x[i]), of_b = largest(y[i]);
    ++score.n;
    score.agree += of_a == of_b;
    score.squared_error += squared_error(x[i], y[i]);
    score.divergence += divergence(x[i], y[i]);
    if (labels.empty()) continue;
    std::int64_t label = labels[i] + offset;
    if (label < 0 || label >= static_cast<std::int64_t>(x.width))
      throw Error(Code::dataset_mismatch,
                  fmt::format("label {} is none of the model's {} classes", label, x.width));
    add_label(score, label, of_a, of_b);
  }
}

}  // namespace tailor::runtime

#include "tailor/rewrite/tensors.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <cstring>

namespace tailor::rewrite {
namespace {

// A tensor seen as outer x axis x (inner bytes).
struct Layout {
  std::size_t outer, size, inner;
};

Layout layout(const graph::Tensor& tensor, int axis) {
  std::size_t width = graph::element_size(tensor.type);
  if (width == 0)
    throw Error(Code::bad_cut, "weights of a type that has no whole bytes per element cannot be cut",
                std::string(graph::name(tensor.type)));
  TAILOR_CHECK(axis >= 0 && axis < static_cast<int>(tensor.dims.size()));
  Layout l{1, static_cast<std::size_t>(tensor.dims[axis]), width};
  for (int i = 0; i < axis; ++i) l.outer *= static_cast<std::size_t>(tensor.dims[i]);
  for (std::size_t i = axis + 1; i < tensor.dims.size(); ++i)
    l.inner *= static_cast<std::size_t>(tensor.dims[i]);
  return l;
}

}  // namespace

graph::Tensor spread(const graph::Tensor& tensor, int axis, const std::vector<int>& source, float fill) {
  Layout l = layout(tensor, axis);
  TAILOR_CHECK(fill == 0 || tensor.type == graph::DataType::f32);
  std::vector<std::byte> out(l.outer * source.size() * l.inner);
  std::byte* to = out.data();
  for (std::size_t o = 0; o < l.outer; ++o)
    for (int position : source) {
      if (position >= 0) {
        TAILOR_CHECK(static_cast<std::size_t>(position) < l.size);
        std::memcpy(to, tensor.data.data() + (o * l.size + static_cast<std::size_t>(position)) * l.inner,
                    l.inner);
      } else if (fill != 0) {
        for (std::size_t at = 0; at < l.inner; at += sizeof fill) std::memcpy(to + at, &fill, sizeof fill);
      }
      to += l.inner;
    }
  graph::Shape dims = tensor.dims;
  dims[axis] = static_cast<std::int64_t>(source.size());
  return {tensor.type, std::move(dims), Bytes::own(std::move(out)), tensor.origin};
}

graph::Tensor take(const graph::Tensor& tensor, int axis, const std::vector<int>& positions) {
  return spread(tensor, axis, positions);
}

graph::Tensor zero_slices(const graph::Tensor& tensor, int axis, const std::vector<int>& positions,
                          std::byte fill) {
  Layout l = layout(tensor, axis);
  std::vector<std::byte> out(tensor.data.data(), tensor.data.data() + tensor.data.size());
  for (std::size_t o = 0; o < l.outer; ++o)
    for (int position : positions) {
      TAILOR_CHECK(position >= 0 && static_cast<std::size_t>(position) < l.size);
      auto at = static_cast<std::ptrdiff_t>((o * l.size + static_cast<std::size_t>(position)) * l.inner);
      std::fill_n(out.begin() + at, l.inner, fill);
    }
  return {tensor.type, tensor.dims, Bytes::own(std::move(out)), tensor.origin};
}

}  // namespace tailor::rewrite

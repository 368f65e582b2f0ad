#include "tailor/rewrite/tensors.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"

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

constexpr std::size_t kStride = std::size_t{4} << 20;

// Copies slices of several axes at once, outermost first. Source addresses grow as long as positions do.
class Taker {
 public:
  Taker(const graph::Tensor& tensor, const std::map<int, std::vector<int>>& positions)
      : dims(tensor.dims), tensor_(tensor) {
    int before = -1;
    for (const auto& [axis, list] : positions) {
      Layout l = layout(tensor, axis);
      std::size_t outer = 1;
      for (int i = before + 1; i < axis; ++i) outer *= static_cast<std::size_t>(tensor.dims[i]);
      levels_.push_back({outer, l.size, l.inner, &list});
      dims[axis] = static_cast<std::int64_t>(list.size());
      before = axis;
    }
  }

  graph::Shape dims;  // of the result

  std::vector<std::byte> copy() {
    std::size_t size = graph::element_size(tensor_.type);
    for (std::int64_t dim : dims) size *= static_cast<std::size_t>(dim);
    out_.resize(size);
    to_ = out_.data();
    if (size > 0) level(0, 0);
    return std::move(out_);
  }

 private:
  struct Level {
    std::size_t outer, size, inner;  // indices since the level before, of the axis, bytes of a slice
    const std::vector<int>* positions;
  };

  void level(std::size_t number, std::size_t base) {
    const Level& l = levels_[number];
    for (std::size_t o = 0; o < l.outer; ++o)
      for (int position : *l.positions) {
        TAILOR_CHECK(position >= 0 && static_cast<std::size_t>(position) < l.size);
        std::size_t from = base + (o * l.size + static_cast<std::size_t>(position)) * l.inner;
        if (number + 1 < levels_.size()) {
          level(number + 1, from);
          continue;
        }
        std::memcpy(to_, tensor_.data.data() + from, l.inner);
        to_ += l.inner;
        release_behind(from + l.inner);
      }
  }

  void release_behind(std::size_t read) {
    if (read < released_ + kStride) return;
    release_pages(tensor_.data.part(released_, read - released_));
    released_ = read;
  }

  const graph::Tensor& tensor_;
  std::vector<Level> levels_;
  std::vector<std::byte> out_;
  std::byte* to_ = nullptr;
  std::size_t released_ = 0;
};

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

graph::Tensor take(const graph::Tensor& tensor, const std::map<int, std::vector<int>>& positions) {
  if (positions.empty()) return tensor;
  Taker taker(tensor, positions);
  Bytes data = Bytes::own(taker.copy());
  return {tensor.type, std::move(taker.dims), std::move(data), tensor.origin};
}

graph::Tensor take(const graph::Tensor& tensor, int axis, const std::vector<int>& positions) {
  return take(tensor, std::map<int, std::vector<int>>{{axis, positions}});
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

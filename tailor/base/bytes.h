/// \file Immutable, shared, cheap to copy: weights, raw records and mapped files are all `Bytes`.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor {

/// A read-only range of memory together with whoever keeps it alive. Copies share; nobody can write through
/// it.
class Bytes {
 public:
  Bytes() = default;
  Bytes(std::shared_ptr<const void> owner, std::span<const std::byte> range)
      : owner_(std::move(owner)), range_(range) {}

  /// Takes a vector over without copying its elements. T must be trivially copyable.
  template <class T>
  static Bytes own(std::vector<T> items) {
    auto kept = std::make_shared<const std::vector<T>>(std::move(items));
    auto range = std::as_bytes(std::span(*kept));
    return Bytes(std::move(kept), range);
  }
  static Bytes own(std::string text) {
    auto kept = std::make_shared<const std::string>(std::move(text));
    auto range = std::as_bytes(std::span(kept->data(), kept->size()));
    return Bytes(std::move(kept), range);
  }

  const std::byte* data() const { return range_.data(); }
  std::size_t size() const { return range_.size(); }
  bool empty() const { return range_.empty(); }
  std::span<const std::byte> span() const { return range_; }
  std::string_view view() const { return {reinterpret_cast<const char*>(range_.data()), range_.size()}; }
  /// Who keeps the memory alive; parts of one mapping or vector have the same owner.
  const std::shared_ptr<const void>& owner() const { return owner_; }
  /// A part of this range that shares the owner. @pre at + count <= size()
  Bytes part(std::size_t at, std::size_t count) const { return Bytes(owner_, range_.subspan(at, count)); }

  /// Takes `next` in if it starts where this range ends and has the same owner; else nothing happens.
  bool extend(const Bytes& next) {
    if (owner_ != next.owner_ || data() + size() != next.data()) return false;
    range_ = {data(), size() + next.size()};
    return true;
  }

  /// The elements copied into a vector; trailing bytes that make no whole element are left out. Alignment
  /// does not matter.
  template <class T>
  std::vector<T> copy_as() const {
    std::vector<T> items(size() / sizeof(T));
    if (!items.empty()) std::memcpy(items.data(), data(), items.size() * sizeof(T));
    return items;
  }

  /// Same memory (not merely the same content).
  bool same_as(const Bytes& other) const { return data() == other.data() && size() == other.size(); }
  friend bool operator==(const Bytes& a, const Bytes& b) {
    if (a.size() != b.size()) return false;
    return a.data() == b.data() || a.size() == 0 || std::memcmp(a.data(), b.data(), a.size()) == 0;
  }

 private:
  std::shared_ptr<const void> owner_;
  std::span<const std::byte> range_;
};

}  // namespace tailor

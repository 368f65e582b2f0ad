/// \file Protobuf's wire format, only as much as is needed to cut a message into its records without copying,
/// and to write records. A record is a field's tag, length and payload as they lie in the file.
#pragma once

#include "tailor/base/bytes.h"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::onnx {

enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

struct Record {
  std::uint32_t field = 0;
  Wire wire = Wire::varint;
  std::span<const std::byte> whole;    // tag, length and payload
  std::span<const std::byte> payload;  // what follows tag and length
  std::uint64_t number = 0;            // the value of a varint

  std::string_view text() const { return {reinterpret_cast<const char*>(payload.data()), payload.size()}; }
};

/// How a step of the scanner ended. Groups (wire types 3 and 4) are malformed: ONNX never had any.
enum class Step { record, end, truncated, malformed };

/// Walks over the records of one message. O(1) a step; never reads outside `message`.
class Scanner {
 public:
  explicit Scanner(std::span<const std::byte> message) : message_(message) {}

  Step next(Record& record) {
    std::size_t start = at_;
    if (at_ == message_.size()) return Step::end;
    std::uint64_t tag = 0;
    if (Step step = varint(tag); step != Step::record) return step;
    if (tag >> 3 == 0 || tag >> 32 != 0) return Step::malformed;
    record.field = static_cast<std::uint32_t>(tag >> 3);
    record.wire = static_cast<Wire>(tag & 7);
    std::size_t size = 0;
    if (Step step = payload_size(record, size); step != Step::record) return step;
    record.payload = message_.subspan(at_, size);
    at_ += size;
    record.whole = message_.subspan(start, at_ - start);
    return Step::record;
  }

 private:
  Step varint(std::uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      if (at_ == message_.size()) return Step::truncated;
      auto byte = std::to_integer<std::uint64_t>(message_[at_++]);
      value |= (byte & 127) << shift;
      if (byte < 128) return Step::record;
    }
    return Step::malformed;
  }

  Step payload_size(Record& record, std::size_t& size) {
    std::uint64_t length = 0;
    switch (record.wire) {
      case Wire::varint: {
        std::size_t before = at_;
        if (Step step = varint(record.number); step != Step::record) return step;
        length = at_ - before;
        at_ = before;
        break;
      }
      case Wire::fixed64:
        length = 8;
        break;
      case Wire::fixed32:
        length = 4;
        break;
      case Wire::bytes:
        if (Step step = varint(length); step != Step::record) return step;
        break;
      default:
        return Step::malformed;
    }
    if (length > message_.size() - at_) return Step::truncated;
    size = static_cast<std::size_t>(length);
    return Step::record;
  }

  std::span<const std::byte> message_;
  std::size_t at_ = 0;
};

/// Pieces that make up a message; neighbours in memory grow together, so an untouched message is one piece:
/// itself.
class Rope {
 public:
  void add(const Bytes& piece) {
    if (piece.empty()) return;
    size_ += piece.size();
    if (pieces_.empty() || !pieces_.back().extend(piece)) pieces_.push_back(piece);
  }
  void add(Rope rope) {
    for (const Bytes& piece : rope.pieces_) add(piece);
  }
  void varint(std::uint32_t field, std::uint64_t value) {
    add(Bytes::own(tag(field, Wire::varint) + leb(value)));
  }
  void real(std::uint32_t field, float value) {
    char raw[4];
    std::memcpy(raw, &value, 4);
    add(Bytes::own(tag(field, Wire::fixed32) + std::string(raw, 4)));
  }
  void text(std::uint32_t field, std::string_view value) {
    add(Bytes::own(tag(field, Wire::bytes) + leb(value.size()) + std::string(value)));
  }
  /// The rope as the payload of a field; nothing is copied.
  void message(std::uint32_t field, Rope rope) {
    add(Bytes::own(tag(field, Wire::bytes) + leb(rope.size())));
    add(std::move(rope));
  }

  std::size_t size() const { return size_; }
  /// True if this is `whole` itself, unchanged.
  bool is(const Bytes& whole) const {
    return whole.empty() ? pieces_.empty() : pieces_.size() == 1 && pieces_[0].same_as(whole);
  }
  const std::vector<Bytes>& pieces() const { return pieces_; }

 private:
  static std::string leb(std::uint64_t value) {
    std::string out;
    for (; value > 127; value >>= 7) out += static_cast<char>(value | 128);
    return out += static_cast<char>(value);
  }
  static std::string tag(std::uint32_t field, Wire wire) {
    return leb(std::uint64_t{field} << 3 | static_cast<std::uint64_t>(wire));
  }

  std::vector<Bytes> pieces_;
  std::size_t size_ = 0;
};

}  // namespace tailor::onnx

// Zip (PKWARE's APPNOTE): the end record points to the central directory, whose entries point to local
// headers.
#include "tailor/data/zip.h"

#include "tailor/data/source.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

namespace tailor::data {
namespace {

constexpr std::uint32_t kEnd = 0x06054b50, kEntry = 0x02014b50, kLocal = 0x04034b50;
constexpr std::size_t kEndSize = 22, kEntrySize = 46, kLocalSize = 30, kLongestComment = 65535;
constexpr std::size_t kHarmless = std::size_t{256} << 20, kMostRatio = 100;

// Little-endian number of `width` bytes; the caller has checked the bounds.
std::uint32_t read(const Bytes& bytes, std::size_t at, std::size_t width) {
  std::uint32_t value = 0;
  for (std::size_t i = width; i-- > 0;)
    value = value << 8 | std::to_integer<std::uint32_t>(bytes.data()[at + i]);
  return value;
}

std::size_t find_end(const Bytes& archive, const std::filesystem::path& path) {
  if (archive.size() >= kEndSize) {
    std::size_t first = archive.size() - std::min(archive.size(), kEndSize + kLongestComment);
    for (std::size_t at = archive.size() - kEndSize + 1; at-- > first;)
      if (read(archive, at, 4) == kEnd) return at;
  }
  bad_dataset(path, "npz: no end of a zip archive; the file is truncated or no archive");
}

struct Inflater {
  z_stream stream{};
  ~Inflater() { ::inflateEnd(&stream); }
};

Bytes inflate_exactly(const Bytes& packed, std::size_t size, const std::string& name,
                      const std::filesystem::path& path) {
  std::vector<std::byte> out(size);
  Inflater inflater;
  z_stream& z = inflater.stream;
  if (::inflateInit2(&z, -MAX_WBITS) != Z_OK) bad_dataset(path, "npz: zlib cannot start");
  z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(packed.data()));
  z.avail_in = static_cast<uInt>(packed.size());
  Bytef spare = 0;  // zlib wants somewhere to point to
  z.next_out = out.empty() ? &spare : reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  int rc = ::inflate(&z, Z_FINISH);
  if (rc != Z_STREAM_END || z.avail_out != 0)
    bad_dataset(path, fmt::format("npz: '{}' does not unpack to the {} bytes that it announces", name, size));
  return Bytes::own(std::move(out));
}

std::uint32_t crc_of(const Bytes& bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace

std::vector<ZipMember> zip_members(const Bytes& archive, const std::filesystem::path& path) {
  std::size_t end = find_end(archive, path);
  std::size_t count = read(archive, end + 10, 2), at = read(archive, end + 16, 4);
  std::vector<ZipMember> members;
  for (std::size_t i = 0; i < count; ++i) {
    if (at > end || end - at < kEntrySize || read(archive, at, 4) != kEntry)
      bad_dataset(path, fmt::format("npz: entry {} of the archive's directory is damaged", i));
    std::size_t name_size = read(archive, at + 28, 2);
    std::size_t rest = name_size + read(archive, at + 30, 2) + read(archive, at + 32, 2);
    if (end - at - kEntrySize < rest)
      bad_dataset(path, fmt::format("npz: entry {} of the archive's directory is damaged", i));
    ZipMember member;
    member.name = std::string(archive.view().substr(at + kEntrySize, name_size));
    member.method = static_cast<int>(read(archive, at + 10, 2));
    member.crc = read(archive, at + 16, 4);
    member.packed = read(archive, at + 20, 4);
    member.size = read(archive, at + 24, 4);
    member.header_at = read(archive, at + 42, 4);
    if (read(archive, at + 8, 2) & 1) bad_dataset(path, fmt::format("npz: '{}' is encrypted", member.name));
    if (member.packed == 0xffffffff || member.size == 0xffffffff || member.header_at == 0xffffffff)
      bad_dataset(path, fmt::format("npz: '{}' is larger than 4 GiB; store it as .npy", member.name));
    members.push_back(std::move(member));
    at += kEntrySize + rest;
  }
  return members;
}

Bytes unpack(const Bytes& archive, const ZipMember& member, const std::filesystem::path& path) {
  std::size_t at = member.header_at;
  auto damaged = [&] { bad_dataset(path, fmt::format("npz: '{}' is damaged or truncated", member.name)); };
  if (at > archive.size() || archive.size() - at < kLocalSize || read(archive, at, 4) != kLocal) damaged();
  at += kLocalSize + read(archive, at + 26, 2) + read(archive, at + 28, 2);
  if (at > archive.size() || archive.size() - at < member.packed) damaged();
  if (member.method != 0 && member.method != 8)
    bad_dataset(path, fmt::format("npz: '{}' is packed by method {}; stored and deflated are read",
                                  member.name, member.method));
  Bytes packed = archive.part(at, member.packed);
  if (member.method == 0 && member.packed != member.size) damaged();
  if (member.method == 8 && member.size > kHarmless && member.size / kMostRatio > member.packed)
    bad_dataset(path, fmt::format("npz: '{}' would unpack {} bytes to {}: refused as a zip bomb", member.name,
                                  member.packed, member.size));
  Bytes content = member.method == 0 ? packed : inflate_exactly(packed, member.size, member.name, path);
  if (crc_of(content) != member.crc)
    bad_dataset(path, fmt::format("npz: '{}' has a wrong checksum", member.name));
  return content;
}

}  // namespace tailor::data

/// \file Zip archives as .npz files are: stored or deflated members, no encryption, below 4 GiB. Private to
/// the module.
#pragma once

#include "tailor/base/bytes.h"

#include <filesystem>
#include <string>
#include <vector>

namespace tailor::data {

struct ZipMember {
  std::string name;
  int method = 0;  // 0 stored, 8 deflated
  std::size_t packed = 0, size = 0, header_at = 0;
  std::uint32_t crc = 0;
};

/// Members by the central directory. @throws Error bad_dataset
std::vector<ZipMember> zip_members(const Bytes& archive, const std::filesystem::path& path);

/// Content of a member: shared with the archive if stored, else inflated. The CRC is checked. A member that
/// would unpack to more than 256 MiB and more than 100 times its packed size is refused as a bomb. @throws
/// Error bad_dataset
Bytes unpack(const Bytes& archive, const ZipMember& member, const std::filesystem::path& path);

}  // namespace tailor::data

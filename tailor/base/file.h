/// \file Files: mapped for reading, written whole or not at all, temporary folders, SHA-256.
#pragma once

#include "tailor/base/bytes.h"

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace tailor {

/// The file mapped read-only (an empty file gives empty Bytes). @throws Error file_missing
Bytes map_file(const std::filesystem::path& path);

/// Writes to a temporary sibling, fsyncs, renames: after a crash or on a full disk `path` holds the old
/// content or the new one, nothing between. @throws Error write_failed, and the temporary file is gone.
void write_file(const std::filesystem::path& path, std::span<const std::span<const std::byte>> pieces);
void write_file(const std::filesystem::path& path, std::string_view text);

/// Appends one line and fsyncs it; used for journals that survive kill -9. @throws Error write_failed
void append_line(const std::filesystem::path& path, std::string_view line);

/// A fresh folder below $TMPDIR (or /dev/shm when `in_memory` and there is room), removed with everything in
/// it at the end.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(bool in_memory = false);
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  /// A path in the folder that was not handed out before.
  std::filesystem::path fresh(std::string_view suffix);

 private:
  std::filesystem::path path_;
  int next_ = 0;
};

/// 64 lower-case hexadecimal digits (FIPS 180-4).
std::string sha256(std::span<const std::byte> bytes);
std::string sha256(std::string_view text);

/// $XDG_CACHE_HOME/tailor or ~/.cache/tailor; TAILOR_CACHE overrides. Created if missing.
std::filesystem::path cache_folder();

}  // namespace tailor

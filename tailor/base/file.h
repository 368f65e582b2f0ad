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

/// Gives the pages of a mapped file back to the system; whoever reads them again finds the same content. So what
/// goes once over weights of several GB does not hold them in memory. Nothing happens to memory that is not mapped.
void release_pages(const Bytes& bytes);

/// A file in the making: a temporary sibling of `path`. Until commit() `path` holds what it held before, and
/// without one the sibling vanishes.
class NewFile {
 public:
  /// @throws Error write_failed
  explicit NewFile(std::filesystem::path path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  /// Appends. Mapped pages are released behind the writer, so memory stays bounded. @throws Error write_failed
  void write(std::span<const Bytes> pieces);
  void write(std::span<const std::byte> piece);
  /// fsync, rename, fsync of the folder. @throws Error write_failed
  void commit();

 private:
  std::filesystem::path path_, part_;
  int fd_ = -1;
  bool committed_ = false;
};

/// After a crash or on a full disk `path` holds the old content or the new one, nothing between (NewFile).
/// @throws Error write_failed
void write_file(const std::filesystem::path& path, std::span<const Bytes> pieces);
void write_file(const std::filesystem::path& path, std::string_view text);

/// Renames, so that `to` is the old file or the new one at every moment, and fsyncs the folder. @throws Error
/// write_failed
void replace_file(const std::filesystem::path& from, const std::filesystem::path& to);

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
/// The same; mapped pages are released on the way.
std::string sha256(const Bytes& bytes);

/// $XDG_CACHE_HOME/tailor or ~/.cache/tailor; TAILOR_CACHE overrides. Created if missing.
std::filesystem::path cache_folder();

}  // namespace tailor

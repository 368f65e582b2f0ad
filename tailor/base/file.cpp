// Files. Reading: map_file and release_pages. Writing: NewFile, write_file (whole or not at all) and append_line
// (journals). Then TemporaryFolder, SHA-256 (FIPS 180-4) and the cache folder.
#include "tailor/base/file.h"

#include "tailor/base/error.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace tailor {
namespace fs = std::filesystem;
namespace {

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

struct Unmap {
  std::size_t size;
  void operator()(const void* at) const { ::munmap(const_cast<void*>(at), size); }
};

[[noreturn]] void fail_write(const fs::path& path, int error) {
  throw Error(Code::write_failed, fmt::format("cannot write: {}", std::strerror(error)), path.string(),
              error == ENOSPC ? "free some space on this disk and run the same command again"
                              : "choose a place that you may write to");
}

void write_all(int fd, std::span<const std::byte> bytes, const fs::path& path) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_write(path, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

// Small pieces (a patched model has thousands) go out many at a time.
void write_gathered(int fd, std::span<const Bytes> pieces, const fs::path& path) {
  constexpr std::size_t kMost = 256;
  std::array<iovec, kMost> list{};
  std::size_t count = std::min(kMost, pieces.size()), total = 0;
  for (std::size_t i = 0; i < count; ++i) {
    list[i] = {const_cast<std::byte*>(pieces[i].data()), pieces[i].size()};
    total += pieces[i].size();
  }
  ssize_t n = ::writev(fd, list.data(), static_cast<int>(count));
  if (n < 0 && errno != EINTR) fail_write(path, errno);
  std::size_t written = n < 0 ? 0 : static_cast<std::size_t>(n);
  for (std::size_t i = 0; i < count && written < total; ++i) {  // what a short write has left
    std::size_t here = std::min(written, pieces[i].size());
    write_all(fd, pieces[i].span().subspan(here), path);
    written -= here, total -= pieces[i].size();
  }
}

// Mapped pages from the first to the last of neighbouring pieces of one file, what lies between them included.
void release_written(std::span<const Bytes> pieces) {
  Bytes run;
  for (const Bytes& piece : pieces) {
    if (piece.empty() || !std::get_deleter<Unmap>(piece.owner())) continue;
    bool follows = run.owner() == piece.owner() && piece.data() >= run.data() + run.size();
    if (!follows) release_pages(run);
    const std::byte* begin = follows ? run.data() : piece.data();
    run = Bytes(piece.owner(), {begin, piece.data() + piece.size()});
  }
  release_pages(run);
}

void sync_folder(const fs::path& folder) {
  Descriptor d{::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (d.fd >= 0) ::fsync(d.fd);
}

bool has_room(const char* folder, std::uint64_t bytes) {
  struct statvfs room {};
  return ::access(folder, W_OK) == 0 && ::statvfs(folder, &room) == 0 &&
         room.f_bavail * room.f_frsize >= bytes;
}

}  // namespace

Bytes map_file(const fs::path& path) {
  auto fail = [&](int error) {
    throw Error(Code::file_missing, fmt::format("cannot read the file: {}", std::strerror(error)),
                path.string(), "check the path and its permissions");
  };
  Descriptor d{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (d.fd < 0) fail(errno);
  struct stat info {};
  if (::fstat(d.fd, &info) != 0) fail(errno);
  if (S_ISDIR(info.st_mode)) fail(EISDIR);
  if (!S_ISREG(info.st_mode)) fail(EINVAL);
  if (info.st_size == 0) return {};
  auto size = static_cast<std::size_t>(info.st_size);
  void* at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, d.fd, 0);
  if (at == MAP_FAILED) fail(errno);
  return Bytes(std::shared_ptr<const void>(at, Unmap{size}), {static_cast<const std::byte*>(at), size});
}

void release_pages(const Bytes& bytes) {
  if (bytes.empty() || !std::get_deleter<Unmap>(bytes.owner())) return;
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  auto begin = reinterpret_cast<std::uintptr_t>(bytes.data()), end = begin + bytes.size();
  begin = (begin + page - 1) / page * page, end = end / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

NewFile::NewFile(fs::path path) : path_(std::move(path)), part_(path_) {
  part_ += fmt::format(".{}.part", ::getpid());
  fd_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_write(path_, errno);
}

NewFile::~NewFile() {
  ::close(fd_);
  if (!committed_) ::unlink(part_.c_str());
}

void NewFile::write(std::span<const std::byte> piece) { write_all(fd_, piece, path_); }

void NewFile::write(std::span<const Bytes> pieces) {
  constexpr std::size_t kSmall = std::size_t{64} << 10, kStride = std::size_t{8} << 20, kMost = 256;
  for (std::size_t i = 0; i < pieces.size();) {
    std::size_t end = i;
    while (end < pieces.size() && end - i < kMost && pieces[end].size() < kSmall) ++end;
    if (end > i) {
      write_gathered(fd_, pieces.subspan(i, end - i), path_);
      release_written(pieces.subspan(i, end - i));
      i = end;
      continue;
    }
    const Bytes& large = pieces[i++];
    for (std::size_t at = 0; at < large.size(); at += kStride) {
      Bytes part = large.part(at, std::min(kStride, large.size() - at));
      write_all(fd_, part.span(), path_);
      release_pages(part);
    }
  }
}

void NewFile::commit() {
  if (::fsync(fd_) != 0 && errno != EINVAL) fail_write(path_, errno);
  replace_file(part_, path_);
  committed_ = true;
}

void replace_file(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail_write(to, errno);
  sync_folder(to.parent_path());
}

void write_file(const fs::path& path, std::span<const Bytes> pieces) {
  NewFile file(path);
  file.write(pieces);
  file.commit();
}

void write_file(const fs::path& path, std::string_view text) {
  NewFile file(path);
  file.write(std::as_bytes(std::span(text.data(), text.size())));
  file.commit();
}

void append_line(const fs::path& path, std::string_view line) {
  Descriptor d{::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)};
  if (d.fd < 0) fail_write(path, errno);
  std::string whole = std::string(line) + "\n";
  write_all(d.fd, std::as_bytes(std::span(whole.data(), whole.size())), path);
  if (::fdatasync(d.fd) != 0 && errno != EINVAL) fail_write(path, errno);
}

TemporaryFolder::TemporaryFolder(bool in_memory) {
  constexpr std::uint64_t kEnough = std::uint64_t{2} << 30;
  const char* chosen = std::getenv("TMPDIR");
  std::string base = chosen && *chosen                            ? chosen
                     : in_memory && has_room("/dev/shm", kEnough) ? "/dev/shm"
                                                                  : "/tmp";
  std::string pattern = base + "/tailor-XXXXXX";
  if (!::mkdtemp(pattern.data())) fail_write(base, errno);
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fs::path TemporaryFolder::fresh(std::string_view suffix) {
  return path_ / fmt::format("{:05}{}", next_++, suffix);
}

fs::path cache_folder() {
  auto set = [](const char* name) {
    const char* value = std::getenv(name);
    return value && *value ? std::string(value) : std::string();
  };
  std::string own = set("TAILOR_CACHE"), xdg = set("XDG_CACHE_HOME"), home = set("HOME");
  fs::path path = !own.empty()   ? fs::path(own)
                  : !xdg.empty() ? fs::path(xdg) / "tailor"
                                 : fs::path(home.empty() ? "/tmp" : home) / ".cache/tailor";
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail_write(path, error.value());
  return path;
}

}  // namespace tailor

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
#include <bit>
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

namespace {

constexpr std::array<std::uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

void sha256_block(std::array<std::uint32_t, 8>& h, const std::byte* block) {
  std::array<std::uint32_t, 64> w{};
  for (int i = 0; i < 16; ++i)
    for (int b = 0; b < 4; ++b) w[i] = w[i] << 8 | std::to_integer<std::uint32_t>(block[4 * i + b]);
  for (int i = 16; i < 64; ++i) {
    std::uint32_t s0 = std::rotr(w[i - 15], 7) ^ std::rotr(w[i - 15], 18) ^ (w[i - 15] >> 3);
    std::uint32_t s1 = std::rotr(w[i - 2], 17) ^ std::rotr(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, k] = h;
  for (int i = 0; i < 64; ++i) {
    std::uint32_t t1 =
        k + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + kRound[i] + w[i];
    std::uint32_t t2 =
        (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    k = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  std::array<std::uint32_t, 8> sum = {a, b, c, d, e, f, g, k};
  for (int i = 0; i < 8; ++i) h[i] += sum[i];
}

}  // namespace

namespace {

using Digest = std::array<std::uint32_t, 8>;
constexpr Digest kInitial = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

// The last bytes (fewer than a block), and the size of the whole.
std::string finish_sha256(Digest h, std::span<const std::byte> rest, std::uint64_t size) {
  std::array<std::byte, 128> tail{};
  if (!rest.empty()) std::memcpy(tail.data(), rest.data(), rest.size());
  tail[rest.size()] = std::byte{0x80};
  std::size_t end = rest.size() < 56 ? 64 : 128;
  for (int i = 0; i < 8; ++i) tail[end - 1 - i] = static_cast<std::byte>(size * 8 >> (8 * i));
  for (std::size_t at = 0; at < end; at += 64) sha256_block(h, tail.data() + at);
  std::string text;
  for (std::uint32_t word : h) text += fmt::format("{:08x}", word);
  return text;
}

}  // namespace

std::string sha256(const Bytes& bytes) {
  constexpr std::size_t kStride = std::size_t{8} << 20;
  Digest h = kInitial;
  std::size_t whole = bytes.size() / 64 * 64;
  for (std::size_t at = 0; at < whole;) {
    Bytes part = bytes.part(at, std::min(kStride, whole - at));
    for (std::size_t i = 0; i < part.size(); i += 64) sha256_block(h, part.data() + i);
    release_pages(part);
    at += part.size();
  }
  return finish_sha256(h, bytes.span().subspan(whole), bytes.size());
}

std::string sha256(std::span<const std::byte> bytes) { return sha256(Bytes(nullptr, bytes)); }

std::string sha256(std::string_view text) {
  return sha256(std::as_bytes(std::span(text.data(), text.size())));
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

#include "tailor/tune/record_lock.h"

#include "tailor/base/error.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace tailor::tune {

RecordLock::RecordLock(const std::filesystem::path& path)
    : fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (fd_ < 0)
    throw Error(Code::write_failed, fmt::format("cannot be opened: {}", std::strerror(errno)), path.string(),
                "give a file in a folder that is there and can be written to");
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
  const int reason = errno;
  ::close(fd_);
  if (reason == EWOULDBLOCK)
    throw Error(Code::write_failed, "another tuning run writes these records", path.string(),
                "wait until it ends, or give each job a file of its own and merge them");
  throw Error(Code::write_failed, fmt::format("cannot be locked: {}", std::strerror(reason)), path.string(),
              "keep it on a local disk; files on some network disks cannot be locked");
}

RecordLock::~RecordLock() { ::close(fd_); }

}  // namespace tailor::tune

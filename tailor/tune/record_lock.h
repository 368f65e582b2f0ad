/// \file One writer per record file: two runs on one file would try configurations twice.
#pragma once

#include <filesystem>

namespace tailor::tune {

/// Holds the file (made if it is missing) until the end of this object or of the process, however that ends.
class RecordLock {
 public:
  /// @throws Error write_failed: another run holds it, or it cannot be opened
  explicit RecordLock(const std::filesystem::path& path);
  ~RecordLock();
  RecordLock(const RecordLock&) = delete;
  RecordLock& operator=(const RecordLock&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace tailor::tune

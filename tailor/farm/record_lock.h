/// \file One writer per record file: two masters on one file would try configurations twice.
#pragma once

#include <filesystem>

namespace tailor::farm {

/// Holds the file (made if it is missing) until the end of this object or of the process, however that ends.
class RecordLock {
 public:
  /// @throws Error write_failed: another farm holds it, or it cannot be opened
  explicit RecordLock(const std::filesystem::path& path);
  ~RecordLock();
  RecordLock(const RecordLock&) = delete;
  RecordLock& operator=(const RecordLock&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace tailor::farm

/// \file Work on several streams at the same time, each timed by a pair of events of its own.
#pragma once

#include "runners/cuda/gpu.h"

#include <cstddef>
#include <vector>

namespace tailor::cuda {

class StreamClock {
 public:
  /// For `count` streams. @throws CallFailed
  StreamClock(Gpu& gpu, std::size_t count);
  ~StreamClock();
  StreamClock(const StreamClock&) = delete;
  StreamClock& operator=(const StreamClock&) = delete;

  /// The begin or the end of what is timed on a stream; not waited for. @throws CallFailed
  void mark(std::size_t which, bool end, Stream stream);
  /// Microseconds on the device between both marks. @pre the device has come to the second @throws CallFailed
  double us(std::size_t which);

 private:
  Event make();
  void release();

  Gpu& gpu_;
  std::vector<Event> events_;
};

}  // namespace tailor::cuda

#include "runners/cuda/stream_clock.h"

namespace tailor::cuda {

StreamClock::StreamClock(Gpu& gpu, std::size_t count) : gpu_(gpu) {
  while (events_.size() < 2 * count) events_.push_back(make());
}
StreamClock::~StreamClock() { release(); }

void StreamClock::mark(std::size_t which, bool end, Stream stream) {
  gpu_.libraries().check(gpu_.libraries().driver().record_event(events_[2 * which + end], stream),
                         "cuEventRecord");
}

double StreamClock::us(std::size_t which) {
  float milliseconds = 0;
  gpu_.libraries().check(
      gpu_.libraries().driver().elapsed(&milliseconds, events_[2 * which], events_[2 * which + 1]),
      "cuEventElapsedTime");
  return 1e3 * static_cast<double>(milliseconds);
}

Event StreamClock::make() {
  Event event = nullptr;
  const Status status = gpu_.libraries().driver().create_event(&event, 0);
  if (status != 0) release();
  gpu_.libraries().check(status, "cuEventCreate");
  return event;
}

void StreamClock::release() {
  for (Event event : events_) gpu_.libraries().driver().destroy_event(event);
  events_.clear();
}

}  // namespace tailor::cuda

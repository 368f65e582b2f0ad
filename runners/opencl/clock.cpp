// The clock of another thread of this process is told by its number (clock_getres(2), pthread_getcpuclockid(3)): the
// complement of the number, shifted by three, with the bits for "one thread" and "scheduler's time".
#include "runners/opencl/clock.h"

#include <charconv>
#include <cstring>
#include <ctime>
#include <filesystem>

namespace tailor::opencl {
namespace {

double microseconds(const timespec& time) {
  return 1e6 * static_cast<double>(time.tv_sec) + 1e-3 * static_cast<double>(time.tv_nsec);
}

clockid_t clock_of(int thread) {
  constexpr unsigned kOneThread = 4, kScheduler = 2;
  return static_cast<clockid_t>((~static_cast<unsigned>(thread) << 3) | kOneThread | kScheduler);
}

}  // namespace

ThreadTimes thread_times() {
  ThreadTimes times;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", gone)) {
    const std::string name = entry.path().filename().string();
    int thread = 0;
    timespec time{};
    if (std::from_chars(name.data(), name.data() + name.size(), thread).ec != std::errc{}) continue;
    if (::clock_gettime(clock_of(thread), &time) == 0) times[thread] = microseconds(time);
  }
  return times;
}

Busiest busiest(const ThreadTimes& before, const ThreadTimes& after) {
  Busiest most;
  for (const auto& [thread, us] : after) {
    const auto then = before.find(thread);
    const double spent = us - (then == before.end() ? 0 : then->second);
    if (spent > most.us) most = {thread, spent};
  }
  return most;
}

double wall_us() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return microseconds(now);
}

}  // namespace tailor::opencl

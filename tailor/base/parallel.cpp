#include "tailor/base/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace tailor {

int cores() { return static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1u, 8u)); }

void in_parallel(int count, const std::function<void(int)>& part) {
  std::atomic<int> next = 0;
  std::exception_ptr thrown;
  std::mutex mutex;
  auto work = [&] {
    for (int i = next++; i < count; i = next++) {
      try {
        part(i);
      } catch (...) {
        std::lock_guard lock(mutex);
        if (!thrown) thrown = std::current_exception();
        next = count;
      }
    }
  };
  {
    std::vector<std::jthread> others;
    for (int i = 1; i < std::min(cores(), count); ++i) others.emplace_back(work);
    work();
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace tailor

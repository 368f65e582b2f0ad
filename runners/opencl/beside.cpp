// A window runs some kernels from a thread each until the time is over, and counts. Threads of a processor's driver are
// told by who worked in a part's windows alone.
#include "runners/opencl/beside.h"

#include "runners/opencl/clock.h"
#include "tailor/base/error.h"

#include <barrier>
#include <exception>
#include <thread>

namespace tailor::opencl {
namespace {

constexpr int kRunsAtOnce = 4;  // between two looks at the clock

// What one kernel did in a window.
struct Window {
  double runs = 0, us = 0;
  std::exception_ptr failed;
  double each() const { return us / runs; }
};

void work(Kernel& kernel, std::barrier<>& start, double seconds, Window& window) {
  start.arrive_and_wait();
  try {
    const double begin = wall_us();
    for (; window.us < 1e6 * seconds; window.us = wall_us() - begin)
      kernel.run(kRunsAtOnce), window.runs += kRunsAtOnce;
  } catch (...) {
    window.failed = std::current_exception();
  }
}

std::vector<Window> run_window(const std::vector<Kernel*>& kernels, double seconds) {
  std::vector<Window> windows(kernels.size());
  std::barrier start(static_cast<std::ptrdiff_t>(kernels.size()));
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < kernels.size(); ++i)
      threads.emplace_back([&, i] { work(*kernels[i], start, seconds, windows[i]); });
  }
  for (const Window& window : windows)
    if (window.failed) std::rethrow_exception(window.failed);
  return windows;
}

double spent(int thread, const ThreadTimes& before, const ThreadTimes& after) {
  const auto then = before.find(thread), now = after.find(thread);
  return now == after.end() ? 0 : now->second - (then == before.end() ? 0 : then->second);
}

void alone(Kernel& kernel, std::size_t part, bool processor, double seconds, Beside& all) {
  const ThreadTimes before = thread_times();
  const Window window = run_window({&kernel}, seconds).front();
  all.alone_us[part].push_back(window.each());
  if (!processor) return;
  const Busiest worker = busiest(before, thread_times());
  all.threads[part] = worker.thread;
  all.alone_cpu_us[part].push_back(worker.us / window.runs);
}

// All at once. @returns runs per microsecond of all of them
double together(const std::vector<Kernel*>& kernels, bool processor, double seconds, Beside& all) {
  const ThreadTimes before = thread_times();
  const std::vector<Window> windows = run_window(kernels, seconds);
  const ThreadTimes after = thread_times();
  double speed = 0;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    all.beside_us[i].push_back(windows[i].each()), speed += 1 / windows[i].each();
    if (processor) all.beside_cpu_us[i].push_back(spent(all.threads[i], before, after) / windows[i].runs);
  }
  return speed;
}

}  // namespace

Beside run_beside(const std::vector<std::unique_ptr<Kernel>>& kernels, bool processor, int rounds,
                  double seconds) {
  TAILOR_CHECK(!kernels.empty() && rounds >= 1);
  std::vector<Kernel*> list;
  for (const auto& kernel : kernels) list.push_back(kernel.get());
  Beside all;
  all.alone_us.resize(list.size()), all.beside_us.resize(list.size());
  if (processor)
    all.alone_cpu_us.resize(list.size()), all.beside_cpu_us.resize(list.size()),
        all.threads.resize(list.size());
  for (int round = 0; round < rounds; ++round) {
    double mean = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
      alone(*list[i], i, processor, seconds, all);
      mean += 1 / all.alone_us[i].back() / static_cast<double>(list.size());
    }
    all.throughput.push_back(together(list, processor, seconds, all) / mean);
  }
  return all;
}

}  // namespace tailor::opencl

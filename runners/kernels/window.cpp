#include "runners/kernels/window.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <ctime>
#include <thread>

namespace tailor::kernels {
namespace {

constexpr std::size_t kFewest = 3, kMost = 100000;

double shared_us() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return 1e6 * static_cast<double>(now.tv_sec) + 1e-3 * static_cast<double>(now.tv_nsec);
}

bool bind_to(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(core), &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

// What the workers of a window share. They meet before and after each sample; the last to come closes it.
class Meeting {
 public:
  Meeting(std::size_t workers, double seconds)
      : cpu_us(workers), end_(shared_us() + 1e6 * seconds), gate_(static_cast<std::ptrdiff_t>(workers)) {}

  void begin(std::size_t worker) {
    gate_.arrive_and_wait();
    if (worker == 0) begin_ = shared_us();
  }
  // False when the window is over.
  bool end(std::size_t worker, double us) {
    cpu_us[worker] = us;
    gate_.arrive_and_wait();
    if (worker == 0) close();
    gate_.arrive_and_wait();
    return !over_;
  }
  void fail() { failed_ = true; }
  bool failed() const { return failed_; }
  Window take() { return std::move(window_); }

 private:
  void close() {
    const double now = shared_us();
    if (!warm_) {
      warm_ = true;
      return;
    }
    window_.us.push_back(*std::max_element(cpu_us.begin(), cpu_us.end()));
    window_.begin_us.push_back(begin_), window_.end_us.push_back(now);
    over_ = (now >= end_ && window_.us.size() >= kFewest) || window_.us.size() >= kMost;
  }

  std::vector<double> cpu_us;
  double end_, begin_ = 0;
  bool warm_ = false, over_ = false;
  std::atomic<bool> failed_ = false;
  Window window_;
  std::barrier<> gate_;
};

void work(const Kernel& kernel, Meeting& meeting, std::size_t worker, const std::vector<int>& cores,
          int repeats) {
  if (!bind_to(cores[worker])) meeting.fail();
  for (bool on = true; on;) {
    meeting.begin(worker);
    const double begin = thread_us();
    for (int i = 0; i < repeats; ++i) kernel.run(static_cast<int>(worker), static_cast<int>(cores.size()));
    on = meeting.end(worker, (thread_us() - begin) / repeats);
  }
}

// A float array per worker that is swept through.
Kernel sweep(std::size_t floats, int at_once) {
  auto arrays = std::make_shared<std::vector<std::vector<float>>>(static_cast<std::size_t>(at_once),
                                                                  std::vector<float>(floats, 1.0f));
  auto out = std::make_shared<std::vector<float>>(static_cast<std::size_t>(at_once));
  auto run = [arrays, out](int worker, int) {
    const std::size_t mine = static_cast<std::size_t>(worker) % arrays->size();
    float sum = 0;
    for (float& value : (*arrays)[mine]) sum += value, value = 1.0f;
    (*out)[mine] = sum;
  };
  return {run, out};
}

Kernel spin(int at_once) {
  auto out = std::make_shared<std::vector<float>>(static_cast<std::size_t>(at_once));
  auto run = [out](int worker, int) {
    float lanes[16] = {};
    for (int i = 0; i < 4096; ++i)
      for (float& lane : lanes) lane = lane * 0.999f + 1.0f;
    float sum = 0;
    for (float lane : lanes) sum += lane;
    (*out)[static_cast<std::size_t>(worker) % out->size()] = sum;
  };
  return {run, out};
}

}  // namespace

Window run_window(const Kernel& kernel, const std::vector<int>& cores, int repeats, double seconds) {
  TAILOR_CHECK(!cores.empty() && repeats >= 1);
  Meeting meeting(cores.size(), seconds);
  std::vector<std::jthread> threads;
  for (std::size_t worker = 0; worker < cores.size(); ++worker)
    threads.emplace_back([&, worker] { work(kernel, meeting, worker, cores, repeats); });
  threads.clear();  // joins
  if (meeting.failed())
    throw Error(Code::bad_value, "this process may not run on one of those cores", "cores");
  return meeting.take();
}

Kernel make_stressor(const std::string& name, int at_once) {
  if (name == "spin") return spin(at_once);
  if (name == "cache") return sweep(std::size_t{1} << 18, at_once);
  if (name == "memory") return sweep(std::size_t{1} << 24, at_once);
  throw Error(Code::unknown_name, fmt::format("there is no stressor '{}'", name.substr(0, 40)), "stressor",
              "spin, cache or memory");
}

}  // namespace tailor::kernels

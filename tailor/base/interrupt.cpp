#include "tailor/base/interrupt.h"

#include "tailor/base/error.h"

#include <signal.h>

#include <array>
#include <atomic>

namespace tailor {
namespace {

std::atomic<bool> flag{false};
std::array<std::atomic<int>, 32> groups{};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

extern "C" void tailor_on_signal(int signal) {
  if (!flag.exchange(true)) return;
  for (auto& group : groups)
    if (int id = group.load(); id > 0) ::kill(-id, SIGKILL);
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void replace_group(int from, int to) {
  for (auto& group : groups) {
    int expected = from;
    if (group.compare_exchange_strong(expected, to)) return;
  }
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = tailor_on_signal;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return flag.load(std::memory_order_relaxed); }

void throw_if_interrupted() {
  if (interrupted()) throw Error(Code::interrupted, "interrupted");
}

void set_interrupted(bool value) { flag = value; }

void kill_with_us(int process_group) { replace_group(0, process_group); }
void no_longer_kill(int process_group) { replace_group(process_group, 0); }

}  // namespace tailor

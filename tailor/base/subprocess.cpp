// A child process. Start: three pipes, posix_spawn of /bin/sh -c in a group of its own. Talk: one poll loop
// in slices of 0.1 s serves all three pipes, so stderr never fills up and Ctrl-C is seen. End: kill the group
// before the leader is reaped, because a zombie leader keeps the group's number from being used again.
#include "tailor/base/subprocess.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <thread>
#include <utility>

extern char** environ;

namespace tailor {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kKeptLines = 20, kKeptBytes = 500;
constexpr int kSliceMs = 100;

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Descriptor() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

[[noreturn]] void fail(const char* what, int error) {
  throw Error(Code::runner_failed, fmt::format("cannot start a process: {}: {}", what, std::strerror(error)));
}

// Above 2, so that it cannot collide with the child's standard streams even if ours are closed.
Descriptor above_standard(Descriptor original) {
  if (original.get() > 2) return original;
  Descriptor moved(::fcntl(original.get(), F_DUPFD_CLOEXEC, 3));
  if (!moved.open()) fail("fcntl", errno);
  return moved;
}

struct Pipe {
  Descriptor read, write;
};
Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe", errno);
  Descriptor read(ends[0]), write(ends[1]);
  return {above_standard(std::move(read)), above_standard(std::move(write))};
}

void make_nonblocking(const Descriptor& d) {
  ::fcntl(d.get(), F_SETFL, ::fcntl(d.get(), F_GETFL) | O_NONBLOCK);
}

std::vector<std::string> with_environment(const Subprocess::Environment& added) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry; ++entry) {
    std::string_view view(*entry);
    bool replaced = std::any_of(added.begin(), added.end(), [&](const auto& pair) {
      return view.starts_with(pair.first) && view.substr(pair.first.size()).starts_with('=');
    });
    if (!replaced) all.emplace_back(view);
  }
  for (const auto& [name, value] : added) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// posix_spawn's two option objects, freed at the end.
struct SpawnOptions {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
  SpawnOptions() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  }
  ~SpawnOptions() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
};

// SIGPIPE of a write is blocked, swallowed and turned into errno EPIPE, without touching the program's
// handlers.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec at_once{};
    while (!was_pending_ && sigtimedwait(&pipe_, nullptr, &at_once) < 0 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_{}, before_{};
  bool was_pending_ = false;
};

std::string describe(int status) {
  if (WIFEXITED(status)) return fmt::format("exit status {}", WEXITSTATUS(status));
  if (WIFSIGNALED(status))
    return fmt::format("signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  return fmt::format("wait status {}", status);
}

}  // namespace

struct Subprocess::State {
  pid_t pid = -1;
  Descriptor in, out, err;
  std::string pending, error_line;  // read but not yet handed out
  std::size_t searched = 0;         // pending holds no line break before this
  std::deque<std::string> errors;
  std::string ended;

  ~State() { end(0.2); }

  void spawn(const std::string& command, const Environment& environment);
  bool serve(short event, Clock::time_point deadline);
  void keep_error(std::string_view bytes);
  void read_errors();
  bool read_output();
  bool exited() const;
  void end(double grace_s);
};

void Subprocess::State::spawn(const std::string& command, const Environment& environment) {
  Pipe to = make_pipe(), from = make_pipe(), complaints = make_pipe();
  SpawnOptions options;
  posix_spawn_file_actions_adddup2(&options.actions, to.read.get(), 0);
  posix_spawn_file_actions_adddup2(&options.actions, from.write.get(), 1);
  posix_spawn_file_actions_adddup2(&options.actions, complaints.write.get(), 2);
  std::vector<std::string> arguments = {"sh", "-c", command}, variables = with_environment(environment);
  auto argv = pointers(arguments), envp = pointers(variables);
  int error = ::posix_spawn(&pid, "/bin/sh", &options.actions, &options.attributes, argv.data(), envp.data());
  if (error != 0) {
    pid = -1;
    fail("/bin/sh", error);
  }
  kill_with_us(pid);
  in = std::move(to.write);
  out = std::move(from.read);
  err = std::move(complaints.read);
  for (const Descriptor* d : {&in, &out, &err}) make_nonblocking(*d);
}

void Subprocess::State::keep_error(std::string_view bytes) {
  for (char c : bytes) {
    if (c != '\n') {
      if (error_line.size() < kKeptBytes) error_line += c;
      continue;
    }
    errors.push_back(std::exchange(error_line, {}));
    if (errors.size() > kKeptLines) errors.pop_front();
  }
}

void Subprocess::State::read_errors() {
  std::array<char, 4096> buffer;
  while (err.open()) {
    ssize_t n = ::read(err.get(), buffer.data(), buffer.size());
    if (n > 0) {
      keep_error({buffer.data(), static_cast<std::size_t>(n)});
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && errno == EAGAIN) {
      return;
    } else {
      err.close();
    }
  }
}

// One read; false at the end of the stream.
bool Subprocess::State::read_output() {
  std::array<char, 65536> buffer;
  ssize_t n = ::read(out.get(), buffer.data(), buffer.size());
  if (n > 0) pending.append(buffer.data(), static_cast<std::size_t>(n));
  return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

// Waits until stderr or the pipe of `event` (POLLOUT: stdin, POLLIN: stdout) is ready, a slice at most, and
// reads stderr. False once the deadline has passed.
bool Subprocess::State::serve(short event, Clock::time_point deadline) {
  throw_if_interrupted();
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  if (left < 0) return false;
  std::array<pollfd, 3> fds = {{{err.get(), POLLIN, 0}, {out.get(), POLLIN, 0}, {in.get(), POLLOUT, 0}}};
  fds[event == POLLOUT ? 1 : 2].fd = -1;
  ::poll(fds.data(), fds.size(), static_cast<int>(std::min<long long>(left + 1, kSliceMs)));
  read_errors();
  throw_if_interrupted();
  return true;
}

bool Subprocess::State::exited() const {
  siginfo_t info{};
  int rc = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT);
  return rc != 0 ? errno != EINTR : info.si_pid == pid;
}

void Subprocess::State::end(double grace_s) {
  if (pid < 0) return;
  in.close();
  auto deadline = Clock::now() + std::chrono::duration<double>(grace_s);
  while (!exited() && Clock::now() < deadline) {
    read_errors();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  bool by_itself = exited();
  ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  no_longer_kill(pid);
  read_errors();
  if (!error_line.empty()) keep_error("\n");
  ended = by_itself ? describe(status) : "killed";
  pid = -1;
  out.close();
  err.close();
}

namespace {
Clock::time_point after(double seconds) {
  return Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(std::min(seconds, 1e8)));
}
}  // namespace

Subprocess::Subprocess(const std::string& command, const Environment& environment)
    : state_(std::make_unique<State>()) {
  state_->spawn(command, environment);
}
Subprocess::~Subprocess() = default;
Subprocess::Subprocess(Subprocess&&) noexcept = default;
Subprocess& Subprocess::operator=(Subprocess&&) noexcept = default;

Subprocess::Outcome Subprocess::write_line(std::string_view line, double timeout_s) {
  std::string whole = std::string(line) + "\n";
  std::string_view rest = whole;
  auto deadline = after(timeout_s);
  while (!rest.empty()) {
    if (!state_->in.open()) return Outcome::closed;
    ssize_t n = 0;
    int error = 0;
    {
      NoSigpipe guard;
      n = ::write(state_->in.get(), rest.data(), rest.size());
      error = errno;
    }
    if (n >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(n));
    } else if (error == EAGAIN) {
      if (!state_->serve(POLLOUT, deadline)) return Outcome::timeout;
    } else if (error != EINTR) {
      return Outcome::closed;
    }
  }
  return Outcome::done;
}

Subprocess::Line Subprocess::read_line(double timeout_s, std::size_t limit) {
  auto deadline = after(timeout_s);
  for (State& s = *state_;;) {
    std::size_t end = s.pending.find('\n', s.searched);
    if (end != std::string::npos && end <= limit) {
      Line line{Outcome::done, s.pending.substr(0, end)};
      s.pending.erase(0, end + 1);
      s.searched = 0;
      return line;
    }
    if (s.pending.size() > limit) return {Outcome::too_long, {}};
    s.searched = s.pending.size();
    if (!s.out.open()) return {Outcome::closed, {}};
    if (!s.serve(POLLIN, deadline)) return {Outcome::timeout, {}};
    if (!s.read_output()) s.out.close();
  }
}

std::string Subprocess::last_errors() {
  state_->read_errors();
  return fmt::format("{}", fmt::join(state_->errors, "\n"));
}

std::string Subprocess::end(double grace_s) {
  state_->end(grace_s);
  return state_->ended;
}

}  // namespace tailor

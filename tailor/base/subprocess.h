/// \file A child process that is spoken to in lines: its stdin and stdout are pipes, its stderr is kept for
/// messages.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor {

/// A shell command in a process group of its own (so that Ctrl-C reaches this program only). The destructor
/// closes its stdin, gives it a moment, then kills the whole group. A child that died shows up as a result,
/// never as SIGPIPE. Not thread-safe.
class Subprocess {
 public:
  using Environment = std::vector<std::pair<std::string, std::string>>;

  /// @param command     run by /bin/sh -c
  /// @param environment set in addition to this program's own
  /// @throws Error runner_failed if no process can be made
  explicit Subprocess(const std::string& command, const Environment& environment = {});
  ~Subprocess();
  Subprocess(Subprocess&&) noexcept;
  Subprocess& operator=(Subprocess&&) noexcept;

  enum class Outcome { done, timeout, closed, too_long };

  /// Writes `line` and a line break. `closed`: nobody reads any more.
  /// @throws Error interrupted within 0.2 s of Ctrl-C
  Outcome write_line(std::string_view line, double timeout_s);

  struct Line {
    Outcome outcome = Outcome::closed;
    std::string text;  // without the line break; only if done
  };
  /// The next line of the child's stdout. A last line without a line break counts as closed.
  /// @param limit longest line in bytes; a longer one gives too_long, and the stream is useless from then on
  /// @throws Error interrupted within 0.2 s of Ctrl-C
  Line read_line(double timeout_s, std::size_t limit);

  /// The last lines that the child wrote to stderr (at most 20 of 500 bytes), joined by line breaks.
  std::string last_errors();

  /// Closes stdin, waits up to `grace_s`, kills the group, and says how it ended: "exit status 3", "signal 11
  /// (Segmentation fault)", "killed" (by this call). Later calls repeat the answer.
  std::string end(double grace_s);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tailor

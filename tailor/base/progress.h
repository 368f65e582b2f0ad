/// \file Progress on stderr: one rewritten line on a terminal, a plain line every 15 s elsewhere.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace tailor {

/// How progress is shown. The defaults look at the environment; tests set what they need.
struct ProgressStyle {
  bool terminal = false, colour = false;
  int width = 80;
  bool quiet = false;
  std::function<double()> now_s = {};                  // a steady clock; unset: the real one
  std::function<void(const std::string&)> write = {};  // unset: stderr
};
/// stderr's: terminal or not, its width, colour unless NO_COLOR is set or TERM is dumb.
ProgressStyle progress_style();
/// No progress at all from now on (--quiet); for the whole program.
void set_quiet(bool quiet);

/// Progress of one phase: "prune [####----] 61 % 14/23 layer3.conv2 ETA 00:42". The line vanishes when it
/// ends. Thread-safe; drawing is bounded to ten times a second.
class Progress {
 public:
  explicit Progress(std::string phase, ProgressStyle style = progress_style());
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// @param done,total finished and all items; total 0: unknown, no bar
  /// @param item what is worked on, may be empty
  void update(double done, double total, const std::string& item = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tailor

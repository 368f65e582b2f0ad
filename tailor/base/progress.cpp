#include "tailor/base/progress.h"

#include "tailor/base/text.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace tailor {
namespace {

constexpr double kRedrawEvery = 0.1, kPlainEvery = 15;
constexpr int kBar = 20;
std::atomic<bool> all_quiet{false};

bool set(const char* variable) {
  const char* value = std::getenv(variable);
  return value && *value;
}

double steady_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void write_stderr(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

std::string clock_text(double seconds) {
  auto s = static_cast<long>(std::clamp(seconds, 0.0, 359999.0));
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{:02}:{:02}", s / 60, s % 60);
}

// At most `width` columns; cut at a character.
std::string cut(const std::string& text, std::size_t width) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = at + 1;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
    std::string character = text.substr(at, end - at);
    if (static_cast<unsigned char>(character[0]) < 32) character = " ";
    if (display_width(result) + display_width(character) > width) break;
    result += character;
    at = end;
  }
  return result;
}

}  // namespace

ProgressStyle progress_style() {
  ProgressStyle style;
  const char* kind = std::getenv("TERM");
  bool dumb = kind && std::string_view(kind) == "dumb";
  style.terminal = ::isatty(STDERR_FILENO) == 1 && !dumb;
  style.colour = style.terminal && !set("NO_COLOR");
  struct winsize size {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) style.width = size.ws_col;
  return style;
}

void set_quiet(bool quiet) { all_quiet = quiet; }

struct Progress::State {
  std::mutex mutex;
  std::string phase;
  ProgressStyle style;
  double start = 0, drawn = -1e9, last = 0;
  bool line_shown = false;

  double now() const { return style.now_s ? style.now_s() : steady_now(); }
  void write(const std::string& text) const { style.write ? style.write(text) : write_stderr(text); }
  std::string describe(double done, double total, const std::string& item, bool bar) const;
};

std::string Progress::State::describe(double done, double total, const std::string& item, bool bar) const {
  double elapsed = now() - start;
  std::string text = phase;
  if (total > 0) {
    double share = std::clamp(done / total, 0.0, 1.0);
    int filled = static_cast<int>(std::floor(share * kBar));
    if (bar) text += fmt::format(" [{:#<{}}{:-<{}}]", "", filled, "", kBar - filled);
    text += fmt::format(" {:2.0f} % {:g}/{:g}", std::floor(share * 100), std::floor(done), total);
  }
  std::string end = total > 0 && done > 0 && elapsed > 1
                        ? fmt::format(" ETA {}", clock_text(elapsed * (total - done) / done))
                        : fmt::format(" {}", clock_text(elapsed));
  std::size_t used = display_width(text) + display_width(end) + 1,
              width = static_cast<std::size_t>(std::max(20, style.width - 1));
  if (!item.empty() && used < width) text += " " + cut(item, width - used);
  return text + end;
}

Progress::Progress(std::string phase, ProgressStyle style) : state_(std::make_unique<State>()) {
  state_->phase = std::move(phase);
  state_->style = std::move(style);
  state_->start = state_->now();
  state_->drawn = state_->style.terminal ? -1e9 : state_->start;
}

Progress::~Progress() {
  if (state_->line_shown) state_->write("\r\033[K");
}

void Progress::update(double done, double total, const std::string& item) {
  State& s = *state_;
  std::lock_guard lock(s.mutex);
  if (s.style.quiet || all_quiet) return;
  double now = s.now();
  if (done < s.last) s.start = now;  // something new began: what remains is estimated from its own pace
  s.last = done;
  if (now - s.drawn < (s.style.terminal ? kRedrawEvery : kPlainEvery)) return;
  s.drawn = now;
  std::string text = s.describe(done, total, item, s.style.terminal);
  if (!s.style.terminal) return s.write(text + "\n");
  s.line_shown = true;
  s.write(s.style.colour ? fmt::format("\r\033[K\033[36m{}\033[0m{}", s.phase, text.substr(s.phase.size()))
                         : "\r\033[K" + text);
}

}  // namespace tailor

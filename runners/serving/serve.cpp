// Lines, ids, and errors as answers.
#include "runners/serving/serve.h"

#include "tailor/base/error.h"

#include <nlohmann/json.hpp>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <new>
#include <string_view>

namespace tailor::serving {
namespace {

constexpr std::size_t kLongestRequest = std::size_t{64} << 20;

using Answer = std::function<Json(const Json&, const Progress&)>;

// The other side is gone: there is nobody to answer.
struct Gone {};

class Answers {
 public:
  explicit Answers(int fd) : fd_(fd) {}

  void write(const Json& json) const {
    std::string line = to_line(json) + "\n";
    for (std::string_view rest = line; !rest.empty();) {
      ssize_t n = ::write(fd_, rest.data(), rest.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw Gone();
      rest.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  // Tells the progress at most once a second, and notices that nobody listens any more.
  void progress(const Json& id, double done) {
    pollfd state{fd_, 0, 0};
    if (::poll(&state, 1, 0) > 0 && (state.revents & (POLLERR | POLLHUP | POLLNVAL))) throw Gone();
    auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::seconds(1)) return;
    last_ = now;
    write({{"id", id}, {"progress", done}});
  }

 private:
  int fd_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

const char* kind_of(Code code) {
  if (code == Code::runtime_refused) return "refused";
  if (code == Code::runtime_missing) return "device";
  return static_cast<int>(code) / 1000 == 1 || code == Code::runner_failed ? "internal" : "usage";
}

Json failure(const std::string& kind, const std::string& message) {
  return {{"ok", false}, {"kind", kind}, {"message", message}};
}

Json failure_of(const Error& error) {
  Json answer = failure(kind_of(error.code()), error.what());
  answer["code"] = spelling(error.code());
  answer["place"] = error.place();
  if (!error.help().empty()) answer["help"] = error.help();
  return answer;
}

struct Outcome {
  Json answer;
  bool goes_on = true;
};

Outcome answer_safely(const Answer& answer, const Json& request, const Progress& progress) {
  try {
    Json whole = {{"ok", true}};
    whole.update(answer(request, progress));
    return {whole};
  } catch (const Error& error) {
    return {failure_of(error)};
  } catch (const Failure& error) {
    return {failure(error.kind(), error.what()), !error.ends()};
  } catch (const std::bad_alloc&) {
    return {failure("memory", "out of memory")};
  } catch (const std::exception& error) {
    return {failure("internal", error.what())};
  }
}

enum class Next { request, done, failed };

// One request.
Next answer_one(const Answer& answer, Answers& answers, const std::string& line) {
  Json request, id;
  try {
    request = parse_json(line, "request");
    if (request.is_object() && request.contains("id")) id = request["id"];
    if (!request.is_object()) throw Error(Code::usage, "a request must be an object");
  } catch (const Error& error) {
    Json bad = {{"id", id}};
    bad.update(failure("usage", error.what()));
    answers.write(bad);
    return Next::request;
  }
  const bool quit = request.contains("op") && request["op"] == "quit";
  Outcome outcome{{{"ok", true}}};
  if (!quit) outcome = answer_safely(answer, request, [&](double done) { answers.progress(id, done); });
  Json whole = {{"id", id}};
  whole.update(outcome.answer);
  answers.write(whole);
  if (!outcome.goes_on) return Next::failed;
  return quit ? Next::done : Next::request;
}

// The next line of stdin; false at its end. A line above the limit is cut, which makes it a bad request.
bool read_request(std::string& line) {
  line.clear();
  int c = 0;
  while ((c = ::getc_unlocked(stdin)) != EOF && c != '\n')
    if (line.size() < kLongestRequest) line += static_cast<char>(c);
  return c != EOF || !line.empty();
}

}  // namespace

int serve(const Answer& answer) {
  Answers answers(::dup(STDOUT_FILENO));
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is a failed write, not a death
  try {
    for (std::string line; read_request(line);) {
      if (line.empty()) continue;
      const Next next = answer_one(answer, answers, line);
      if (next != Next::request) return next == Next::done ? 0 : 1;
    }
  } catch (const Gone&) {
    return 1;
  }
  return 0;
}

}  // namespace tailor::serving

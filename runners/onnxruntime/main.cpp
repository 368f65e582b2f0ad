// tailor-runner-onnxruntime: answers the runner protocol (docs/runner-protocol.md) on stdin and stdout.
//   tailor-runner-onnxruntime [--library FILE]
// The real stdout is kept for answers and file descriptor 1 points to stderr, so nothing that the runtime
// prints can break the protocol. The library is loaded at the first request: if it is missing, that is an
// answer.
#include "runners/onnxruntime/evaluate.h"
#include "runners/onnxruntime/host.h"
#include "runners/onnxruntime/layer.h"
#include "runners/onnxruntime/profile.h"
#include "runners/onnxruntime/session.h"
#include "runners/onnxruntime/timing.h"
#include "runners/onnxruntime/trace.h"
#include "tailor/base/file.h"
#include "tailor/latency/workload.h"
#include "tailor/onnx/onnx.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <new>
#include <optional>

namespace tailor::ort {
namespace {

constexpr int kProtocol = 1;
constexpr std::size_t kLongestRequest = std::size_t{64} << 20;

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

class Service {
 public:
  explicit Service(std::string library) : library_(std::move(library)) {}

  Json answer(const Json& request, const Progress& progress) {
    std::string op = text(request, "op", "request");
    if (op == "hello") return hello();
    if (op == "time") return time(request, progress);
    if (op == "run") return evaluate(models(), request, progress);
    if (op == "profile") return profile(request, progress);
    throw Error(Code::usage, fmt::format("unknown op \"{}\"", op.substr(0, 40)));
  }

 private:
  const Api& api() {
    if (!api_) api_.emplace(library_);
    return *api_;
  }
  ModelCache& models() {
    if (!models_) models_.emplace(api());
    return *models_;
  }

  Json hello() {
    Host host = this_host();
    return {{"protocol", kProtocol},       {"runtime", "onnxruntime"},
            {"version", api().version()},  {"isa", host.isa},
            {"processor", host.processor}, {"library", api().library()},
            {"cores", host.cores},         {"clock", StopWatch::of_threads(1).name()},
            {"workloads", true},           {"profiles", true}};
  }

  // What the profiler costs per node, found once.
  double overhead() {
    if (!overhead_) overhead_ = profiler_overhead(api());
    return *overhead_;
  }
  static Json shapes_of(const Json& job) { return job.contains("inputs") ? job["inputs"] : Json(); }

  TimedJob prepare(const Json& job, const Measurement& how) {
    if (job.contains("workload")) {
      auto workload = latency::parse_workload(text(job, "workload", "job"));
      TemporaryFolder folder(true);
      auto file = folder.fresh(".onnx");
      onnx::write(layer_model(workload, how.seed), file);
      auto trace = std::make_shared<TracedModel>(api(), file, how.threads, overhead());
      auto model = trace->model();
      return {Prepared(model, random_inputs(*model, resolve_shapes(*model, Json()), how.seed)), trace};
    }
    auto model = models().get(text(job, "model", "job"), Loading{how.threads});
    return {Prepared(model, random_inputs(*model, resolve_shapes(*model, shapes_of(job)), how.seed))};
  }

  Json time(const Json& request, const Progress& progress) {
    Measurement how = parse_measurement(request);
    const Json& jobs = member(request, "jobs", "request");
    if (!jobs.is_array()) throw Error(Code::usage, "\"jobs\" must be an array");
    std::vector<TimedJob> prepared;
    for (const Json& job : jobs) {
      prepared.push_back(prepare(job, how));
      progress(0);
    }
    Json list = Json::array();
    std::size_t rounds = 0;
    for (const JobSamples& samples : measure(prepared, how, progress)) {
      rounds = samples.us.size();
      list.push_back({{"us", samples.us}, {"clock", samples.clock}, {"kernel", samples.kernel}});
    }
    return {{"jobs", std::move(list)}, {"rounds", rounds}};
  }

  Json profile(const Json& request, const Progress& progress) {
    const Json& job = member(request, "job", "request");
    return profile_in_place(models(), overhead(), text(job, "model", "job"), shapes_of(job),
                            parse_measurement(request), progress);
  }

  std::string library_;
  std::optional<Api> api_;
  std::optional<ModelCache> models_;
  std::optional<double> overhead_;
};

const char* kind_of(Code code) {
  if (code == Code::runtime_refused) return "refused";
  if (code == Code::runtime_missing) return "device";
  return static_cast<int>(code) / 1000 == 1 ? "internal" : "usage";
}

Json failure(const char* kind, const std::string& message) {
  return {{"ok", false}, {"kind", kind}, {"message", message}};
}

Json answer_safely(Service& service, const Json& request, const Progress& progress) {
  try {
    Json result = service.answer(request, progress);
    Json answer = {{"ok", true}};
    answer.update(result);
    return answer;
  } catch (const Error& error) {
    Json answer = failure(kind_of(error.code()), error.what());
    answer["code"] = spelling(error.code());
    answer["place"] = error.place();
    return answer;
  } catch (const std::bad_alloc&) {
    return failure("memory", "out of memory");
  } catch (const std::exception& error) {
    return failure("internal", error.what());
  }
}

// One request; false if it asks to quit.
bool serve(Service& service, Answers& answers, const std::string& line) {
  Json request, id;
  try {
    request = parse_json(line, "request");
    if (request.is_object() && request.contains("id")) id = request["id"];
    if (!request.is_object()) throw Error(Code::usage, "a request must be an object");
  } catch (const Error& error) {
    Json answer = {{"id", id}};
    answer.update(failure("usage", error.what()));
    answers.write(answer);
    return true;
  }
  bool quit = request.contains("op") && request["op"] == "quit";
  Json answer = {{"id", id}};
  answer.update(quit ? Json{{"ok", true}}
                     : answer_safely(service, request, [&](double done) { answers.progress(id, done); }));
  answers.write(answer);
  return !quit;
}

// The next line of stdin; false at its end. A line above the limit is cut, which makes it a bad request.
bool read_request(std::string& line) {
  line.clear();
  int c = 0;
  while ((c = ::getc_unlocked(stdin)) != EOF && c != '\n')
    if (line.size() < kLongestRequest) line += static_cast<char>(c);
  return c != EOF || !line.empty();
}

int serve_all(const std::string& library) {
  Answers answers(::dup(STDOUT_FILENO));
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is a failed write, not a death
  Service service(library);
  try {
    for (std::string line; read_request(line);)
      if (!line.empty() && !serve(service, answers, line)) break;
  } catch (const Gone&) {
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace tailor::ort

int main(int count, char** arguments) {
  std::string library;
  for (int i = 1; i < count; ++i) {
    std::string argument = arguments[i];
    if (argument == "--library" && i + 1 < count) {
      library = arguments[++i];
    } else {
      fmt::print(stderr,
                 "usage: tailor-runner-onnxruntime [--library FILE]\nSpeaks the protocol of "
                 "docs/runner-protocol.md on "
                 "stdin and stdout.\n");
      return argument == "--help" ? 0 : 2;
    }
  }
  return tailor::ort::serve_all(library);
}

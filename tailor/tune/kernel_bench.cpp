// compile_kernel: a subprocess whose end is waited for. KernelRunner: requests and answers as JSON lines; a runner that
// dies or hangs is an outcome, and the next call starts another.
#include "tailor/tune/kernel_bench.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/json.h"
#include "tailor/base/subprocess.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <optional>

namespace tailor::tune {
namespace fs = std::filesystem;
namespace {

// A text of a runner's answer; nothing where it says something else there.
std::string said(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
}

constexpr std::size_t kLongestAnswer = std::size_t{16} << 20;
constexpr double kGrace = 0.5, kStartTimeout = 20;

std::string compiler_of(const CompilerOptions& options) {
  const char* chosen = std::getenv("CXX");
  return !options.command.empty() ? options.command : chosen && *chosen ? chosen : "c++";
}

std::string last_words(const std::string& errors) {
  constexpr std::size_t kMost = 400;
  return errors.size() > kMost ? errors.substr(errors.size() - kMost) : errors;
}

}  // namespace

std::string shell_quoted(const std::string& word) {
  std::string text = "'";
  for (char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string runner_beside(const std::string& name) {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path() / name;
  if (error || !fs::exists(program))
    throw Error(Code::runtime_missing, "the program that runs kernels is not there", program.string(),
                fmt::format("build the target {}", name));
  return "exec " + shell_quoted(program.string());
}

Compiled compile_kernel(const std::string& source, const fs::path& library, const CompilerOptions& options) {
  fs::path text = library;
  text.replace_extension(".cc");
  write_file(text, source);
  std::string command = "exec ";
  if (!options.cores.empty()) command += fmt::format("taskset -c {} ", fmt::join(options.cores, ","));
  command += fmt::format("nice -n 10 {} -std=c++17 -w {} -shared -fPIC -o {} {}", compiler_of(options),
                         options.flags, shell_quoted(library.string()), shell_quoted(text.string()));
  const auto start = std::chrono::steady_clock::now();
  // What a compiler that is killed leaves behind goes with the library's folder.
  Subprocess compiler(command, {{"TMPDIR", library.parent_path().string()}});
  const Subprocess::Line line = compiler.read_line(options.timeout_s, kLongestAnswer);
  const std::string end = compiler.end(line.outcome == Subprocess::Outcome::closed ? options.timeout_s : 0);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  Compiled compiled{Outcome::ok, library, spent.count(), ""};
  if (line.outcome == Subprocess::Outcome::timeout)
    compiled.outcome = Outcome::timeout;
  else if (end != "exit status 0" || !fs::exists(library))
    compiled.outcome = Outcome::compile;
  if (compiled.outcome != Outcome::ok) compiled.message = last_words(end + ": " + compiler.last_errors());
  std::error_code ignored;
  fs::remove(text, ignored);
  return compiled;
}

std::string compiler_version(const CompilerOptions& options) {
  Subprocess compiler("exec " + compiler_of(options) + " --version");
  const Subprocess::Line line = compiler.read_line(options.timeout_s, kLongestAnswer);
  if (line.outcome == Subprocess::Outcome::done && !line.text.empty()) return line.text;
  throw Error(Code::runtime_missing, fmt::format("the compiler '{}' does not start", compiler_of(options)),
              "CXX", "install a C++ compiler, or name one in the environment variable CXX");
}

bool was_killed(const KernelTiming& timing) {
  return timing.outcome == Outcome::invalid && timing.message.starts_with("signal 9");
}

struct KernelRunner::Process {
  int core;
  std::string command;
  double timeout_s;
  std::optional<Subprocess> child = std::nullopt;
  std::int64_t id = 0;
  Json greeting = {};

  struct Answer {
    Outcome outcome = Outcome::ok;  // ok: it answered, whatever it said
    Json json;
    std::string message;
  };
  // One request and its answer; a child that does not answer is gone afterwards.
  Answer ask(Json request, double patience) {
    return send(std::move(request), patience) ? receive(patience) : lost(Outcome::invalid);
  }
  bool send(Json request, double patience) {
    request["id"] = ++id;
    return child->write_line(to_line(request), patience) == Subprocess::Outcome::done;
  }
  Answer receive(double patience) {
    const Subprocess::Line line = child->read_line(patience, kLongestAnswer);
    if (line.outcome != Subprocess::Outcome::done)
      return lost(line.outcome == Subprocess::Outcome::timeout ? Outcome::timeout : Outcome::invalid);
    try {
      Json json = parse_json(line.text, "answer of the kernel runner");
      if (integer(json, "id", "answer") != id) return lost(Outcome::invalid);
      boolean(json, "ok", "answer");
      return {Outcome::ok, std::move(json), ""};
    } catch (const Error&) {
      return lost(Outcome::invalid);
    }
  }
  Answer lost(Outcome outcome) {
    const std::string end = child->end(outcome == Outcome::timeout ? 0 : kGrace),
                      errors = child->last_errors();
    child.reset();
    return {outcome, Json(), last_words(errors.empty() ? end : end + ": " + errors)};
  }
  // What is missing on the runner's side, in its own words; likewise a device that there is not.
  static void throw_if_told(const Json& json) {
    if (!json.is_object()) return;
    const std::string code = said(json, "code");
    for (Code known : {Code::runtime_missing, Code::unknown_name})
      if (code == spelling(known))
        throw Error(known, said(json, "message"), said(json, "place"), said(json, "help"));
  }
  void start() {
    if (child) return;
    child.emplace(command);
    Json hello = {{"op", "hello"}};
    if (core >= 0) hello["cpu"] = core;
    Answer answer = ask(std::move(hello), kStartTimeout);
    if (answer.outcome == Outcome::ok && answer.json["ok"].get<bool>()) {
      greeting = std::move(answer.json);
      return;
    }
    child.reset();
    throw_if_told(answer.json);
    throw Error(Code::runner_failed,
                fmt::format("the runner of kernels does not start: {}",
                            answer.outcome == Outcome::ok ? said(answer.json, "message") : answer.message),
                command);
  }
};

KernelRunner::KernelRunner(int core, std::string command, double timeout_s)
    : process_(std::make_unique<Process>(
          Process{core, command.empty() ? runner_beside("tailor-runner-kernels") : command, timeout_s})) {
  process_->start();
}
KernelRunner::~KernelRunner() = default;
KernelRunner::KernelRunner(KernelRunner&&) noexcept = default;
KernelRunner& KernelRunner::operator=(KernelRunner&&) noexcept = default;
const Json& KernelRunner::hello() const { return process_->greeting; }

namespace {

// Of a kernel that is not right: it computes something else, or a runner that compiles says what became of it.
KernelTiming failure_from(const Json& json) {
  const std::optional<Outcome> told =
      json.contains("outcome") ? find_outcome(text(json, "outcome", "answer")) : Outcome::wrong_result;
  if (!told || *told == Outcome::ok) return {Outcome::invalid, {}, "the runner gave no outcome"};
  if (*told != Outcome::wrong_result) return {*told, {}, last_words(said(json, "message"))};
  return {*told,
          {},
          fmt::format("error {} of the sum of absolute products", to_line(member(json, "error", "answer")))};
}

// What an answer to "time" or "load" says.
KernelTiming timing_from(const Json& json) {
  if (!json["ok"].get<bool>()) return {Outcome::invalid, {}, last_words(said(json, "message"))};
  try {
    if (!boolean(json, "right", "answer")) return failure_from(json);
    KernelTiming timing;
    const Json& us = member(json, "us", "answer");
    for (const Json& sample : us.is_array() ? us : Json::array({us}))
      if (sample.is_number() && sample.get<double>() > 0) timing.us.push_back(sample.get<double>());
    if (timing.us.empty()) return {Outcome::invalid, {}, "the runner gave no times"};
    if (json.contains("compile_s")) timing.compile_s = number(json, "compile_s", "answer");
    if (json.contains("kernel")) timing.kernel = text(json, "kernel", "answer");
    return timing;
  } catch (const Error& error) {
    return {Outcome::invalid, {}, error.what()};
  }
}

}  // namespace

// Asks for times; what went wrong on the way is an outcome too.
KernelTiming KernelRunner::ask_times(Json request) {
  process_->start();
  const Process::Answer answer = process_->ask(std::move(request), process_->timeout_s);
  if (answer.outcome != Outcome::ok) return {answer.outcome, {}, answer.message};
  return timing_from(answer.json);
}

KernelTiming KernelRunner::time(const fs::path& library, const latency::Workload& workload, int workers,
                                int samples, double min_sample_us, const std::vector<std::int64_t>& shape) {
  Json request = {
      {"op", "time"},       {"library", library.string()}, {"workload", latency::to_string(workload)},
      {"workers", workers}, {"samples", samples},          {"min_sample_us", min_sample_us}};
  if (!shape.empty()) request["shape"] = shape;
  return ask_times(std::move(request));
}

KernelTiming KernelRunner::time_onednn(const std::string& file, const latency::Workload& workload,
                                       int samples, double min_sample_us) {
  return ask_times({{"op", "time"},
                    {"onednn", file},
                    {"workload", latency::to_string(workload)},
                    {"workers", 1},
                    {"samples", samples},
                    {"min_sample_us", min_sample_us}});
}

KernelTiming KernelRunner::load(const std::string& name, const fs::path& library,
                                const latency::Workload& workload, int workers) {
  return ask_times({{"op", "load"},
                    {"name", name},
                    {"library", library.string()},
                    {"workload", latency::to_string(workload)},
                    {"workers", workers}});
}

KernelTiming KernelRunner::load_stressor(const std::string& name, int workers) {
  return ask_times({{"op", "load"}, {"name", name}, {"stressor", name}, {"workers", workers}});
}

void KernelRunner::begin_window(const std::string& name, const std::vector<int>& cores, double seconds) {
  process_->start();
  if (!process_->send({{"op", "window"}, {"name", name}, {"cores", cores}, {"seconds", seconds}},
                      process_->timeout_s))
    throw Error(Code::runner_failed,
                "the runner of kernels died: " + process_->lost(Outcome::invalid).message, name);
}

KernelWindow KernelRunner::take_window() {
  const Process::Answer answer = process_->receive(process_->timeout_s);
  if (answer.outcome != Outcome::ok)
    throw Error(Code::runner_failed, "the runner of kernels died in a window: " + answer.message, "window");
  const Json& json = answer.json;
  if (!json["ok"].get<bool>())
    throw Error(Code::runner_failed, "the runner refuses a window: " + said(json, "message"), "window");
  KernelWindow window;
  for (auto [key, list] : {std::pair{"us", &window.us}, std::pair{"begin_us", &window.begin_us},
                           std::pair{"end_us", &window.end_us}})
    for (const Json& value : member(json, key, "answer"))
      list->push_back(value.is_number() ? value.get<double>() : 0);
  if (window.us.size() != window.begin_us.size() || window.us.size() != window.end_us.size())
    throw Error(Code::runner_failed, "the runner's lists are of different lengths", "window");
  return window;
}

double KernelRunner::sentinel_us() {
  process_->start();
  const Process::Answer answer = process_->ask({{"op", "sentinel"}}, process_->timeout_s);
  if (answer.outcome != Outcome::ok || !answer.json["ok"].get<bool>()) return 0;
  const Json us = answer.json.value("us", Json());
  return us.is_number() ? us.get<double>() : 0;
}

}  // namespace tailor::tune

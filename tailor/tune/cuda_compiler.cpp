// CompilerProcess: one runner, started again after it died. compile_cuda: as many of them as there are jobs, each on a
// thread that takes the next text; the first error ends them all.
#include "tailor/tune/cuda_compiler.h"

#include "tailor/base/error.h"
#include "tailor/base/json.h"
#include "tailor/base/subprocess.h"
#include "tailor/tune/kernel_bench.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

namespace tailor::tune {
namespace {

constexpr std::size_t kLongestAnswer = std::size_t{16} << 20, kMostWords = 2000, kMostKernels = 64;
constexpr double kStartTimeout = 60, kGrace = 0.5;
constexpr const char* kPlace = "answer of the CUDA runner";

[[noreturn]] void nonsense(const std::string& why, const std::string& command) {
  throw Error(Code::runner_failed, "the compiling runner answers nonsense: " + why, command,
              "is it tailor-runner-cuda of this version?");
}

std::string said(const Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? at->get<std::string>().substr(0, kMostWords) : std::string();
}

// A number that may be missing nowhere and is of a size that there can be.
std::int64_t bounded(const Json& json, const char* key, std::int64_t most) {
  const std::int64_t value = integer(json, key, kPlace);
  if (value < 0 || value > most) throw Error(Code::bad_json, fmt::format("\"{}\" is {}", key, value), kPlace);
  return value;
}

double seconds_in(const Json& json) {
  const double seconds = number(json, "seconds", kPlace);
  if (!(seconds >= 0 && seconds < 1e6)) throw Error(Code::bad_json, "\"seconds\" is no time", kPlace);
  return seconds;
}

CudaKernelFacts facts_from(const Json& json) {
  constexpr std::int64_t kMostBytes = std::int64_t{1} << 31, kMostRegisters = 255;
  CudaKernelFacts facts;
  facts.name = text(json, "name", kPlace);
  facts.registers = static_cast<int>(bounded(json, "registers", kMostRegisters));
  facts.shared_bytes = bounded(json, "shared_bytes", kMostBytes);
  facts.stack_bytes = bounded(json, "stack_bytes", kMostBytes);
  facts.spill_stores = bounded(json, "spill_stores", kMostBytes);
  facts.spill_loads = bounded(json, "spill_loads", kMostBytes);
  if (facts.registers == 0) throw Error(Code::bad_json, "nothing is said of registers", kPlace);
  return facts;
}

CudaBuild build_from(const Json& json) {
  CudaBuild build;
  const std::optional<Outcome> outcome = find_outcome(text(json, "outcome", kPlace));
  if (!outcome) throw Error(Code::bad_json, "an unknown outcome", kPlace);
  build.outcome = *outcome, build.message = said(json, "message"), build.seconds = seconds_in(json);
  if (build.outcome != Outcome::ok) return build;
  build.cubin_bytes = bounded(json, "cubin_bytes", std::int64_t{1} << 31);
  const Json& kernels = member(json, "kernels", kPlace);
  if (!kernels.is_array() || kernels.size() > kMostKernels)
    throw Error(Code::bad_json, "\"kernels\" is no list of kernels", kPlace);
  for (const Json& kernel : kernels) build.kernels.push_back(facts_from(kernel));
  if (!build.find("product")) throw Error(Code::bad_json, "nothing is said of the kernel product", kPlace);
  return build;
}

// What the runner says of itself and of what it was asked for, in its own words; nothing of a single text.
void throw_if_told(const Json& json) {
  const std::string code = said(json, "code");
  for (Code known : {Code::runtime_missing, Code::runtime_refused, Code::bad_value})
    if (code == spelling(known))
      throw Error(known, said(json, "message"), said(json, "place"), said(json, "help"));
}

class CompilerProcess {
 public:
  CompilerProcess(std::string command, double timeout_s)
      : command_(std::move(command)), timeout_s_(timeout_s) {}

  // @param file that the cubin is written to; "": nowhere
  CudaBuild compile(const std::string& source, const std::string& architecture, const std::string& file) {
    Json request = {{"op", "compile"}, {"text", source}, {"architecture", architecture}};
    if (!file.empty()) request["file"] = file;
    return answer(std::move(request), timeout_s_);
  }
  // Of the compiler itself, which must answer. @throws Error
  Json describe() {
    CudaBuild failed;
    const std::optional<Json> json = ask({{"op", "compiler"}}, kStartTimeout, failed);
    if (json && member(*json, "ok", kPlace) == true) return *json;
    if (json) throw_if_told(*json), failed.message = said(*json, "message");
    throw Error(Code::runner_failed, "the runner that compiles does not start: " + failed.message, command_,
                "tailor-runner-cuda lies beside tailor; --runner names another");
  }

 private:
  CudaBuild answer(Json request, double patience) try {
    CudaBuild build;
    const std::optional<Json> json = ask(std::move(request), patience, build);
    if (!json) return build;
    if (boolean(*json, "ok", kPlace)) return build_from(*json);
    throw_if_told(*json);
    build.outcome = Outcome::invalid, build.message = said(*json, "message");
    return build;
  } catch (const Error& error) {
    if (error.code() == Code::bad_json) nonsense(error.what(), command_);
    throw;
  }

  // The answer; nothing, and why in `lost`, where there is none: the process is gone then.
  std::optional<Json> ask(Json request, double patience, CudaBuild& lost) {
    if (!child_) child_.emplace(command_);
    request["id"] = ++id_;
    if (child_->write_line(to_line(request), patience) != Subprocess::Outcome::done)
      return end(Outcome::invalid, lost);
    const Subprocess::Line line = child_->read_line(patience, kLongestAnswer);
    if (line.outcome == Subprocess::Outcome::timeout) return end(Outcome::timeout, lost);
    if (line.outcome == Subprocess::Outcome::too_long) nonsense("a line of more than 16 MiB", command_);
    if (line.outcome != Subprocess::Outcome::done) return end(Outcome::invalid, lost);
    Json json = parsed(line.text);
    if (!json.is_object() || json.value("id", Json()) != id_ || !json.contains("ok"))
      nonsense("an answer to something else", command_);
    return json;
  }
  Json parsed(const std::string& line) try { return parse_json(line, kPlace); } catch (const Error& error) {
    nonsense(error.what(), command_);
  }
  std::optional<Json> end(Outcome outcome, CudaBuild& lost) {
    const std::string how = child_->end(outcome == Outcome::timeout ? 0 : kGrace),
                      words = child_->last_errors();
    child_.reset();
    lost.outcome = outcome;
    lost.message = outcome == Outcome::timeout
                       ? fmt::format("no answer in {:g} s", timeout_s_)
                       : (words.empty() ? how : how + ": " + words).substr(0, kMostWords);
    return std::nullopt;
  }

  std::string command_;
  double timeout_s_;
  std::optional<Subprocess> child_;
  std::int64_t id_ = 0;
};

// "sm_90a" -> 90
int number_of(const std::string& architecture) {
  int number = 0;
  for (char c : architecture)
    if (c >= '0' && c <= '9' && number < 1000) number = 10 * number + (c - '0');
  return number;
}

void check_known(const std::string& architecture, const CudaCompiler& compiler) {
  const std::vector<int>& known = compiler.architectures;
  if (std::find(known.begin(), known.end(), number_of(architecture)) != known.end()) return;
  throw Error(
      Code::runtime_refused, fmt::format("NVRTC {} does not compile for {}", compiler.version, architecture),
      compiler.library,
      fmt::format("it knows {}; another one is named by TAILOR_CUDA_LIBRARIES", fmt::join(known, ", ")));
}

}  // namespace

const CudaKernelFacts* CudaBuild::find(const std::string& kernel) const {
  const auto at =
      std::find_if(kernels.begin(), kernels.end(), [&](const auto& k) { return k.name == kernel; });
  return at == kernels.end() ? nullptr : &*at;
}

CudaCompiler find_cuda_compiler(const std::string& command) {
  CudaCompiler compiler;
  compiler.command = command.empty() ? runner_beside("tailor-runner-cuda") : command;
  CompilerProcess process(compiler.command, compiler.timeout_s);
  const Json json = process.describe();
  try {
    compiler.version = text(json, "version", kPlace), compiler.library = text(json, "library", kPlace);
    for (const Json& number : member(json, "architectures", kPlace))
      if (number.is_number_integer()) compiler.architectures.push_back(number.get<int>());
  } catch (const Error& error) {
    nonsense(error.what(), compiler.command);
  }
  return compiler;
}

std::vector<CudaBuild> compile_cuda(const std::vector<std::string>& texts, const std::string& architecture,
                                    const CudaCompiler& compiler, int jobs,
                                    const std::function<void(int)>& on_done,
                                    const std::vector<std::filesystem::path>& files) {
  TAILOR_CHECK(jobs >= 1 && jobs <= 32 && (files.empty() || files.size() == texts.size()));
  check_known(architecture, compiler);
  std::vector<CudaBuild> builds(texts.size());
  std::atomic<std::size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex one_at_a_time;
  std::exception_ptr first;
  int done = 0;
  auto work = [&] {
    try {
      CompilerProcess process(compiler.command, compiler.timeout_s);
      for (std::size_t i = next++; i < texts.size() && !stop; i = next++) {
        builds[i] = process.compile(texts[i], architecture, files.empty() ? "" : files[i].string());
        const std::lock_guard lock(one_at_a_time);
        if (on_done) on_done(++done);
      }
    } catch (...) {
      const std::lock_guard lock(one_at_a_time);
      if (!stop.exchange(true)) first = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int job = 0; job < std::min<int>(jobs, static_cast<int>(texts.size())); ++job)
      threads.emplace_back(work);
  }
  if (first) std::rethrow_exception(first);
  return builds;
}

}  // namespace tailor::tune

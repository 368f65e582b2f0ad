// find_cuda: what the runner says of itself. CudaBench: one request for a batch; a runner that is lost over it is an outcome.
#include "tailor/tune/cuda_bench.h"

#include "tailor/base/error.h"
#include "tailor/base/json.h"
#include "tailor/device/facts.h"
#include "tailor/runtime/runner.h"
#include "tailor/tune/cuda_source.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <optional>

namespace tailor::tune {
namespace {

constexpr const char* kAnswer = "answer of the CUDA runner";
constexpr int kPatience = 3;  // times that a runner may be killed from outside

runtime::RunnerOptions runner_options(const std::string& command, double timeout_s) {
  runtime::RunnerOptions options;
  options.command = command, options.silence_timeout_s = timeout_s;
  return options;
}

Json request_for(int multiprocessors, const std::vector<CudaTrial>& trials, int samples,
                 double min_sample_us) {
  Json list = Json::array();
  for (const CudaTrial& trial : trials)
    list.push_back({{"share", trial.share},
                    {"cubin", trial.cubin.string()},
                    {"launch", parse_json(trial.launch, "launch")},
                    {"workload", latency::to_string(trial.workload)}});
  return {{"op", "trials"},
          {"least", multiprocessors},
          {"samples", samples},
          {"min_sample_us", min_sample_us},
          {"trials", std::move(list)}};
}

CudaTiming timing_from(const Json& json) {
  CudaTiming timing;
  const std::optional<Outcome> outcome = find_outcome(text(json, "outcome", kAnswer));
  if (!outcome) throw Error(Code::bad_json, "an unknown outcome", kAnswer);
  timing.outcome = *outcome, timing.message = text(json, "message", kAnswer);
  for (const Json& us : member(json, "us", kAnswer))
    if (us.is_number() && us.get<double>() > 0) timing.us.push_back(us.get<double>());
  if (timing.outcome == Outcome::ok && timing.us.empty())
    timing.outcome = Outcome::invalid, timing.message = "the runner gave no times";
  return timing;
}

std::vector<CudaTiming> timings_from(const Json& json, const std::vector<CudaTrial>& trials) {
  const Json& list = member(json, "trials", kAnswer);
  const Json& shares = member(json, "shares", kAnswer);
  if (!list.is_array() || list.size() != trials.size())
    throw Error(Code::bad_json, "not as many trials as were asked for", kAnswer);
  std::vector<CudaTiming> timings;
  for (std::size_t i = 0; i < trials.size(); ++i) {
    timings.push_back(timing_from(list[i]));
    const auto share = static_cast<std::size_t>(trials[i].share);
    if (!shares.is_array() || share >= shares.size())
      throw Error(Code::bad_json, "nothing is said of a share", kAnswer);
    timings[i].multiprocessors = static_cast<int>(integer(shares[share], "multiprocessors", kAnswer));
  }
  const Json& sentinels = member(json, "sentinel", kAnswer);  // of the shares in which something was timed
  for (const Json& sentinel : sentinels)
    for (std::size_t i = 0; i < trials.size(); ++i)
      if (integer(sentinel, "share", kAnswer) == trials[i].share)
        timings[i].before_us = number(sentinel, "before_us", kAnswer),
        timings[i].after_us = number(sentinel, "after_us", kAnswer);
  for (CudaTiming& timing : timings) timing.alone = sentinels.size() == 1;
  return timings;
}

}  // namespace

CudaPlace find_cuda(int number, const std::string& runner) {
  CudaPlace place;
  place.runner = runner.empty() ? runner_beside("tailor-runner-cuda") : runner;
  if (number > 0) place.runner += fmt::format(" --gpu {}", number);
  runtime::Runner asked(runner_options(place.runner, 60));
  const Json hello = asked.ask({{"op", "hello"}});
  if (!hello.contains("device"))
    throw Error(Code::runner_failed, "the runner says nothing of a GPU", place.runner,
                "--backend cuda wants tailor-runner-cuda");
  const device::Facts facts = device::facts_from_json(hello["device"]);
  place.device = device::describe(facts), place.driver = facts.driver_version;
  place.least = facts.least_partition, place.alignment = std::max(1, facts.partition_alignment);
  place.architecture = cuda_architecture(place.device);
  place.compiler = find_cuda_compiler(place.runner);
  return place;
}

double cuda_share(const CudaPlace& place, double share) {
  const int all = place.device.sm.count;
  if (!(share > 0 && share <= 1))
    throw Error(Code::bad_value, fmt::format("{:g} % is no share", 100 * share), "--share",
                "above 0, at most 100");
  if (share == 1) return 1;
  if (place.least < 1)
    throw Error(Code::bad_value, "the driver has no shares of the device (green contexts)", "--share",
                "--share 100; they came with CUDA 12.4");
  const int steps = static_cast<int>(std::lround(share * all / place.alignment));
  const int multiprocessors = std::max(place.least, steps * place.alignment);
  return multiprocessors >= all ? 1 : static_cast<double>(multiprocessors) / all;
}

int cuda_shares_at_once(const CudaPlace& place, int multiprocessors) {
  return std::max(1, place.device.sm.count / multiprocessors);
}

std::string cuda_launch_line(const std::string& text) {
  constexpr std::string_view kIntroduction = "// tailor ";
  TAILOR_CHECK(text.starts_with(kIntroduction));
  return text.substr(kIntroduction.size(), text.find('\n') - kIntroduction.size());
}

Backend cuda_backend(const CudaPlace& place) {
  Backend backend;
  // A share is of so many multiprocessors, so their number is part of the device's class.
  const MachineClass machine = {
      fmt::format("CUDA: {}, {} multiprocessors", place.device.title, place.device.sm.count),
      fmt::format("driver {}, NVRTC {}, {}", place.driver, place.compiler.version, place.architecture),
      cuda_hash()};
  backend.machine = [machine] { return machine; };
  backend.no_kernel = no_cuda_kernel;
  backend.space = [device = place.device](const latency::Workload& w, int multiprocessors) {
    device::Device share = device;
    share.sm.count = multiprocessors;
    return cuda_space(w, share);
  };
  backend.source = cuda_source;
  backend.shapeless = nullptr;
  backend.compile = [place](const std::string& text, const std::filesystem::path& file) {
    const CudaBuild build = compile_cuda({text}, place.architecture, place.compiler, 1, {}, {file}).front();
    return Compiled{build.outcome, file, build.seconds, build.message};
  };
  backend.extension = ".cubin", backend.clock = "gpu events", backend.unit = "sm";
  backend.at_once = true, backend.halves = true;
  return backend;
}

struct CudaBench::State {
  std::string command;
  double timeout_s;
  std::optional<runtime::Runner> runner = std::nullopt;

  void start() {
    if (!runner) runner.emplace(runner_options(command, timeout_s));
  }
  // Nothing, and why in `lost`, where the process is gone.
  std::optional<Json> ask(const Json& request, CudaTiming& lost) {
    start();
    try {
      return runner->ask(request);
    } catch (const Error& error) {
      runner.reset();
      if (error.code() != Code::runner_failed) throw;
      const std::string why = error.what();
      auto said = [&](const char* words) { return why.find(words) != std::string::npos; };
      lost.outcome = said("did not answer") ? Outcome::timeout
                     : said("(memory)")     ? Outcome::device_limit
                                            : Outcome::invalid;
      lost.message = why.substr(0, 400);
      return std::nullopt;
    }
  }
};

CudaBench::CudaBench(const std::string& command, double timeout_s)
    : state_(std::make_unique<State>(State{command, timeout_s})) {
  state_->start();
}
CudaBench::~CudaBench() = default;
CudaBench::CudaBench(CudaBench&&) noexcept = default;
CudaBench& CudaBench::operator=(CudaBench&&) noexcept = default;

std::vector<CudaTiming> CudaBench::run(int multiprocessors, const std::vector<CudaTrial>& trials, int samples,
                                       double min_sample_us) {
  CudaTiming lost;
  for (int attempt = 0; attempt < kPatience; ++attempt) {
    const Json request = request_for(multiprocessors, trials, samples, min_sample_us);
    if (const std::optional<Json> answer = state_->ask(request, lost)) {
      try {
        return timings_from(*answer, trials);
      } catch (const Error& error) {
        throw Error(Code::runner_failed, std::string("the CUDA runner answers nonsense: ") + error.what(),
                    state_->command, "is it tailor-runner-cuda of this version?");
      }
    }
    if (lost.message.find("signal 9") == std::string::npos) break;
  }
  if (trials.size() == 1) return {lost};
  std::vector<CudaTiming> timings;
  for (const CudaTrial& trial : trials) {
    state_->runner.reset();
    timings.push_back(run(multiprocessors, {trial}, samples, min_sample_us).front());
  }
  return timings;
}

}  // namespace tailor::tune

// tailor doctor: each thing that tailor needs or uses, its state, and how to mend it.
#include "tailor/app/app.h"
#include "tailor/base/file.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/pipeline/gpu_target.h"
#include "tailor/runtime/measure.h"
#include "tailor/tune/cuda_compiler.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <thread>

namespace tailor::app {
namespace {

enum class State { ok, warn, missing, none };

const char* name(State state) {
  constexpr std::array kNames = {"ok", "WARN", "missing", "none"};
  return kNames[static_cast<std::size_t>(state)];
}

struct Finding {
  std::string what;
  State state = State::ok;
  std::string found;
  std::string fix = {};  // "" if there is nothing to do
};

struct Diagnosis {
  std::vector<Finding> findings;
  std::optional<Error> runtime_error;
};

struct CpuTimes {
  double all = 0, steal = 0;
};

// The first line of /proc/stat: user nice system idle iowait irq softirq steal.
CpuTimes cpu_times() {
  std::ifstream file("/proc/stat");
  std::string cpu;
  file >> cpu;
  CpuTimes times;
  for (int i = 0; i < 8; ++i) {
    double ticks = 0;
    file >> ticks;
    times.all += ticks;
    if (i == 7) times.steal = ticks;
  }
  return times;
}

double steal_between(const CpuTimes& a, const CpuTimes& b) {
  return b.all > a.all ? (b.steal - a.steal) / (b.all - a.all) : 0;
}

std::string clock_governor() {
  std::ifstream file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  std::string governor;
  file >> governor;
  return governor;
}

Finding runtime_finding(const runtime::Hello& hello) {
  return {"runtime", State::ok, fmt::format("{} {}, {}", hello.runtime, hello.version, hello.library)};
}

Finding processor_finding(const runtime::Hello& hello) {
  std::string governor = clock_governor();
  Finding finding{"processor", State::ok,
                  fmt::format("{}, {}, {} cores", hello.processor, hello.isa, hello.cores)};
  if (governor == "powersave") {
    finding.state = State::warn;
    finding.found += ", clock governor powersave";
    finding.fix = "set the governor to performance while measuring (cpupower frequency-set -g performance)";
  }
  return finding;
}

Finding load_finding(double steal) {
  std::array<double, 1> load = {0};
  bool known = ::getloadavg(load.data(), 1) == 1;
  auto cores = static_cast<double>(std::max(1u, std::thread::hardware_concurrency()));
  Finding finding{"load", State::ok,
                  fmt::format("{} on {:g} cores, steal {:.1f} %",
                              known ? fmt::format("{:.1f}", load[0]) : "unknown", cores, 100 * steal)};
  if (load[0] > 0.5 * cores || steal > 0.02) {
    finding.state = State::warn;
    finding.fix = "measurements take longer to become certain: stop other programs, or give --time 30s";
  }
  return finding;
}

// A workload against itself: what differs is noise.
Finding noise_finding(runtime::Runner& runner, double seconds) {
  runtime::Job job;
  job.workload = latency::parse_workload("conv_mb1_g1_ic16ih28iw28_oc16oh28ow28_kh3kw3_sh1sw1_ph1pw1_f32");
  std::array<runtime::Job, 2> jobs = {job, job};
  auto samples = runner.time(jobs, {.rounds = 100000, .time_limit_s = seconds});
  runtime::Summary s = runtime::summarize(samples[0].us);
  runtime::Comparison c = runtime::compare(samples[0].us, samples[1].us);
  Finding finding{
      "timer noise", State::ok,
      fmt::format("a layer of {} against itself: {:.3f} [{:.3f}, {:.3f}], spread {:.1f} %, n = {}",
                  duration(s.median), c.ratio, c.lo, c.hi, 100 * s.spread(), s.n)};
  if (c.hi - c.lo > 0.02 || c.lo > 1.01 || c.hi < 0.99) {
    finding.state = State::warn;
    finding.fix = "differences below this interval cannot be seen in a short run: give --time 30s";
  }
  return finding;
}

Finding cache_finding() try {
  std::filesystem::path folder = cache_folder();
  std::filesystem::path probe = folder / fmt::format("doctor-{}", ::getpid());
  write_file(probe, "x");
  std::filesystem::remove(probe);
  return {"cache", State::ok, folder.string()};
} catch (const std::exception& error) {
  return {"cache", State::warn, error.what(), "name a writable folder with TAILOR_CACHE"};
}

// Through its own runner: what the driver says, or what is missing.
Finding cuda_finding() try {
  runtime::Runner runner(pipeline::gpu_runner({}, "f32"));
  const runtime::Hello& hello = runner.hello();
  Finding finding{
      "cuda", State::ok,
      fmt::format("{} ({}), {} multiprocessors; {}", hello.processor, hello.isa, hello.cores, hello.version)};
  if (!hello.profiles)
    finding.state = State::warn,
    finding.fix = "kernels cannot be traced (CUPTI): layers are timed, networks not profiled";
  return finding;
} catch (const Error& error) {
  if (error.code() == Code::interrupted) throw;
  return {"cuda", State::none, error.what(), error.help()};
}

// Through its own runner: the first device, or what is missing.
Finding opencl_finding() try {
  runtime::RunnerOptions options;
  options.program = "tailor-runner-opencl";
  runtime::Runner runner(options);
  const runtime::Hello& hello = runner.hello();
  return {"opencl", State::ok,
          fmt::format("{}, {} compute units; {}; tune --backend opencl", hello.processor, hello.cores,
                      hello.version)};
} catch (const Error& error) {
  if (error.code() == Code::interrupted) throw;
  return {"opencl", State::none, error.what(), error.help()};
}

// Through the runner that compiles: no driver is needed.
Finding nvrtc_finding() try {
  const tune::CudaCompiler compiler = tune::find_cuda_compiler();
  return {"nvrtc", State::ok, fmt::format("{} ({}); tune rank", compiler.version, compiler.library)};
} catch (const Error& error) {
  if (error.code() == Code::interrupted) throw;
  return {"nvrtc", State::none, error.what(), error.help()};
}

Finding gpu_finding() {
  for (const char* node : {"/dev/nvidia0", "/dev/kfd", "/dev/nvhost-gpu"})
    if (::access(node, F_OK) == 0)
      return {"gpu", State::ok,
              fmt::format("a device is there ({}); the onnxruntime runner does not use it", node),
              "an NVIDIA device is measured with --device cuda"};
  return {"gpu", State::none, "no device of NVIDIA or AMD; not needed for models that run on the processor"};
}

void look_at_runtime(Diagnosis& diagnosis, const Global& global, double noise_s) {
  try {
    runtime::Runner runner(global.runner);
    diagnosis.findings.push_back(runtime_finding(runner.hello()));
    diagnosis.findings.push_back(processor_finding(runner.hello()));
    if (noise_s > 0 && runner.hello().workloads) diagnosis.findings.push_back(noise_finding(runner, noise_s));
  } catch (const Error& error) {
    if (error.code() == Code::interrupted) throw;
    diagnosis.findings.push_back({"runtime", State::missing, error.what(), error.help()});
    diagnosis.runtime_error = Error(Code::runtime_missing, error.what(), error.place(), error.help());
  }
}

Diagnosis diagnose(const Global& global, double noise_s) {
  Diagnosis diagnosis;
  Progress progress("doctor");
  progress.update(0, 0, "timer noise");
  CpuTimes before = cpu_times();
  look_at_runtime(diagnosis, global, noise_s);
  if (diagnosis.runtime_error || noise_s == 0) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  diagnosis.findings.push_back(load_finding(steal_between(before, cpu_times())));
  diagnosis.findings.push_back(cache_finding());
  diagnosis.findings.push_back(gpu_finding());
  diagnosis.findings.push_back(cuda_finding());
  diagnosis.findings.push_back(opencl_finding());
  diagnosis.findings.push_back(nvrtc_finding());
  return diagnosis;
}

Json to_json(const Diagnosis& diagnosis) {
  Json json = {{"schema", "tailor/doctor/1"}, {"usable", !diagnosis.runtime_error}};
  json["findings"] = Json::array();
  for (const Finding& f : diagnosis.findings)
    json["findings"].push_back(
        {{"what", f.what}, {"state", name(f.state)}, {"found", f.found}, {"fix", f.fix}});
  return json;
}

std::string text_of(const Diagnosis& diagnosis) {
  Table table({{""}, {""}, {""}});
  for (const Finding& f : diagnosis.findings) {
    table.row({f.what, name(f.state), f.found});
    if (!f.fix.empty()) table.row({"", "", "-> " + f.fix});
  }
  return table.text();
}

}  // namespace

int doctor(const Global& global, const DoctorOptions& options) {
  double noise_s = parse_seconds(options.noise_test, "--noise-test");
  if (noise_s > 600) throw Error(Code::bad_value, "at most ten minutes", "--noise-test");
  Diagnosis diagnosis = diagnose(global, noise_s);
  global.json ? print_document(to_json(diagnosis)) : print(text_of(diagnosis));
  if (!diagnosis.runtime_error) return 0;
  print_error(global, *diagnosis.runtime_error);
  return exit_code(diagnosis.runtime_error->code());
}

}  // namespace tailor::app

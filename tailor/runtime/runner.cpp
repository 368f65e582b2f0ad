// The client's side of the runner protocol. Process holds the child and turns one call into one request and
// one answer; whatever breaks the protocol ends the child. Below it, each verb: request out of values, values
// out of the answer.
#include "tailor/runtime/runner.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/interrupt.h"
#include "tailor/base/subprocess.h"
#include "tailor/graph/npy.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace tailor::runtime {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kLongestAnswer = std::size_t{256} << 20;
constexpr double kGrace = 0.5;
constexpr const char* kMissingHelp =
    "run scripts/get-onnxruntime once, or name a libonnxruntime.so with --ort-library or TAILOR_ORT_LIBRARY";

std::string quoted(const std::string& path) {
  std::string text = "'";
  for (char c : path) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

// The runner beside this program.
std::string default_command(const std::string& name, const std::string& arguments) {
  std::error_code error;
  fs::path self = fs::read_symlink("/proc/self/exe", error);
  fs::path program = self.parent_path() / name;
  if (error || !fs::exists(program))
    throw Error(Code::runtime_missing, "the program that runs models is not there", program.string(),
                fmt::format("build the target {}, or name a runner with --runner", name));
  return "exec " + quoted(program.string()) + (arguments.empty() ? "" : " " + arguments);
}

std::string with_errors(std::string message, const std::string& errors) {
  return errors.empty() ? message : message + "; it wrote:\n" + errors;
}

}  // namespace

struct Runner::Process {
  RunnerOptions options;
  TemporaryFolder scratch;  // of the child, which leaves its temporary files there when it is killed
  Subprocess child;
  TemporaryFolder folder{true};
  Hello hello;
  std::int64_t next_id = 1;
  bool alive = true;

  Process(const RunnerOptions& o, const std::string& command, Subprocess::Environment environment)
      : options(o), child(command, with_scratch(std::move(environment))) {}
  Subprocess::Environment with_scratch(Subprocess::Environment environment) const {
    environment.emplace_back("TMPDIR", scratch.path().string());
    return environment;
  }

  Json call(Json request, double timeout_s);
  Json await(std::int64_t id, const std::string& op, double timeout_s);
  Json read_answer(const std::string& op, double timeout_s);
  [[noreturn]] void fail(const std::string& message);
  [[noreturn]] void pass_on(const Json& answer, const std::string& op);
};

void Runner::Process::fail(const std::string& message) {
  std::string ended = alive ? child.end(0) : "";
  alive = false;
  throw Error(Code::runner_failed, with_errors(message, child.last_errors()), options.command,
              "run the runner's command by hand; docs/runner-protocol.md says what it must answer");
}

Json Runner::Process::read_answer(const std::string& op, double timeout_s) {
  Subprocess::Line line = child.read_line(timeout_s, kLongestAnswer);
  switch (line.outcome) {
    case Subprocess::Outcome::timeout:
      fail(fmt::format("the runner did not answer \"{}\" within {:g} s", op, timeout_s));
    case Subprocess::Outcome::too_long:
      fail(fmt::format("the runner answered \"{}\" with a line of more than {} MiB", op,
                       kLongestAnswer >> 20));
    case Subprocess::Outcome::closed: {
      std::string ended = child.end(kGrace);
      alive = false;
      fail(fmt::format("the runner ended during \"{}\": {}", op, ended));
    }
    case Subprocess::Outcome::done:
      break;
  }
  try {
    return parse_json(line.text, "answer");
  } catch (const Error& error) {
    fail(fmt::format("the runner answered \"{}\" with something else than its protocol: {}: {:.60}", op,
                     error.what(), line.text));
  }
}

void Runner::Process::pass_on(const Json& answer, const std::string& op) {
  std::string kind = answer.value("kind", "internal"), message = answer.value("message", "no reason given");
  std::string place = answer.value("place", "");
  if (kind == "refused") throw Error(Code::runtime_refused, message, place);
  if (kind == "device")
    throw Error(Code::runtime_missing, message, place, answer.value("help", kMissingHelp));
  if (const CodeText* known = find_code(answer.value("code", "")); known && kind == "usage")
    throw Error(known->code, message, place);
  throw Error(Code::runner_failed, fmt::format("the runner failed at \"{}\" ({}): {}", op, kind, message),
              place);
}

Json Runner::Process::await(std::int64_t id, const std::string& op, double timeout_s) {
  for (;;) {
    Json answer = read_answer(op, timeout_s);
    try {
      if (integer(answer, "id", "answer") != id)
        fail(fmt::format("the runner answered request {} instead of {}", answer["id"].get<std::int64_t>(),
                         id));
      if (answer.contains("progress")) {
        if (options.on_progress) options.on_progress(number(answer, "progress", "answer"));
        continue;
      }
      if (boolean(answer, "ok", "answer")) return answer;
      pass_on(answer, op);
    } catch (const nlohmann::json::exception& error) {
      fail(fmt::format("the runner's answer to \"{}\" is malformed: {}", op, error.what()));
    } catch (const Error& error) {
      if (error.code() != Code::bad_json) throw;
      fail(fmt::format("the runner's answer to \"{}\" is malformed: {}", op, error.what()));
    }
  }
}

Json Runner::Process::call(Json request, double timeout_s) {
  if (!alive) throw Error(Code::runner_failed, "the runner has ended already", options.command);
  std::string op = request["op"];
  std::int64_t id = next_id++;
  request["id"] = id;
  try {
    auto sent = child.write_line(to_line(request), timeout_s);
    if (sent == Subprocess::Outcome::timeout) fail(fmt::format("the runner did not take \"{}\"", op));
    return await(id, op, timeout_s);
  } catch (const Error& error) {
    if (error.code() == Code::interrupted && alive) {
      child.end(0);
      alive = false;
    }
    throw;
  }
}

namespace {

// Reads an answer; what does not fit the protocol is the runner's fault.
template <class Read>
auto parsed(const char* op, Read read) {
  try {
    return read();
  } catch (const nlohmann::json::exception& error) {
    throw Error(Code::runner_failed,
                fmt::format("the runner's answer to \"{}\" is malformed: {}", op, error.what()));
  } catch (const Error& error) {
    if (error.code() != Code::bad_json) throw;
    throw Error(Code::runner_failed,
                fmt::format("the runner's answer to \"{}\" is malformed: {}", op, error.what()));
  }
}

Hello read_hello(const Json& answer) {
  if (std::int64_t protocol = integer(answer, "protocol", "hello"); protocol != 1)
    throw Error(Code::runner_failed, fmt::format("the runner speaks protocol {}, not 1", protocol));
  Hello hello;
  for (auto [key, field] : {std::pair{"runtime", &hello.runtime},
                            {"version", &hello.version},
                            {"isa", &hello.isa},
                            {"processor", &hello.processor},
                            {"library", &hello.library},
                            {"clock", &hello.clock}})
    *field = text(answer, key, "hello");
  hello.cores = static_cast<int>(integer(answer, "cores", "hello"));
  hello.workloads = boolean(answer, "workloads", "hello");
  hello.profiles = boolean(answer, "profiles", "hello");
  return hello;
}

Json to_json(const Job& job) {
  if (job.workload) return {{"workload", latency::to_string(*job.workload)}};
  if (!job.network.empty()) return {{"network", parse_json(job.network, "network")}};
  Json shapes = Json::object();
  for (const auto& [name, shape] : job.inputs) shapes[name] = shape;
  return {{"model", fs::absolute(job.model).string()}, {"inputs", std::move(shapes)}};
}

Json request(const char* op, const TimingOptions& options) {
  return {{"op", op},
          {"threads", options.threads},
          {"rounds", options.rounds},
          {"min_sample_us", options.min_sample_us},
          {"evict", options.evict},
          {"seed", options.seed},
          {"time_limit_s", options.time_limit_s}};
}

// A list of times: finite and not negative.
std::vector<double> times(const Json& object, const char* key) {
  auto list = member(object, key, "answer").get<std::vector<double>>();
  for (double us : list)
    if (!std::isfinite(us) || us < 0) throw Error(Code::bad_json, fmt::format("\"{}\" holds {}", key, us));
  return list;
}

std::vector<Samples> read_samples(const Json& answer, std::size_t jobs) {
  std::vector<Samples> all;
  for (const Json& job : member(answer, "jobs", "answer"))
    all.push_back({times(job, "us"), text(job, "clock", "job"), job.value("kernel", "")});
  if (all.size() != jobs) throw Error(Code::bad_json, fmt::format("{} jobs instead of {}", all.size(), jobs));
  for (const Samples& samples : all)
    if (samples.us.empty() || samples.us.size() != all.front().us.size())
      throw Error(Code::bad_json, "jobs have no samples, or not equally many");
  return all;
}

InPlaceProfile read_profile(const Json& answer) {
  InPlaceProfile profile;
  for (const Json& node : member(answer, "nodes", "answer"))
    profile.nodes.push_back({text(node, "name", "node"), text(node, "op", "node"), times(node, "us"),
                             node.value("input_shapes", "")});
  profile.run_us = times(answer, "run_us");
  profile.unprofiled_us = times(answer, "unprofiled_us");
  profile.inside_share = answer.value("inside_share", 0.0);
  if (!(profile.inside_share >= 0 && profile.inside_share <= 1))
    throw Error(Code::bad_json, fmt::format("\"inside_share\" is {}, not in 0..1", profile.inside_share));
  if (profile.unprofiled_us.size() != profile.run_us.size())
    throw Error(Code::bad_json, fmt::format("{} runs under the profiler, but {} without",
                                            profile.run_us.size(), profile.unprofiled_us.size()));
  for (const NodeTime& node : profile.nodes)
    if (node.us.size() != profile.run_us.size())
      throw Error(Code::bad_json, "a node has not one time per run");
  return profile;
}

}  // namespace

Runner::Runner(const RunnerOptions& options) {
  std::string command =
      options.command.empty() ? default_command(options.program, options.arguments) : options.command;
  Subprocess::Environment environment;
  if (!options.library.empty())
    environment = {{"TAILOR_ORT_LIBRARY", fs::absolute(options.library).string()}};
  process_ = std::make_unique<Process>(options, command, environment);
  process_->options.command = command;
  Json answer = process_->call({{"op", "hello"}}, options.start_timeout_s);
  process_->hello = parsed("hello", [&] { return read_hello(answer); });
}
Runner::~Runner() = default;
Runner::Runner(Runner&&) noexcept = default;
Runner& Runner::operator=(Runner&&) noexcept = default;

const Hello& Runner::hello() const { return process_->hello; }
const RunnerOptions& Runner::options() const { return process_->options; }

latency::Context Runner::context(const TimingOptions& options) const {
  const Hello& h = hello();
  return {h.runtime, h.version, h.isa, h.processor, options.threads, options.evict ? "evicted" : "warm"};
}

std::vector<Samples> Runner::time(std::span<const Job> jobs, const TimingOptions& options) {
  if (jobs.empty()) return {};
  Json message = request("time", options);
  message["jobs"] = Json::array();
  for (const Job& job : jobs) message["jobs"].push_back(to_json(job));
  Json answer = process_->call(std::move(message), process_->options.silence_timeout_s);
  return parsed("time", [&] { return read_samples(answer, jobs.size()); });
}

InPlaceProfile Runner::profile(const Job& job, const TimingOptions& options) {
  Json message = request("profile", options);
  message["job"] = to_json(job);
  Json answer = process_->call(std::move(message), process_->options.silence_timeout_s);
  return parsed("profile", [&] { return read_profile(answer); });
}

Json Runner::ask(const Json& request) { return process_->call(request, process_->options.silence_timeout_s); }

NamedTensors Runner::run(const fs::path& model, const NamedTensors& inputs,
                         const std::vector<std::string>& outputs, int chunk, int threads, bool once,
                         bool exact) {
  fs::path place = process_->folder.fresh("");
  fs::create_directory(place);
  Json files = Json::object();
  for (const auto& [name, tensor] : inputs) {
    fs::path file = place / fmt::format("input{}.npy", files.size());
    graph::write_npy(tensor, file);
    files[name] = file.string();
  }
  Json answer = process_->call({{"op", "run"},
                                {"model", fs::absolute(model).string()},
                                {"inputs", std::move(files)},
                                {"outputs", outputs},
                                {"folder", place.string()},
                                {"chunk", chunk},
                                {"threads", threads},
                                {"once", once},
                                {"exact", exact}},
                               process_->options.silence_timeout_s);
  NamedTensors result = parsed("run", [&] {
    NamedTensors tensors;
    for (const Json& output : member(answer, "outputs", "answer"))
      tensors.emplace_back(text(output, "name", "output"), graph::read_npy(text(output, "file", "output")));
    return tensors;
  });
  std::error_code ignored;
  fs::remove_all(place, ignored);  // what is mapped stays readable
  return result;
}

}  // namespace tailor::runtime

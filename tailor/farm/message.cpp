// Message <-> JSON: one pair of functions for each kind, and the word "message" that says which it is.
#include "tailor/farm/message.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace tailor::farm {
namespace {

constexpr const char* kFrom = "message of a worker";
constexpr const char* kTo = "message of the master";
constexpr std::int64_t kMostCores = 4096, kMostThreads = 1 << 20, kMostSamples = 1 << 20;
constexpr std::size_t kMostConfigurations = 4096;

[[noreturn]] void fail(const std::string& what, const char* place) {
  throw Error(Code::bad_json, what, place);
}

std::int64_t whole(const Json& json, const char* key, std::int64_t low, std::int64_t high,
                   const char* place) {
  const std::int64_t value = integer(json, key, place);
  if (value < low || value > high) fail(fmt::format("\"{}\" must be {} to {}", key, low, high), place);
  return value;
}

int count(const Json& json, const char* key, std::int64_t low, std::int64_t high, const char* place) {
  return static_cast<int>(whole(json, key, low, high, place));
}

double positive(const Json& json, const char* key, const char* place) {
  const double value = number(json, key, place);
  if (!(value >= 0) || !std::isfinite(value)) fail(fmt::format("\"{}\" must not be negative", key), place);
  return value;
}

const Json& list(const Json& json, const char* key, std::size_t most, const char* place) {
  const Json& found = member(json, key, place);
  if (!found.is_array() || found.size() > most)
    fail(fmt::format("\"{}\" must be a list of at most {}", key, most), place);
  return found;
}

std::vector<int> cores_from(const Json& json, const char* key, const char* place) {
  std::vector<int> cores;
  for (const Json& core : list(json, key, static_cast<std::size_t>(kMostCores), place)) {
    if (!core.is_number_integer() || core.get<double>() < 0 || core.get<double>() >= kMostCores)
      fail(fmt::format("\"{}\" holds something else than cores", key), place);
    cores.push_back(core.get<int>());
  }
  return cores;
}

std::int64_t ticket_of(const Json& json, const char* place) { return integer(json, "ticket", place); }

Json task_json(const tune::TuneTask& task) {
  return {{"op", latency::to_string(task.workload)},
          {"share", task.share},
          {"workers", task.workers},
          {"layers", task.layers}};
}

tune::TuneTask task_from(const Json& json) {
  tune::TuneTask task;
  task.workload = latency::parse_workload(text(json, "op", kTo));
  task.share = number(json, "share", kTo);
  if (!(task.share > 0 && task.share <= 1)) fail("\"share\" must be above 0 and at most 1", kTo);
  task.workers = count(json, "workers", 1, kMostThreads, kTo);
  task.layers = count(json, "layers", 1, kMostThreads, kTo);
  if (const std::string reason = tune::no_kernel(task.workload); !reason.empty())
    fail("a layer without a kernel: " + reason, kTo);
  return task;
}

Json json_of(const Hello& m) {
  return {{"message", "hello"},         {"protocol", m.protocol},     {"host", m.host},
          {"cores", m.cores},           {"device", m.machine.device}, {"versions", m.machine.versions},
          {"source", m.machine.source}, {"floats", m.unit.floats},    {"registers", m.unit.registers},
          {"unit", m.unit.name}};
}

Json json_of(const TrialAnswer& m) {
  return {{"message", "trial"},
          {"ticket", m.ticket},
          {"record", to_json(m.record)},
          {"measure_s", m.measure_s},
          {"repeated", m.repeated}};
}

Json json_of(const ContestAnswer& m) {
  Json records = Json::array();
  for (const tune::Record& record : m.records) records.push_back(to_json(record));
  return {{"message", "contest"}, {"ticket", m.ticket}, {"records", records}, {"refused", m.refused}};
}

Json json_of(const GiveUp& m) { return {{"message", "give up"}, {"why", m.why}}; }

Json json_of(const Place& m) {
  return {{"message", "place"},
          {"core", m.core},
          {"compile_cores", m.compile_cores},
          {"neighbours", m.neighbours}};
}

Json json_of(const TrialOrder& m) {
  return {{"message", "trial"},        {"ticket", m.ticket},
          {"task", task_json(m.task)}, {"configuration", tune::configuration_json(m.configuration)},
          {"samples", m.samples},      {"drift", m.drift}};
}

Json json_of(const ContestOrder& m) {
  Json configurations = Json::array();
  for (const Named& named : m.configurations) configurations.push_back(tune::configuration_json(named));
  return {{"message", "contest"},
          {"ticket", m.ticket},
          {"task", task_json(m.task)},
          {"configurations", configurations},
          {"first", m.how.first},
          {"finalists", m.how.finalists},
          {"last", m.how.last},
          {"seed", static_cast<std::int64_t>(m.how.seed)},
          {"onednn", m.onednn ? Json(*m.onednn) : Json(nullptr)}};
}

Json json_of(const Wait& m) { return {{"message", "wait"}, {"why", m.why}}; }

Json json_of(const Stop&) { return {{"message", "stop"}}; }

Hello hello_from(const Json& json) {
  Hello m;
  m.protocol = count(json, "protocol", 0, 1 << 20, kFrom);
  m.host = text(json, "host", kFrom), m.cores = cores_from(json, "cores", kFrom);
  m.machine = {text(json, "device", kFrom), text(json, "versions", kFrom), text(json, "source", kFrom)};
  m.unit = {count(json, "floats", 1, 4096, kFrom), count(json, "registers", 1, 4096, kFrom),
            text(json, "unit", kFrom)};
  if (m.cores.empty()) fail("a worker without a core", kFrom);
  return m;
}

TrialAnswer trial_answer_from(const Json& json) {
  TrialAnswer m;
  m.ticket = ticket_of(json, kFrom);
  m.record = tune::record_from_json(member(json, "record", kFrom), kFrom);
  m.measure_s = positive(json, "measure_s", kFrom);
  m.repeated = static_cast<std::size_t>(whole(json, "repeated", 0, 1000, kFrom));
  return m;
}

ContestAnswer contest_answer_from(const Json& json) {
  ContestAnswer m{ticket_of(json, kFrom), {}, text(json, "refused", kFrom)};
  for (const Json& record : list(json, "records", kMostConfigurations, kFrom))
    m.records.push_back(tune::record_from_json(record, kFrom));
  return m;
}

Place place_from(const Json& json) {
  return {count(json, "core", 0, kMostCores - 1, kTo), cores_from(json, "compile_cores", kTo),
          text(json, "neighbours", kTo)};
}

TrialOrder trial_order_from(const Json& json) {
  return {ticket_of(json, kTo), task_from(member(json, "task", kTo)),
          tune::configuration_from(member(json, "configuration", kTo), kTo),
          count(json, "samples", 1, kMostSamples, kTo), positive(json, "drift", kTo)};
}

ContestOrder contest_order_from(const Json& json) {
  ContestOrder m{ticket_of(json, kTo), task_from(member(json, "task", kTo)), {}, {}, {}};
  for (const Json& named : list(json, "configurations", kMostConfigurations, kTo))
    m.configurations.push_back(tune::configuration_from(named, kTo));
  m.how = {.first = count(json, "first", 1, kMostSamples, kTo),
           .finalists = count(json, "finalists", 1, kMostSamples, kTo),
           .last = count(json, "last", 1, kMostSamples, kTo),
           .seed = static_cast<std::uint64_t>(integer(json, "seed", kTo))};
  if (!member(json, "onednn", kTo).is_null()) m.onednn = text(json, "onednn", kTo);
  return m;
}

}  // namespace

std::string to_text(const FromWorker& message) {
  return std::visit([](const auto& m) { return to_line(json_of(m)); }, message);
}

std::string to_text(const ToWorker& message) {
  return std::visit([](const auto& m) { return to_line(json_of(m)); }, message);
}

FromWorker read_from_worker(std::string_view line) {
  const Json json = parse_json(line, kFrom);
  const std::string kind = text(json, "message", kFrom);
  if (kind == "hello") return hello_from(json);
  if (kind == "trial") return trial_answer_from(json);
  if (kind == "contest") return contest_answer_from(json);
  if (kind == "give up") return GiveUp{text(json, "why", kFrom)};
  fail(fmt::format("'{}' is no message", kind.substr(0, 40)), kFrom);
}

ToWorker read_to_worker(std::string_view line) {
  const Json json = parse_json(line, kTo);
  const std::string kind = text(json, "message", kTo);
  if (kind == "place") return place_from(json);
  if (kind == "trial") return trial_order_from(json);
  if (kind == "contest") return contest_order_from(json);
  if (kind == "wait") return Wait{text(json, "why", kTo)};
  if (kind == "stop") return Stop{};
  fail(fmt::format("'{}' is no message", kind.substr(0, 40)), kTo);
}

}  // namespace tailor::farm

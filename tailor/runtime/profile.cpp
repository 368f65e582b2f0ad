// The profile's lines <-> Measured, the file, the two oracles.
#include "tailor/runtime/profile.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/interrupt.h"
#include "tailor/runtime/measure.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <set>

namespace tailor::runtime {
namespace {

constexpr const char* kSchema = "tailor/profile/1";
constexpr std::size_t kJobsPerCall = 256;  // what is lost at most when the job is killed

using latency::Context;
using latency::Workload;

std::string key_of(const Context& c, const Workload& workload) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}", c.runtime, c.version, c.isa, c.processor, c.threads,
                     c.cache_mode, latency::to_string(workload));
}

Json to_json(const Measured& m) {
  const Context& c = m.context;
  return {{"schema", kSchema},
          {"context",
           {{"runtime", c.runtime},
            {"version", c.version},
            {"isa", c.isa},
            {"processor", c.processor},
            {"threads", c.threads},
            {"cache_mode", c.cache_mode}}},
          {"workload", latency::to_string(m.workload)},
          {"clock", m.samples.clock},
          {"kernel", m.samples.kernel},
          {"us", m.samples.us}};
}

Samples read_samples(const Json& json, const std::string& place) {
  Samples samples{{}, text(json, "clock", place), text(json, "kernel", place)};
  const Json& list = member(json, "us", place);
  if (!list.is_array() || list.empty())
    throw Error(Code::bad_json, "\"us\" must be an array of times", place);
  for (const Json& us : list) {
    if (!us.is_number() || !(us.get<double>() >= 0))
      throw Error(Code::bad_json, "\"us\" holds something else than times", place);
    samples.us.push_back(us.get<double>());
  }
  return samples;
}

Measured from_json(const Json& json, const std::string& place) {
  if (text(json, "schema", place) != kSchema)
    throw Error(Code::bad_json,
                fmt::format("schema is \"{}\"; expected \"{}\"", text(json, "schema", place), kSchema),
                place);
  const Json& c = member(json, "context", place);
  Context context{text(c, "runtime", place),
                  text(c, "version", place),
                  text(c, "isa", place),
                  text(c, "processor", place),
                  static_cast<int>(integer(c, "threads", place)),
                  text(c, "cache_mode", place)};
  try {
    return {context, latency::parse_workload(text(json, "workload", place)), read_samples(json, place)};
  } catch (const Error& error) {
    if (error.code() != Code::bad_value) throw;
    throw Error(Code::bad_json, fmt::format("{}: {}", error.what(), error.place()), place);
  }
}

std::string describe(const Context& c) {
  return fmt::format("{} {}, {}, {}, {} thread{}, caches {}", c.runtime, c.version, c.processor, c.isa,
                     c.threads, c.threads == 1 ? "" : "s", c.cache_mode);
}

bool is_json(std::string_view line) { return Json::accept(line.begin(), line.end()); }

}  // namespace

latency::Estimate estimate(const Samples& samples) {
  Summary s = summarize(samples.us);
  bool wall = samples.clock == "wall";
  double value = wall ? s.p10 : s.median, lo = wall ? s.min : s.q1, hi = wall ? s.median : s.q3;
  return {{value}, {lo}, {hi}, How::measured, samples.kernel};
}

Profile::Profile(std::filesystem::path path) : path_(std::move(path)) {
  if (std::filesystem::exists(path_)) read(map_file(path_).view());
}

void Profile::read(std::string_view content) {
  torn_ = !content.empty() && content.back() != '\n';
  for (std::size_t number = 1; !content.empty(); ++number) {
    std::size_t end = std::min(content.find('\n'), content.size());
    std::string_view line = content.substr(0, end);
    content.remove_prefix(std::min(end + 1, content.size()));
    if (line.empty()) continue;
    if (!is_json(line)) {
      ++damaged_;
      continue;
    }
    std::string place = fmt::format("{}:{}", path_.string(), number);
    Measured measured = from_json(parse_json(line, place), place);
    std::string key = key_of(measured.context, measured.workload);
    entries_.insert_or_assign(std::move(key), std::move(measured));
  }
}

const Measured* Profile::find(const Context& context, const Workload& workload) const {
  auto it = entries_.find(key_of(context, workload));
  return it == entries_.end() ? nullptr : &it->second;
}

void Profile::append(std::vector<Measured> list) {
  if (list.empty()) return;
  std::string lines = torn_ ? "\n" : "";
  for (const Measured& measured : list) lines += to_line(to_json(measured)) + "\n";
  lines.pop_back();
  append_line(path_, lines);
  torn_ = false;
  for (Measured& measured : list) {
    std::string key = key_of(measured.context, measured.workload);
    entries_.insert_or_assign(std::move(key), std::move(measured));
  }
}

std::vector<Context> Profile::contexts() const {
  std::vector<Context> found;
  for (const auto& [key, measured] : entries_)
    if (std::find(found.begin(), found.end(), measured.context) == found.end())
      found.push_back(measured.context);
  return found;
}

MeasuringOracle::MeasuringOracle(Runner& runner, Profile& profile, TimingOptions options, Journal journal)
    : runner_(runner), profile_(profile), options_(options), journal_(journal) {
  options_.evict = true;
  if (journal != Journal::resume) return;
  std::vector<Context> known = profile.contexts();
  if (std::find(known.begin(), known.end(), context()) == known.end())
    throw Error(Code::nothing_to_resume,
                fmt::format("the journal holds no measurement for {}", describe(context())),
                profile.path().string(), "leave --resume away: what is missing is measured then");
}

latency::Context MeasuringOracle::context() const { return runner_.context(options_); }

void MeasuringOracle::measure(const std::vector<Workload>& workloads) {
  for (std::size_t first = 0; first < workloads.size(); first += kJobsPerCall) {
    throw_if_interrupted();
    std::vector<Job> jobs;
    for (std::size_t i = first; i < std::min(first + kJobsPerCall, workloads.size()); ++i)
      jobs.push_back({.workload = workloads[i]});
    std::vector<Samples> samples = runner_.time(jobs, options_);
    std::vector<Measured> list;
    for (std::size_t i = 0; i < jobs.size(); ++i)
      list.push_back({context(), workloads[first + i], std::move(samples[i])});
    for (const Measured& measured : list) measured_.insert(measured.workload);
    profile_.append(std::move(list));
  }
}

namespace {

std::vector<latency::Estimate> look_up(const Profile& profile, const Context& context,
                                       std::span<const Workload> workloads) {
  std::vector<latency::Estimate> estimates;
  for (const Workload& workload : workloads) {
    const Measured* found = profile.find(context, workload);
    if (!found)
      throw Error(Code::unknown_name,
                  fmt::format("the profile holds no measurement of {} for {}", latency::to_string(workload),
                              describe(context)),
                  profile.path().string(), "measure it with a runner, or take the profile of this device");
    estimates.push_back(estimate(found->samples));
  }
  return estimates;
}

}  // namespace

std::vector<latency::Estimate> MeasuringOracle::evaluate(std::span<const Workload> workloads) {
  std::set<Workload> missing;
  for (const Workload& workload : workloads)
    if (journal_ == Journal::fresh ? !measured_.contains(workload) : !profile_.find(context(), workload))
      missing.insert(workload);
  asked_.insert(workloads.begin(), workloads.end());
  measure({missing.begin(), missing.end()});
  return look_up(profile_, context(), workloads);
}

std::vector<latency::Estimate> ReplayOracle::evaluate(std::span<const Workload> workloads) {
  return look_up(profile_, context_, workloads);
}

}  // namespace tailor::runtime

// The profile's lines <-> Measured, the file, the two oracles. The measuring one goes call by call: the wanted layers and
// the anchors are timed together, the anchors give the call's pace, the journal keeps both.
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
constexpr std::size_t kAnchors = 6;
constexpr std::size_t kJobsWithAnchors = 24;  // a first call of fewer layers is no network: it has no anchors

using latency::Context;
using latency::Workload;

std::string key_of(const Context& c, const Workload& workload) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}", c.runtime, c.version, c.isa, c.processor, c.threads,
                     c.cache_mode, latency::to_string(workload));
}

Json to_json(const Measured& m) {
  const Context& c = m.context;
  Json json = {{"schema", kSchema},
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
  if (m.pace != 1) json["pace"] = m.pace;
  return json;
}

// Lines written before there were paces have none.
double read_pace(const Json& json, const std::string& place) {
  if (!json.contains("pace")) return 1;
  const Json& pace = json["pace"];
  if (!pace.is_number() || !(pace.get<double>() > 0) || !std::isfinite(pace.get<double>()))
    throw Error(Code::bad_json, "\"pace\" must be a number above 0", place);
  return pace.get<double>();
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
    return {context, latency::parse_workload(text(json, "workload", place)), read_samples(json, place),
            read_pace(json, place)};
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

latency::Estimate estimate(const Measured& measured) {
  Summary s = summarize(measured.samples.us);
  bool wall = measured.samples.clock == "wall";
  double value = wall ? s.p10 : s.median, lo = wall ? s.min : s.q1, hi = wall ? s.median : s.q3;
  const double pace = measured.pace;
  return {{value / pace}, {lo / pace}, {hi / pace}, How::measured, measured.samples.kernel};
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
  if (anchors_.empty()) choose_anchors(workloads);
  for (std::size_t first = 0; first < workloads.size(); first += kJobsPerCall) {
    throw_if_interrupted();
    const std::size_t end = std::min(first + kJobsPerCall, workloads.size());
    auto at = [&](std::size_t i) { return workloads.begin() + static_cast<std::ptrdiff_t>(i); };
    profile_.append(measure_call({at(first), at(end)}));
    measured_.insert(at(first), at(end));
  }
}

void MeasuringOracle::choose_anchors(const std::vector<Workload>& workloads) {
  if (workloads.size() < kJobsWithAnchors) return;
  for (std::size_t i = 0; i < kAnchors; ++i)
    anchors_.push_back({workloads[(2 * i + 1) * workloads.size() / (2 * kAnchors)]});
}

// One call of the runner: the wanted layers, at the pace of the anchors timed with them.
std::vector<Measured> MeasuringOracle::measure_call(std::vector<Workload> workloads) {
  const std::size_t wanted = workloads.size();
  for (const Anchor& anchor : anchors_) workloads.push_back(anchor.workload);
  std::vector<Job> jobs;
  for (const Workload& workload : workloads) jobs.push_back({.workload = workload});
  std::vector<Samples> samples = runner_.time(jobs, options_);
  std::vector<Measured> list;
  for (std::size_t i = 0; i < jobs.size(); ++i)
    list.push_back({context(), workloads[i], std::move(samples[i])});
  const double pace = pace_of(std::span(list).subspan(wanted));
  fastest_ = std::min(fastest_, pace), slowest_ = std::max(slowest_, pace);
  list.resize(wanted);
  for (Measured& measured : list) measured.pace = pace;
  return list;
}

/// @param anchors what they took now, in their order
double MeasuringOracle::pace_of(std::span<const Measured> anchors) {
  std::vector<double> slower;
  for (std::size_t i = 0; i < anchors.size(); ++i) {
    const double us = estimate(anchors[i]).value.value;
    if (anchors_[i].us == 0) anchors_[i].us = us;
    if (us > 0) slower.push_back(us / anchors_[i].us);
  }
  return slower.empty() ? 1 : summarize(std::move(slower)).median;
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
    estimates.push_back(estimate(*found));
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

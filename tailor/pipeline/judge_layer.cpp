// The verdict on one layer, with its reason in words.
#include "tailor/pipeline/analyze.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::pipeline {
namespace {

constexpr double kLaunch = 5;       // us
constexpr double kFallback = 0.03;  // how much faster the aligned width must be
constexpr double kBelow = 0.1;      // how much faster the aligned widths below must be
constexpr double kStreaming = 0.6;  // of the streaming bandwidth
constexpr double kSame = 0.01;
constexpr double kStep = 1.05;  // a step is at least so wide, from its first width to its last

bool depthwise(const latency::Workload& w) { return w.g > 1 && w.g == w.ic; }

// 1e3 operations per microsecond are 1e9 per second; so are bytes.
double giga(double amount, double us) { return us > 0 ? amount / us / 1e3 : 0; }

std::string fallback_text(const LayerEvidence& e, const latency::Workload& other, double us) {
  return fmt::format("{} {} % 4 != 0: off the fast path (alone {} > {} takes {:.1f} us, {} > {} {:.1f} us)",
                     depthwise(e.workload) ? "channels" : "input", e.workload.ic, e.workload.ic,
                     e.workload.oc, e.alone_us, other.ic, other.oc, us);
}

std::string fallback_reason(const LayerEvidence& e) {
  if (e.aligned_us > 0 && e.aligned_us < e.alone_us * (1 - kFallback))
    return fallback_text(e, at_multiple_of_4(e.workload, true, false), e.aligned_us);
  if (e.below_us <= 0) return {};
  const latency::Workload below = at_multiple_of_4(e.workload, false, true);
  const double given_up =
      1 - static_cast<double>(latency::macs(below)) / static_cast<double>(latency::macs(e.workload));
  const double saved = 1 - e.below_us / e.alone_us;
  return saved > kBelow && saved > 3 * given_up ? fallback_text(e, below, e.below_us) : std::string();
}

std::string pad_reason(const GroupSweep* sweep) {
  if (!sweep || !sweep->up) return {};
  const double present = sweep->us_at(sweep->width);
  int lowest = sweep->width;  // of the widths below it without gap that cost no less
  for (std::size_t i = sweep->widths.size(); i-- > 0;) {
    if (sweep->widths[i] >= sweep->width) continue;
    if (sweep->us[i] < present * (1 - kSame)) break;
    lowest = sweep->widths[i];
  }
  if (lowest < sweep->width && sweep->up->width >= kStep * lowest)
    return fmt::format("inside a step: widths {} to {} cost the same", lowest, sweep->up->width);
  if (!sweep->edge || sweep->up->width < kStep * sweep->width) return {};
  return fmt::format("past an edge: {} is {:.0f} % faster, and {} costs no more", sweep->edge->width,
                     100 * sweep->edge->saved_share, sweep->up->width);
}

std::string memory_reason(const LayerEvidence& e) {
  const auto operations = 2 * static_cast<double>(latency::macs(e.workload));
  const auto bytes = static_cast<double>(latency::bytes(e.workload));
  if (e.streaming_gbytes <= 0 || giga(bytes, e.us) < kStreaming * e.streaming_gbytes) return {};
  if (operations / bytes > e.best_gflops / e.streaming_gbytes / 2) return {};
  return fmt::format("moves {:.0f} GB/s (streaming: {:.0f}), {:.1f} operations per byte", giga(bytes, e.us),
                     e.streaming_gbytes, operations / bytes);
}

std::string ok_reason(const LayerEvidence& e) {
  std::string text =
      fmt::format("{:.0f} GFLOP/s", giga(2 * static_cast<double>(latency::macs(e.workload)), e.us));
  if (e.sweep && e.sweep->edge)
    text += fmt::format("; past an edge: {} is {:.0f} % faster", e.sweep->edge->width,
                        100 * e.sweep->edge->saved_share);
  return text;
}

}  // namespace

const char* name(LayerVerdict verdict) {
  switch (verdict) {
    case LayerVerdict::fallback:
      return "fallback";
    case LayerVerdict::launch:
      return "launch";
    case LayerVerdict::pad:
      return "pad";
    case LayerVerdict::memory:
      return "memory";
    case LayerVerdict::ok:
      break;
  }
  return "ok";
}

latency::Workload at_multiple_of_4(const latency::Workload& workload, bool above, bool outputs) {
  auto rounded = [&](std::int64_t channels) {
    return above ? (channels + 3) / 4 * 4 : std::max<std::int64_t>(channels / 4 * 4, 1);
  };
  if (depthwise(workload)) return with_outputs(workload, rounded(workload.ic));
  latency::Workload other = workload;
  other.ic = rounded(workload.ic);
  if (outputs) other.oc = rounded(workload.oc);
  return other;
}

Judgement judge_layer(const LayerEvidence& e) {
  if (std::string why = fallback_reason(e); !why.empty()) return {LayerVerdict::fallback, why};
  if (e.us > 0 && e.us < kLaunch)
    return {LayerVerdict::launch, fmt::format("{:.1f} us: starting it costs as much as its work", e.us)};
  if (std::string why = pad_reason(e.sweep); !why.empty()) return {LayerVerdict::pad, why};
  if (std::string why = memory_reason(e); !why.empty()) return {LayerVerdict::memory, why};
  return {LayerVerdict::ok, ok_reason(e)};
}

}  // namespace tailor::pipeline

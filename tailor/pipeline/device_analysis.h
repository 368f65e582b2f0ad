/// \file A network on a GPU that is only described: every layer by the wave model, and which widths fill what they
/// pay for. All numbers are modelled; nothing is run.
#pragma once

#include "tailor/base/json.h"
#include "tailor/device/device.h"
#include "tailor/latency/staircase.h"
#include "tailor/latency/wave_model.h"
#include "tailor/pipeline/analyze.h"
#include "tailor/pipeline/free_channels.h"

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// What keeps a layer from being faster, in the order in which it is decided:
/// launch: at least half of its time is the launch.
/// memory: moving its bytes takes longer than its arithmetic.
/// sub_wave: fewer blocks than multiprocessors; most widths cost the same, so width is the wrong lever: a larger batch,
/// a split of the reduction or sharing the device are the right ones.
/// tail: at least 15 % of the paid waves is idle.
/// pad: at least 15 % of its tiles is padding, or its channels do not fill the 16 bytes that matrix units load.
enum class DeviceVerdict { launch, memory, sub_wave, tail, pad, ok };
inline constexpr std::array kDeviceVerdicts = {DeviceVerdict::launch,   DeviceVerdict::memory,
                                               DeviceVerdict::sub_wave, DeviceVerdict::tail,
                                               DeviceVerdict::pad,      DeviceVerdict::ok};
const char* name(DeviceVerdict verdict);
DeviceVerdict judge(const latency::ModelledLayer& layer);

/// A layer's time by what it is spent on; the parts add up to it.
struct Spent {
  double work_us = 0;     // arithmetic on outputs that are wanted
  double idle_us = 0;     // multiprocessors without a block in the last wave
  double padding_us = 0;  // arithmetic on parts of tiles that reach over the output
  double bytes_us = 0;    // waiting for operands and memory beyond the arithmetic
  double launch_us = 0;   // of the kernel, and of the one that adds the parts of a split reduction
};
Spent spent(const latency::ModelledLayer& layer);

struct DeviceLayer {
  std::string name, op;
  latency::Workload workload;
  std::string out_group;  // name of the changeable group of its outputs, or empty
  latency::ModelledLayer model;
  double share = 0;  // of the network
  DeviceVerdict verdict = DeviceVerdict::ok;
  std::string why = {};
  std::optional<WidthStep> down = {}, up = {};  // of the group: all layers that share it are priced
  double recoverable_us = 0;                    // if all groups just past an edge go back to it
};

struct DeviceAnalysis {
  device::Device device;
  std::string precision;
  std::filesystem::path model;
  std::string sha256;
  std::vector<DeviceLayer> layers = {};  // in the model's order
  std::vector<GroupSweep> groups = {};
  int unpriced = 0;  // nodes that are no layer; each is taken to be fused into one
  std::string picture_layer = {}, picture_axis = {};
  std::optional<latency::Staircase> picture = {};
  std::optional<FreeChannels> free = {};
  std::optional<BaseComparison> base = {};

  double total_us() const;
  double us_of(DeviceVerdict verdict) const;
  double recoverable_us() const;
};

/// What to do about the verdicts that take most of the time, in a sentence without a full stop.
std::string lever(const DeviceAnalysis& analysis);

/// What a staircase is drawn over: output width, input width, batch, multiprocessors.
enum class Axis { outputs, inputs, batch, multiprocessors };
/// "oc", "ic", "mb", "sm". @throws Error unknown_name
Axis parse_axis(const std::string& text);

struct DeviceAnalysisOptions {
  std::string precision = "f32";
  std::string layer = {};  // whose staircase is wanted: its name, or a part that only one layer has
  Axis axis = Axis::outputs;
  bool free = false;                // channels that cost nothing are wanted too
  std::filesystem::path base = {};  // a network that this one was made of, base_comparison.h; empty: none
};

/// O(groups x widths x kernels): milliseconds. @throws Error bad_value (precision), unknown_name (layer)
DeviceAnalysis analyze_on(const Subject& subject, const device::Device& device,
                          const DeviceAnalysisOptions& options);

/// Schema "tailor/device-analysis/1".
Json to_json(const DeviceAnalysis& analysis);

}  // namespace tailor::pipeline

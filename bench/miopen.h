/// \file Reads AMD's shipped find-db as the test data hold it: measured times of real convolutions, the fastest solver
/// first. For tests and tables; the program does not use them.
#pragma once

#include "bench/neusight.h"
#include "tailor/device/device.h"
#include "tailor/latency/gpu_fit.h"
#include "tailor/latency/wave_model.h"

#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace tailor::miopen {

/// One layer at several output widths: width -> ms.
struct Family {
  latency::Workload layer;
  std::string precision;
  std::map<std::int64_t, double> ms;
};

/// "64-56-56-3x3-128-56-56-32-1x1-1x1-1x1-0-NCHW-FP32-F[_g4]" -> the layer and its precision; false for 3-D ones.
inline bool parse(const std::string& key, latency::Workload& w, std::string& precision) {
  long long c, h, x, kh, kw, oc, oh, ow, n, ph, pw, sh, sw, dh, dw;
  char rest[64] = {0};
  if (std::sscanf(key.c_str(),
                  "%lld-%lld-%lld-%lldx%lld-%lld-%lld-%lld-%lld-%lldx%lld-%lldx%lld-%lldx%lld-0-%63s", &c, &h,
                  &x, &kh, &kw, &oc, &oh, &ow, &n, &ph, &pw, &sh, &sw, &dh, &dw, rest) != 16)
    return false;
  const std::string tail = rest;
  long long g = 1;
  if (std::size_t at = tail.find("_g"); at != std::string::npos) g = std::atoll(tail.c_str() + at + 2);
  if (g < 1 || c % g || oc % g) return false;
  w = {};
  w.mb = n, w.g = g, w.ic = c, w.ih = h, w.iw = x, w.oc = oc, w.oh = oh, w.ow = ow, w.kh = kh, w.kw = kw;
  w.sh = sh, w.sw = sw, w.dh = dh, w.dw = dw, w.pt = w.pb = ph, w.pl = w.pr = pw;
  precision = tail.find("FP32") != std::string::npos   ? "f32"
              : tail.find("BF16") != std::string::npos ? "bf16"
              : tail.find("FP16") != std::string::npos ? "f16"
                                                       : "";
  return !precision.empty();
}

/// Families of at least two widths.
inline std::vector<Family> read(const std::filesystem::path& path) {
  std::map<std::pair<latency::Workload, std::string>, Family> families;
  for (const std::string& line : neusight::lines_of(path)) {
    const std::size_t tab = line.find('\t'), colon = line.find(':', tab);
    latency::Workload w;
    std::string precision;
    if (tab == std::string::npos || colon == std::string::npos || !parse(line.substr(0, tab), w, precision))
      continue;
    const std::int64_t width = w.oc;
    latency::Workload same = w;
    same.oc = same.g;
    Family& family = families[{same, precision + line.substr(line.find("-N", 10), 5)}];
    family.layer = w, family.precision = precision;
    family.ms[width] = std::atof(line.c_str() + colon + 1);
  }
  std::vector<Family> list;
  for (auto& [key, family] : families)
    if (family.ms.size() > 1) list.push_back(std::move(family));
  return list;
}

/// How often the model names the faster of two widths whose times differ by at least 20 %.
inline latency::FasterNamed compare(const device::Device& device, const std::vector<Family>& families) {
  latency::FasterNamed named;
  for (const Family& family : families) {
    if (!device.peak_tflops.contains(family.precision)) continue;
    std::vector<double> measured, modelled;
    for (auto [width, ms] : family.ms) {
      if (ms <= 0) continue;
      latency::Workload w = family.layer;
      w.oc = width;
      measured.push_back(ms);
      modelled.push_back(latency::model_layer(device, w, family.precision).us);
    }
    named += latency::faster_named(measured, modelled, 1.2);
  }
  return named;
}

struct Gpu {
  const char *file, *title, *like;
  int multiprocessors;
  double clock_mhz, gbytes_per_s, f32, f16;
};
/// The data's GPUs; figures of those that have no description of their own as remembered from data sheets.
inline const std::vector<Gpu>& gpus() {
  static const std::vector<Gpu> list = {
      {"gfx900_56", "Vega 56", "mi100", 56, 1471, 410, 10.5, 21.1},
      {"gfx906_60", "MI50", "mi100", 60, 1725, 1024, 13.3, 26.5},
      {"gfx906_64", "MI60", "mi100", 64, 1800, 1024, 14.7, 29.5},
      {"gfx90878", "MI100", "mi100", 120, 1502, 1229, 23.1, 184.6},
      {"gfx90a68", "MI210", "mi210", 104, 1700, 1638, 22.6, 181},
      {"gfx90a6e", "MI250X, one die", "mi210", 110, 1700, 1638, 23.9, 191.5},
      {"gfx1030_36", "RX 6800 XT", "mi100", 72, 2250, 512, 20.7, 41.5}};
  return list;
}
inline device::Device describe(const Gpu& gpu) {
  device::Device d = device::find_device(gpu.like);
  d.sm.count = gpu.multiprocessors, d.clock_mhz = gpu.clock_mhz, d.gbytes_per_s = gpu.gbytes_per_s;
  d.peak_tflops = {{"f32", gpu.f32}, {"f16", gpu.f16}, {"bf16", gpu.f16}};
  return d;
}

}  // namespace tailor::miopen

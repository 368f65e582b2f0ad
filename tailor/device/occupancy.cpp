// One function per limit; the least of them is the occupancy.
#include "tailor/device/occupancy.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

namespace tailor::device {
namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<int>::max();

std::int64_t rounded_up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit * unit; }

// Of a multiprocessor that hand out registers and issue instructions by themselves.
int quarters(const Device& d) { return d.capability() == std::pair(6, 0) ? 2 : 4; }

std::int64_t warps_of(const Device& d, const Launch& launch) {
  return (launch.threads + d.sm.warp - 1) / d.sm.warp;
}

std::int64_t by_warps(const Device& d, const Launch& launch) {
  return d.sm.threads / d.sm.warp / warps_of(d, launch);
}

std::int64_t by_registers_nvidia(const Device& d, const Launch& launch) {
  const std::int64_t of_warp = rounded_up(std::int64_t{launch.registers} * d.sm.warp, 256);
  const std::int64_t parts = quarters(d), warps = warps_of(d, launch);
  if (of_warp * rounded_up(warps, parts) > d.sm.registers_per_block) return 0;
  return parts * (d.sm.registers / parts / of_warp) / warps;
}

std::int64_t by_registers(const Device& d, const Launch& launch) {
  if (launch.registers == 0) return kNoLimit;
  if (launch.registers > 255 && d.vendor == "nvidia") return 0;
  if (d.vendor == "nvidia") return by_registers_nvidia(d, launch);
  return d.sm.registers / (std::int64_t{launch.registers} * d.sm.warp * warps_of(d, launch));
}

std::int64_t by_shared(const Device& d, const Launch& launch) {
  const std::int64_t unit = d.vendor != "nvidia" ? 1 : d.capability().first >= 8 ? 128 : 256;
  if (launch.shared_bytes > d.sm.shared_bytes_per_block) return 0;
  const std::int64_t of_block = rounded_up(launch.shared_bytes + d.sm.shared_bytes_reserved, unit);
  return of_block == 0 ? kNoLimit : d.sm.shared_bytes / of_block;
}

void check(const Launch& launch) {
  if (launch.threads < 1 || launch.registers < 0 || launch.shared_bytes < 0)
    throw Error(Code::bad_value,
                fmt::format("{} threads, {} registers, {} bytes of shared memory", launch.threads,
                            launch.registers, launch.shared_bytes),
                "kernel");
}

}  // namespace

const char* name(Limit limit) {
  constexpr std::array names = {"warps", "blocks", "registers", "shared memory"};
  return names[static_cast<std::size_t>(limit)];
}

Occupancy occupancy(const Device& d, const Launch& launch) {
  check(launch);
  if (launch.threads > 1024) return {0, {Limit::warps}, 0};
  const std::array<std::int64_t, 4> allowed = {by_warps(d, launch), d.sm.blocks, by_registers(d, launch),
                                               by_shared(d, launch)};
  const std::int64_t least = *std::min_element(allowed.begin(), allowed.end());
  Occupancy result{static_cast<int>(least)};
  for (std::size_t i = 0; i < allowed.size(); ++i)
    if (allowed[i] == least) result.limits.push_back(static_cast<Limit>(i));
  result.share =
      static_cast<double>(least * warps_of(d, launch) * d.sm.warp) / static_cast<double>(d.sm.threads);
  return result;
}

std::int64_t wave_capacity(const Device& d, const Launch& launch) {
  return std::int64_t{d.sm.count} * occupancy(d, launch).blocks;
}

}  // namespace tailor::device

// CUPTI fills buffers that it asks for by callbacks, which know nothing but their arguments: so what they collect lies in
// one place of the program.
#include "runners/cuda/activity.h"

#include "tailor/base/error.h"
#include "tailor/device/occupancy.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdlib>
#include <mutex>

namespace tailor::cuda {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20, kAlignment = 8;

struct Collected {
  std::mutex mutex;  // CUPTI may call from a thread of its own
  std::vector<KernelLaunch> kernels;
  Status (*next_record)(std::uint8_t*, std::size_t, KernelRecord**) = nullptr;
};
Collected& collected() {
  static Collected all;
  return all;
}

KernelLaunch launch_of(const KernelRecord& record) {
  KernelLaunch launch;
  launch.name = record.name ? record.name : "";
  for (std::size_t i = 0; i < 3; ++i) launch.grid[i] = record.grid[i], launch.block[i] = record.block[i];
  launch.registers = record.registers;
  launch.shared_bytes = std::int64_t{record.static_shared} + record.dynamic_shared;
  launch.us = static_cast<double>(record.end - record.start) * 1e-3;
  launch.start = static_cast<std::int64_t>(record.start);
  return launch;
}

void buffer_wanted(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(kAlignment, kBufferBytes));
  *size = *buffer ? kBufferBytes : 0;
  *most_records = 0;
}

void buffer_done(Context, std::uint32_t, std::uint8_t* buffer, std::size_t, std::size_t filled) {
  Collected& all = collected();
  const std::lock_guard lock(all.mutex);
  KernelRecord* record = nullptr;
  while (filled > 0 && all.next_record(buffer, filled, &record) == 0)
    if (record->kind == kConcurrentKernel) all.kernels.push_back(launch_of(*record));
  std::free(buffer);
}

void check(Status status, const char* call) {
  if (status != 0)
    throw Error(Code::runtime_missing, fmt::format("{} failed with status {}", call, status), "libcupti",
                "a system may keep tracing to root: NVIDIA's page on ERR_NVGPUCTRPERM says how to allow it");
}

void begin(Libraries& libraries) {
  const CuptiFunctions& cupti = libraries.cupti();
  Collected& all = collected();
  if (!all.next_record) {
    all.next_record = cupti.next_record;
    check(cupti.register_buffers(buffer_wanted, buffer_done), "cuptiActivityRegisterCallbacks");
  }
  check(cupti.enable(kConcurrentKernel), "cuptiActivityEnable");
  const std::lock_guard lock(all.mutex);
  all.kernels.clear();
}

double waves_of(const device::Device& device, const KernelLaunch& kernel) {
  const auto threads = static_cast<int>(kernel.block[0] * kernel.block[1] * kernel.block[2]);
  if (threads < 1) return 0;
  const std::int64_t capacity =
      device::wave_capacity(device, {threads, kernel.registers, kernel.shared_bytes});
  return capacity > 0 ? static_cast<double>(kernel.blocks()) / static_cast<double>(capacity) : 0;
}

std::vector<KernelLaunch> end(Gpu& gpu) {
  const CuptiFunctions& cupti = gpu.libraries().cupti();
  constexpr std::uint32_t kForced = 1;
  gpu.synchronize();
  check(cupti.flush(kForced), "cuptiActivityFlushAll");
  check(cupti.disable(kConcurrentKernel), "cuptiActivityDisable");
  Collected& all = collected();
  const std::lock_guard lock(all.mutex);
  std::vector<KernelLaunch> kernels = std::move(all.kernels);
  all.kernels.clear();
  std::stable_sort(kernels.begin(), kernels.end(),
                   [](const auto& a, const auto& b) { return a.start < b.start; });
  for (KernelLaunch& kernel : kernels) kernel.waves = waves_of(gpu.description(), kernel);
  return kernels;
}

}  // namespace

std::vector<KernelLaunch> trace(Gpu& gpu, const std::function<void()>& work) {
  gpu.synchronize();
  begin(gpu.libraries());
  try {
    work();
  } catch (...) {
    gpu.libraries().cupti().disable(kConcurrentKernel);
    throw;
  }
  return end(gpu);
}

bool can_trace(Gpu& gpu, std::string& why) try {
  begin(gpu.libraries());
  check(gpu.libraries().cupti().disable(kConcurrentKernel), "cuptiActivityDisable");
  return true;
} catch (const Error& error) {
  why = error.what();
  return false;
}

std::string to_string(const std::vector<KernelLaunch>& kernels) {
  std::string text;
  for (const KernelLaunch& k : kernels)
    text += fmt::format("{}{} {}x{}x{} blocks of {}, {:.2f} waves", text.empty() ? "" : " + ", k.name,
                        k.grid[0], k.grid[1], k.grid[2], k.block[0] * k.block[1] * k.block[2], k.waves);
  return text;
}

Json to_json(const KernelLaunch& k) {
  return {{"name", k.name},
          {"grid", k.grid},
          {"block", k.block},
          {"registers", k.registers},
          {"shared_bytes", k.shared_bytes},
          {"us", k.us},
          {"waves", k.waves}};
}

}  // namespace tailor::cuda

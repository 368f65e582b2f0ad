// Settings, handles, memory, and the simulated clock.
#include "tests/cuda/fake_device.h"

#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

namespace fake {
namespace {

std::map<std::string, std::string> settings_from(const char* text) {
  std::map<std::string, std::string> settings;
  std::istringstream stream(text ? text : "");
  for (std::string part; std::getline(stream, part, ',');) {
    std::size_t equals = part.find('=');
    if (equals != std::string::npos) settings[part.substr(0, equals)] = part.substr(equals + 1);
  }
  return settings;
}

struct Trigger {
  std::string symbol;
  int call = 0, status = 0;
};
Trigger trigger_from(const std::string& text) {
  Trigger trigger;
  std::istringstream stream(text);
  std::string number;
  std::getline(stream, trigger.symbol, ':');
  if (std::getline(stream, number, ':')) trigger.call = std::atoi(number.c_str());
  if (std::getline(stream, number, ':')) trigger.status = std::atoi(number.c_str());
  return trigger;
}

}  // namespace

Device& device() {
  static Device the_device;
  return the_device;
}

Device::Device() : settings_(settings_from(std::getenv("FAKE_CUDA"))) {
  if (const char* file = std::getenv("FAKE_CUDA_LOG")) log_file_ = file;
}

Device::~Device() {
  for (const auto& [handle, kind] : handles_) log("leak: " + kind);
  for (const auto& [symbol, count] : calls_) log("calls: " + symbol + " " + std::to_string(count));
}

void Device::log(const std::string& line) {
  if (!log_file_.empty()) std::ofstream(log_file_, std::ios::app) << line << "\n";
}
void Device::misuse(const std::string& what) { log("misuse: " + what); }

int Device::setting(const std::string& key, int otherwise) const {
  auto it = settings_.find(key);
  return it == settings_.end() ? otherwise : std::atoi(it->second.c_str());
}
std::string Device::name() const {
  auto it = settings_.find("name");
  return it == settings_.end() ? "Fake GPU" : it->second;
}

int Device::called(const char* symbol) {
  constexpr int kIllegalAddress = 700;
  const int count = ++calls_[symbol];
  if (auto it = settings_.find("die"); it != settings_.end()) {
    const Trigger die = trigger_from(it->second);
    if (die.symbol == symbol && count >= die.call) ::raise(SIGKILL);
  }
  if (lost && std::string_view(symbol).starts_with("cu")) return kIllegalAddress;
  auto it = settings_.find("fail");
  if (it == settings_.end()) return 0;
  const Trigger fail = trigger_from(it->second);
  return fail.symbol == symbol && count >= fail.call ? fail.status : 0;
}

std::uintptr_t Device::make(const std::string& kind) {
  next_handle_ += 16;
  handles_[next_handle_] = kind;
  return next_handle_;
}
bool Device::known(const std::string& kind, std::uintptr_t handle) {
  auto it = handles_.find(handle);
  const bool good = it != handles_.end() && it->second == kind;
  if (!good) misuse("no such " + kind);
  return good;
}
bool Device::release(const std::string& kind, std::uintptr_t handle) {
  return known(kind, handle) && handles_.erase(handle) == 1;
}

cuda::Status Device::allocate(cuda::Address& address, std::size_t bytes) {
  const std::size_t limit = static_cast<std::size_t>(setting("memory_gb", 80)) << 30;
  if (bytes == 0) return misuse("allocation of nothing"), 1;
  if (bytes > limit || used_ > limit - bytes) return cuda::kOutOfMemory;
  address = next_address_;
  next_address_ += (bytes + 0xFFFF) / 0x10000 * 0x10000 + 0x10000;
  memory[address] = bytes;
  used_ += bytes;
  handles_[address] = "memory";
  return 0;
}
void Device::free_memory(cuda::Address address) {
  if (!release("memory", address)) return;
  used_ -= memory[address];
  memory.erase(address), contents_.erase(address), writes_.erase(address);
}
std::byte* Device::contents(cuda::Address address) {
  auto it = memory.upper_bound(address);
  if (it == memory.begin() || address >= std::prev(it)->first + std::prev(it)->second) return nullptr;
  const auto [begin, size] = *std::prev(it);
  auto& held = contents_[begin];
  if (!held) held.reset(static_cast<std::byte*>(std::calloc(size, 1)));
  return held.get() + (address - begin);
}
std::pair<cuda::Address, std::uint64_t> Device::version(cuda::Address address) const {
  auto it = memory.upper_bound(address);
  if (it == memory.begin()) return {0, 0};
  const cuda::Address begin = std::prev(it)->first;
  const auto written = writes_.find(begin);
  return {begin, written == writes_.end() ? 0 : written->second};
}
void Device::wrote(cuda::Address address) { ++writes_[version(address).first]; }

bool Device::meant(const std::string& setting, const LoadedModule& module) const {
  const auto it = settings_.find(setting);
  if (it == settings_.end()) return false;
  const std::size_t colon = it->second.find(':');
  const auto constant = module.constants.find(it->second.substr(0, colon));
  return constant != module.constants.end() &&
         constant->second == std::atoll(it->second.substr(colon + 1).c_str());
}
bool Device::check_memory(cuda::Address address, std::size_t bytes, const char* who) {
  auto it = memory.upper_bound(address);
  const bool good = it != memory.begin() && address + bytes <= std::prev(it)->first + std::prev(it)->second;
  if (!good) misuse(std::string(who) + " reaches outside of its memory");
  return good;
}

Stream* Device::stream(cuda::Stream handle) {
  return known("stream", number(handle)) ? &streams[number(handle)] : nullptr;
}

cuda::Status Device::launch(cuda::Stream handle, const Kernel& kernel) {
  Stream* s = stream(handle);
  if (!s) return 400;
  if (s->capturing)
    s->captured.push_back(kernel);
  else
    execute(*s, kernel);
  return 0;
}

void Device::execute(Stream& s, const Kernel& k) {
  constexpr double kLaunch = 2;
  const std::int64_t capacity = std::int64_t{s.sms} * k.per_multiprocessor;
  const std::int64_t waves = (k.blocks() + capacity - 1) / capacity;
  const double begin = s.at_us;
  double stretch = 1;
  if (auto it = settings_.find("drift"); it != settings_.end())
    if (const Trigger drift = trigger_from("at:" + it->second); begin >= drift.call)
      stretch = drift.status / 100.0;
  s.at_us += stretch * (kLaunch + static_cast<double>(waves) * k.block_us);
  if (k.notes) {
    std::vector<std::uint64_t>& words = notes[k.notes];
    words.clear();
    for (std::int64_t b = 0; b < k.blocks(); ++b) {
      const auto sm = static_cast<std::uint64_t>(s.first_sm + b % s.sms);
      words.insert(words.end(), {sm, static_cast<std::uint64_t>(begin * 1e3),
                                 static_cast<std::uint64_t>(s.at_us * 1e3), 0});
    }
  }
  if (!tracing) return;
  cuda::KernelRecord record;
  record.kind = cuda::kConcurrentKernel;
  record.name = names.insert(k.name).first->c_str();
  record.registers = static_cast<std::uint16_t>(k.registers);
  record.dynamic_shared = k.shared;
  for (std::size_t i = 0; i < 3; ++i) record.grid[i] = k.grid[i], record.block[i] = k.block[i];
  record.start = static_cast<std::uint64_t>((begin + kLaunch) * 1e3);
  record.end = static_cast<std::uint64_t>(s.at_us * 1e3);
  records.push_back(record);
}

}  // namespace fake

/// \file A GPU that is not there: what the fake libraries (fake_driver.cpp, fake_libraries.cpp, together one shared
/// library under the names of CUDA's) know of it.
///
/// Its clock is simulated: a kernel lasts launch + waves x time of a block. Handles, addresses and lifetimes are checked;
/// what a program does wrong is written to a file as "misuse: ...", and what it never released as "leak: ...".
///
/// FAKE_CUDA configures it, "key=value" joined by ',':
///   sms=132 major=9 minor=0 memory_gb=80 name=Fake  the device; sms=0: there is none
///   fail=SYMBOL:N:STATUS    the N-th call of a function fails with that status, and so do all later ones of it
///   channel_step=32         convolutions read their input channels in pieces of so many, and pay for whole ones
///   unfused=1               cuDNN has no engine for fused operations
///   tensor_only=1           all of cuDNN's engines use tensor cores
///   green=0                 an old driver: asked for shares, it says "not supported"
///   die=SYMBOL:N            the process is killed (SIGKILL) at that call
///   overlap=1               shares of one split share a multiprocessor
///   drift=US:PERCENT        from that moment of the simulated clock on, everything takes so much
///   fault=NAME:VALUE        kernels whose text defines NAME as VALUE touch memory that is not theirs; the context is lost then
///   hang=NAME:VALUE, wrong=NAME:VALUE    they never end; one element of their result is wrong
///
/// Memory has contents where the host wrote any; copies within the device are checked and not made. Kernels of cuda_source.h run:
/// the fake NVRTC compiles them for the processor (fake_compiler.cpp), a launch emulates them (tests/tune/emulated_gpu.h) unless the
/// same launch has run on the same contents, and lasts as many waves as its share's multiprocessors make of it (fake_kernel.h).
/// FAKE_CUDA_LOG names the file.
#pragma once

#include "runners/cuda/api.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace fake {

namespace cuda = tailor::cuda;

struct Kernel {
  std::string name;
  std::array<int, 3> grid = {1, 1, 1}, block = {256, 1, 1};
  int registers = 128, shared = 49152;
  int per_multiprocessor = 1;  // blocks at a time
  double block_us = 1;
  cuda::Address notes = 0;  // where the probe kernel writes
  std::int64_t blocks() const { return std::int64_t{grid[0]} * grid[1] * grid[2]; }
};

// What a module holds: constants of its text, and the text compiled for the processor; PTX of the runner's own holds nothing.
struct LoadedModule {
  void* library = nullptr;
  std::map<std::string, std::int64_t> constants;
};
struct LoadedFunction {
  std::string name;
  std::uintptr_t module = 0;
  int dynamic_shared = 49152;  // bytes that a launch may ask for
};

struct Stream {
  double at_us = 0;
  int first_sm = 0, sms = 0;
  bool capturing = false;
  std::vector<Kernel> captured;
};

class Device {
 public:
  Device();
  ~Device();

  /// Counts the call; a status other than 0 is what it must return.
  int called(const char* symbol);
  void misuse(const std::string& what);
  int setting(const std::string& key, int otherwise) const;
  std::string name() const;

  // Handles are small numbers; each belongs to one kind until it is released.
  std::uintptr_t make(const std::string& kind);
  bool release(const std::string& kind, std::uintptr_t handle);
  bool known(const std::string& kind, std::uintptr_t handle);

  cuda::Status allocate(cuda::Address& address, std::size_t bytes);
  void free_memory(cuda::Address address);
  /// Does [address, address + bytes) lie in one allocation? If not, that is misuse.
  bool check_memory(cuda::Address address, std::size_t bytes, const char* who);

  /// What lies at an address, made as zeros where nobody wrote yet; nullptr outside of all allocations.
  std::byte* contents(cuda::Address address);
  /// Begin of the allocation that an address lies in, and how often the host has written to it; 0, 0 outside.
  std::pair<cuda::Address, std::uint64_t> version(cuda::Address address) const;
  void wrote(cuda::Address address);
  /// "fault", "hang" or "wrong": does the setting name a constant of the module?
  bool meant(const std::string& setting, const LoadedModule& module) const;

  Stream* stream(cuda::Stream handle);
  /// Runs it, or records it where the stream is being captured.
  cuda::Status launch(cuda::Stream handle, const Kernel& kernel);

  std::map<std::uintptr_t, Stream> streams;
  std::map<std::uintptr_t, std::vector<Kernel>> graphs;  // of Graph and GraphExec
  std::map<std::uintptr_t, double> events;
  std::map<std::uintptr_t, LoadedModule> modules;
  std::map<std::uintptr_t, LoadedFunction> functions;
  bool lost = false;  // the context: every call fails from then on
  std::map<cuda::Address, std::vector<std::uint64_t>> notes;
  std::map<cuda::Address, std::size_t> memory;
  std::map<std::uintptr_t, cuda::DeviceResource> resources, contexts;
  std::vector<cuda::KernelRecord> records;
  std::set<std::string> names;  // of kernels: records point into it
  bool tracing = false;

 private:
  void execute(Stream& stream, const Kernel& kernel);
  void log(const std::string& line);

  struct Free {
    void operator()(std::byte* held) const { std::free(held); }
  };
  std::map<cuda::Address, std::unique_ptr<std::byte, Free>> contents_;
  std::map<cuda::Address, std::uint64_t> writes_;
  std::map<std::string, std::string> settings_;
  std::map<std::string, int> calls_;
  std::map<std::uintptr_t, std::string> handles_;
  std::string log_file_;
  std::uintptr_t next_handle_ = 0x5A0000000000;  // like no size of a tensor
  cuda::Address next_address_ = 0x7000000000;
  std::size_t used_ = 0;
};
Device& device();

template <class Handle>
std::uintptr_t number(Handle handle) {
  return reinterpret_cast<std::uintptr_t>(handle);
}
template <class Handle>
Handle handle(std::uintptr_t number) {
  return reinterpret_cast<Handle>(number);
}

}  // namespace fake

#define FAKE_CALLED(symbol) \
  if (int fake_status = fake::device().called(#symbol)) return fake_status

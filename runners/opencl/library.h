/// \file OpenCL's loader, found at run time, and its devices.
#pragma once

#include "runners/opencl/api.h"

#include <stdexcept>
#include <string>
#include <vector>

namespace tailor::opencl {

/// A call that answered something else than success. `limit`: more than the device has; `compile`: the compiler's no.
class CallFailed : public std::runtime_error {
 public:
  CallFailed(const std::string& call, Status status);
  Status status() const { return status_; }
  /// "compile", "device_limit" or "invalid": what became of a kernel over which a call failed so.
  const char* outcome() const;

 private:
  Status status_;
};
/// @throws CallFailed unless `status` is 0
void check(Status status, const char* call);

/// The entry points. Stays loaded until the program ends: drivers have threads of their own.
struct Library {
  /// @param file empty: libOpenCL.so.1 as the system finds it
  /// @throws Error runtime_missing: not there, or it lacks a function of OpenCL 1.2
  explicit Library(const std::string& file);

  std::string file;
  using Notify = void (*)(const char*, const void*, std::size_t, void*);
  using Built = void (*)(ProgramId, void*);
  Status (*platforms)(std::uint32_t, PlatformId*, std::uint32_t*) = nullptr;
  Status (*platform_info)(PlatformId, Name, std::size_t, void*, std::size_t*) = nullptr;
  Status (*devices)(PlatformId, Bits, std::uint32_t, DeviceId*, std::uint32_t*) = nullptr;
  Status (*device_info)(DeviceId, Name, std::size_t, void*, std::size_t*) = nullptr;
  Status (*split)(DeviceId, const std::intptr_t*, std::uint32_t, DeviceId*, std::uint32_t*) = nullptr;
  Status (*release_device)(DeviceId) = nullptr;
  ContextId (*make_context)(const std::intptr_t*, std::uint32_t, const DeviceId*, Notify, void*,
                            Status*) = nullptr;
  Status (*release_context)(ContextId) = nullptr;
  QueueId (*make_queue)(ContextId, DeviceId, Bits, Status*) = nullptr;
  Status (*release_queue)(QueueId) = nullptr;
  MemoryId (*make_memory)(ContextId, Bits, std::size_t, void*, Status*) = nullptr;
  Status (*release_memory)(MemoryId) = nullptr;
  Status (*write)(QueueId, MemoryId, std::uint32_t, std::size_t, std::size_t, const void*, std::uint32_t,
                  const EventId*, EventId*) = nullptr;
  Status (*read)(QueueId, MemoryId, std::uint32_t, std::size_t, std::size_t, void*, std::uint32_t,
                 const EventId*, EventId*) = nullptr;
  ProgramId (*make_program)(ContextId, std::uint32_t, const char**, const std::size_t*, Status*) = nullptr;
  Status (*build)(ProgramId, std::uint32_t, const DeviceId*, const char*, Built, void*) = nullptr;
  Status (*build_info)(ProgramId, DeviceId, Name, std::size_t, void*, std::size_t*) = nullptr;
  Status (*release_program)(ProgramId) = nullptr;
  KernelId (*make_kernel)(ProgramId, const char*, Status*) = nullptr;
  Status (*argument)(KernelId, std::uint32_t, std::size_t, const void*) = nullptr;
  Status (*release_kernel)(KernelId) = nullptr;
  Status (*launch)(QueueId, KernelId, std::uint32_t, const std::size_t*, const std::size_t*,
                   const std::size_t*, std::uint32_t, const EventId*, EventId*) = nullptr;
  Status (*finish)(QueueId) = nullptr;
  Status (*event_times)(EventId, Name, std::size_t, void*, std::size_t*) = nullptr;
  Status (*release_event)(EventId) = nullptr;

 private:
  void* handle_ = nullptr;
  template <class Function>
  void load(Function& function, const char* name);
  void load_all();
};

/// What a device says of itself.
struct Device {
  DeviceId id = nullptr;
  std::string name, platform, version, driver;  // version: the platform's
  bool processor = false;                       // it is this machine's, so threads can be timed
  bool by_counts = false;                       // its compute units can be handed out by numbers
  int units = 0, vector_floats = 0;             // of a vector that fits its registers
  std::int64_t local_bytes = 0, group = 0;      // memory of a work-group; its most work-items
};
/// All devices of all platforms, in the order of the loader.
/// @throws Error runtime_missing: no platform, or no device
std::vector<Device> find_devices(const Library& library);

}  // namespace tailor::opencl

// Loading by name; what devices say of themselves, read with care: lengths are the driver's word.
#include "runners/opencl/library.h"

#include "tailor/base/error.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>

namespace tailor::opencl {
namespace {

constexpr const char* kHelp =
    "install an OpenCL driver (Debian: pocl-opencl-icd, ocl-icd-libopencl1; TAILOR_OPENCL=1 make)";
constexpr std::uint32_t kMostIds = 64;  // platforms, and devices of one, that are looked at
constexpr std::size_t kLongestText = std::size_t{1} << 20;

// By the shape of device_info and platform_info.
template <class Ask, class Id>
std::string text_of(Ask ask, Id id, Name name) {
  std::size_t bytes = 0;
  if (ask(id, name, 0, nullptr, &bytes) != 0 || bytes == 0 || bytes > kLongestText) return {};
  std::string text(bytes, '\0');
  if (ask(id, name, bytes, text.data(), nullptr) != 0) return {};
  return text.substr(0, text.find('\0'));
}

template <class Value>
Value value_of(const Library& library, DeviceId id, Name name) {
  Value value{};
  return library.device_info(id, name, sizeof value, &value, nullptr) == 0 ? value : Value{};
}

bool splits_by_counts(const Library& library, DeviceId id) {
  std::intptr_t kinds[16] = {};
  std::size_t bytes = 0;
  if (value_of<std::uint32_t>(library, id, kSubDevicesMost) < 2 ||
      library.device_info(id, kPartitionKinds, sizeof kinds, kinds, &bytes) != 0)
    return false;
  const std::intptr_t* end = kinds + std::min(bytes / sizeof *kinds, std::size_t{16});
  return std::find<const std::intptr_t*>(kinds, end, kByCounts) != end;
}

Device describe(const Library& library, PlatformId platform, DeviceId id) {
  Device device;
  device.id = id;
  device.name = text_of(library.device_info, id, kDeviceName);
  device.platform = text_of(library.platform_info, platform, kPlatformName);
  device.version = text_of(library.platform_info, platform, kPlatformVersion);
  device.driver = text_of(library.device_info, id, kDriverVersion);
  device.processor = (value_of<Bits>(library, id, kDeviceType) & kProcessor) != 0;
  device.by_counts = splits_by_counts(library, id);
  device.units = static_cast<int>(std::min(value_of<std::uint32_t>(library, id, kComputeUnits), 1u << 20));
  device.vector_floats =
      static_cast<int>(std::clamp(value_of<std::uint32_t>(library, id, kVectorFloats), 1u, 64u));
  device.local_bytes =
      static_cast<std::int64_t>(std::min(value_of<Bits>(library, id, kLocalBytes), Bits{1} << 40));
  device.group = static_cast<std::int64_t>(
      std::min(value_of<std::size_t>(library, id, kMostInGroup), std::size_t{1} << 20));
  return device;
}

}  // namespace

CallFailed::CallFailed(const std::string& call, Status status)
    : std::runtime_error(fmt::format("{} answers {}", call, status)), status_(status) {}

const char* CallFailed::outcome() const {
  switch (status_) {
    case kBuildFailure:
    case kInvalidProgram:
    case kInvalidProgramExecutable:
    case kInvalidKernelName:
      return "compile";
    case kNoMemoryForObject:
    case kOutOfResources:
    case kOutOfHostMemory:
    case kInvalidWorkGroupSize:
    case kInvalidWorkItemSize:
    case kInvalidBufferSize:
      return "device_limit";
    default:
      return "invalid";
  }
}

void check(Status status, const char* call) {
  if (status != 0) throw CallFailed(call, status);
}

template <class Function>
void Library::load(Function& function, const char* name) {
  void* found = ::dlsym(handle_, name);
  if (!found) throw Error(Code::runtime_missing, fmt::format("it does not export {}", name), file, kHelp);
  function = reinterpret_cast<Function>(found);
}

void Library::load_all() {
  load(platforms, "clGetPlatformIDs"), load(platform_info, "clGetPlatformInfo");
  load(devices, "clGetDeviceIDs"), load(device_info, "clGetDeviceInfo");
  load(split, "clCreateSubDevices"), load(release_device, "clReleaseDevice");
  load(make_context, "clCreateContext"), load(release_context, "clReleaseContext");
  load(make_queue, "clCreateCommandQueue"), load(release_queue, "clReleaseCommandQueue");
  load(make_memory, "clCreateBuffer"), load(release_memory, "clReleaseMemObject");
  load(write, "clEnqueueWriteBuffer"), load(read, "clEnqueueReadBuffer");
  load(make_program, "clCreateProgramWithSource"), load(build, "clBuildProgram");
  load(build_info, "clGetProgramBuildInfo"), load(release_program, "clReleaseProgram");
  load(make_kernel, "clCreateKernel"), load(argument, "clSetKernelArg");
  load(release_kernel, "clReleaseKernel"), load(launch, "clEnqueueNDRangeKernel");
  load(finish, "clFinish"), load(event_times, "clGetEventProfilingInfo");
  load(release_event, "clReleaseEvent");
}

Library::Library(const std::string& path)
    : file(path.empty() ? "libOpenCL.so.1" : path), handle_(::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (!handle_) throw Error(Code::runtime_missing, ::dlerror(), file, kHelp);
  load_all();
}

std::vector<Device> find_devices(const Library& library) {
  PlatformId platforms[kMostIds] = {};
  std::uint32_t platform_count = 0;
  std::vector<Device> found;
  if (library.platforms(kMostIds, platforms, &platform_count) != 0) platform_count = 0;
  for (std::uint32_t p = 0; p < std::min(platform_count, kMostIds); ++p) {
    DeviceId ids[kMostIds] = {};
    std::uint32_t count = 0;
    if (library.devices(platforms[p], kAllDevices, kMostIds, ids, &count) != 0) continue;
    for (std::uint32_t d = 0; d < std::min(count, kMostIds); ++d)
      found.push_back(describe(library, platforms[p], ids[d]));
  }
  std::erase_if(found, [](const Device& device) { return device.units < 1 || device.group < 1; });
  if (found.empty())
    throw Error(Code::runtime_missing, "OpenCL's loader knows no device", library.file, kHelp);
  return found;
}

}  // namespace tailor::opencl

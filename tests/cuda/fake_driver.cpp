// libcuda.so.1 and libcupti.so as far as the runner uses them.
#include "tests/cuda/fake_device.h"
#include "tests/cuda/fake_kernel.h"

#include <algorithm>
#include <cstring>
#include <string_view>

using namespace tailor::cuda;
using fake::device;
using fake::handle;
using fake::number;

namespace {

constexpr Status kInvalid = 1, kInvalidHandle = 400, kInvalidImage = 200, kNotFound = 500;
constexpr int kAtom = 8;  // multiprocessors of the smallest share

int attribute(Attribute which) {
  const int sms = device().setting("sms", 132), major = device().setting("major", 9);
  switch (which) {
    case kMultiprocessors:
      return sms;
    case kCapabilityMajor:
      return major;
    case kCapabilityMinor:
      return device().setting("minor", 0);
    case kWarpSize:
      return 32;
    case kThreadsPerMultiprocessor:
      return major == 7 ? 1024 : 2048;
    case kBlocksPerMultiprocessor:
      return 32;
    case kRegistersPerMultiprocessor:
    case kRegistersPerBlock:
      return 65536;
    case kSharedPerMultiprocessor:
      return 233472;
    case kSharedPerBlockOptIn:
      return 232448;
    case kSharedPerBlock:
      return 49152;
    case kReservedSharedPerBlock:
      return 1024;
    case kMaxThreadsPerBlock:
      return 1024;
    case kClockKHz:
      return 1980000;
    case kMemoryClockKHz:
      return 2619000;
    case kMemoryBusBits:
      return 6144;
    case kL2Bytes:
      return 50 << 20;
    case kMaxGridX:
      return 2147483647;
    default:
      return 0;
  }
}

fake::Kernel own_kernel(const std::string& name, unsigned blocks, unsigned threads, void** arguments) {
  fake::Kernel kernel;
  kernel.name = name;
  kernel.grid[0] = static_cast<int>(blocks), kernel.block[0] = static_cast<int>(threads);
  kernel.registers = 32, kernel.shared = 0, kernel.per_multiprocessor = 8;
  if (name == "tailor_spin") {
    kernel.notes = *static_cast<Address*>(arguments[0]);
    kernel.block_us = static_cast<double>(*static_cast<unsigned long long*>(arguments[1])) / 1980;
    device().check_memory(kernel.notes, std::size_t{32} * blocks, "tailor_spin");
  }
  return kernel;
}

// x, other, bias, y, n: what is not 0 must hold n elements of at least a byte.
void check_elementwise(void** arguments) {
  const auto n = static_cast<std::size_t>(*static_cast<long long*>(arguments[4]));
  for (int i : {0, 1, 3}) {
    const Address address = *static_cast<Address*>(arguments[i]);
    if (address != 0 || i != 1) device().check_memory(address, n, "tailor_elementwise");
  }
}

}  // namespace

extern "C" {

Status cuInit(unsigned) {
  FAKE_CALLED(cuInit);
  return device().setting("sms", 132) > 0 ? 0 : kNoDevice;
}
Status cuDriverGetVersion(int* version) {
  FAKE_CALLED(cuDriverGetVersion);
  return *version = 13000, 0;
}
Status cuDeviceGetCount(int* count) {
  FAKE_CALLED(cuDeviceGetCount);
  return *count = 1, 0;
}
Status cuDeviceGet(DeviceNumber* number, int ordinal) {
  FAKE_CALLED(cuDeviceGet);
  return *number = ordinal, 0;
}
Status cuDeviceGetName(char* name, int length, DeviceNumber) {
  FAKE_CALLED(cuDeviceGetName);
  std::strncpy(name, device().name().c_str(), static_cast<std::size_t>(length));
  return 0;
}
Status cuDeviceGetAttribute(int* value, Attribute which, DeviceNumber) {
  FAKE_CALLED(cuDeviceGetAttribute);
  return *value = attribute(which), 0;
}
Status cuDeviceTotalMem_v2(std::size_t* bytes, DeviceNumber) {
  FAKE_CALLED(cuDeviceTotalMem_v2);
  return *bytes = static_cast<std::size_t>(device().setting("memory_gb", 80)) << 30, 0;
}
Status cuDevicePrimaryCtxRetain(Context* context, DeviceNumber) {
  FAKE_CALLED(cuDevicePrimaryCtxRetain);
  static char primary;
  return *context = reinterpret_cast<Context>(&primary), 0;
}
Status cuDevicePrimaryCtxRelease_v2(DeviceNumber) { return 0; }
Status cuCtxSetCurrent(Context) {
  FAKE_CALLED(cuCtxSetCurrent);
  return 0;
}
Status cuCtxSynchronize() {
  FAKE_CALLED(cuCtxSynchronize);
  for (const auto& [number, stream] : device().streams)
    if (stream.capturing) device().misuse("synchronised during a capture");
  double latest = 0;
  for (const auto& [number, stream] : device().streams) latest = std::max(latest, stream.at_us);
  for (auto& [number, stream] : device().streams) stream.at_us = latest;
  return 0;
}
Status cuGetErrorString(Status, const char** text) { return *text = "a fake failure", 0; }

Status cuMemAlloc_v2(Address* address, std::size_t bytes) {
  FAKE_CALLED(cuMemAlloc_v2);
  for (const auto& [number, stream] : device().streams)
    if (stream.capturing) device().misuse("allocated during a capture");
  return device().allocate(*address, bytes);
}
Status cuMemFree_v2(Address address) { return device().free_memory(address), 0; }
Status cuMemcpyHtoD_v2(Address to, const void* from, std::size_t bytes) {
  FAKE_CALLED(cuMemcpyHtoD_v2);
  if (!device().check_memory(to, bytes, "cuMemcpyHtoD")) return kInvalid;
  std::memcpy(device().contents(to), from, bytes);
  return device().wrote(to), 0;
}
Status cuMemcpyDtoH_v2(void* to, Address from, std::size_t bytes) {
  FAKE_CALLED(cuMemcpyDtoH_v2);
  if (!device().check_memory(from, bytes, "cuMemcpyDtoH")) return kInvalid;
  std::memcpy(to, device().contents(from), bytes);
  for (const auto& [at, words] : device().notes) {
    const std::size_t size = words.size() * sizeof words[0];
    if (at >= from && at + size <= from + bytes)
      std::memcpy(static_cast<char*>(to) + (at - from), words.data(), size);
  }
  return 0;
}
Status cuMemcpyDtoDAsync_v2(Address to, Address from, std::size_t bytes, Stream stream) {
  FAKE_CALLED(cuMemcpyDtoDAsync_v2);
  const bool good = device().stream(stream) && device().check_memory(to, bytes, "cuMemcpyDtoD") &&
                    device().check_memory(from, bytes, "cuMemcpyDtoD");
  return good ? 0 : kInvalid;
}

Status cuStreamCreate(Stream* stream, unsigned) {
  FAKE_CALLED(cuStreamCreate);
  *stream = handle<Stream>(device().make("stream"));
  device().streams[number(*stream)].sms = device().setting("sms", 132);
  return 0;
}
Status cuStreamDestroy_v2(Stream stream) {
  device().streams.erase(number(stream));
  return device().release("stream", number(stream)) ? 0 : kInvalidHandle;
}
Status cuStreamBeginCapture_v2(Stream stream, int) {
  FAKE_CALLED(cuStreamBeginCapture_v2);
  fake::Stream* s = device().stream(stream);
  if (!s || s->capturing) return device().misuse("a capture inside a capture"), kInvalid;
  return s->capturing = true, 0;
}
Status cuStreamEndCapture(Stream stream, Graph* graph) {
  fake::Stream* s = device().stream(stream);
  if (!s || !s->capturing) return device().misuse("no capture to end"), kInvalid;
  s->capturing = false;
  std::vector<fake::Kernel> kernels = std::move(s->captured);
  s->captured.clear();
  FAKE_CALLED(cuStreamEndCapture);
  *graph = handle<Graph>(device().make("graph"));
  device().graphs[number(*graph)] = std::move(kernels);
  return 0;
}
Status cuGraphInstantiateWithFlags(GraphExec* exec, Graph graph, unsigned long long) {
  FAKE_CALLED(cuGraphInstantiateWithFlags);
  if (!device().known("graph", number(graph))) return kInvalidHandle;
  *exec = handle<GraphExec>(device().make("graph exec"));
  device().graphs[number(*exec)] = device().graphs[number(graph)];
  return 0;
}
Status cuGraphLaunch(GraphExec exec, Stream stream) {
  FAKE_CALLED(cuGraphLaunch);
  if (!device().known("graph exec", number(exec))) return kInvalidHandle;
  for (const fake::Kernel& kernel : device().graphs[number(exec)])
    if (Status status = device().launch(stream, kernel)) return status;
  return 0;
}
Status cuGraphExecDestroy(GraphExec exec) {
  return device().release("graph exec", number(exec)) ? 0 : kInvalidHandle;
}
Status cuGraphDestroy(Graph graph) { return device().release("graph", number(graph)) ? 0 : kInvalidHandle; }

Status cuEventCreate(Event* event, unsigned) {
  FAKE_CALLED(cuEventCreate);
  return *event = handle<Event>(device().make("event")), 0;
}
Status cuEventRecord(Event event, Stream stream) {
  FAKE_CALLED(cuEventRecord);
  const fake::Stream* s = device().stream(stream);
  if (!s || !device().known("event", number(event))) return kInvalidHandle;
  return device().events[number(event)] = s->at_us, 0;
}
Status cuEventSynchronize(Event) {
  FAKE_CALLED(cuEventSynchronize);
  return 0;
}
Status cuEventElapsedTime(float* milliseconds, Event start, Event end) {
  FAKE_CALLED(cuEventElapsedTime);
  if (!device().events.contains(number(start)) || !device().events.contains(number(end)))
    return device().misuse("an event that was never recorded"), kInvalidHandle;
  *milliseconds = static_cast<float>((device().events[number(end)] - device().events[number(start)]) * 1e-3);
  return 0;
}
Status cuEventDestroy_v2(Event event) {
  return event && device().release("event", number(event)) ? 0 : kInvalidHandle;
}

Status cuModuleLoadData(Module* module, const void* image) {
  FAKE_CALLED(cuModuleLoadData);
  const std::string_view text = static_cast<const char*>(image);
  fake::LoadedModule loaded;
  if (fake::is_fake_cubin(text)) {
    if (!fake::load_cubin(text, loaded)) return kInvalidImage;
  } else if (text.find(".version") == std::string_view::npos) {
    return kInvalidImage;
  }
  *module = handle<Module>(device().make("module"));
  return device().modules[number(*module)] = std::move(loaded), 0;
}
Status cuModuleUnload(Module module) {
  device().modules.erase(number(module));
  return device().release("module", number(module)) ? 0 : kInvalidHandle;
}
Status cuModuleGetFunction(Function* function, Module module, const char* name) {
  FAKE_CALLED(cuModuleGetFunction);
  if (!device().known("module", number(module))) return kInvalidHandle;
  const fake::LoadedModule& loaded = device().modules[number(module)];
  if (loaded.library && !fake::has_kernel(loaded, name)) return kNotFound;
  static std::uintptr_t next = 1;
  device().functions[next] = {name, number(module)};
  return *function = handle<Function>(next++), 0;
}
Status cuFuncSetAttribute(Function function, int which, int value) {
  FAKE_CALLED(cuFuncSetAttribute);
  if (!device().functions.contains(number(function)) || which != kMostDynamicShared) return kInvalid;
  if (value > attribute(kSharedPerBlockOptIn)) return kInvalid;
  return device().functions[number(function)].dynamic_shared = value, 0;
}
Status cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Function function, int threads,
                                                   std::size_t shared) {
  FAKE_CALLED(cuOccupancyMaxActiveBlocksPerMultiprocessor);
  if (!device().functions.contains(number(function))) return kInvalidHandle;
  const fake::LoadedFunction& known = device().functions[number(function)];
  if (static_cast<int>(shared) > known.dynamic_shared) return kInvalid;
  *blocks = fake::blocks_at_a_time(device().modules[known.module], threads, static_cast<int>(shared));
  return 0;
}
Status cuLaunchKernel(Function function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned,
                      unsigned, unsigned shared, Stream stream, void** arguments, void**) {
  FAKE_CALLED(cuLaunchKernel);
  const fake::LoadedFunction known = device().functions[number(function)];
  if (known.name.empty() || y != 1 || z != 1) return device().misuse("a launch of nothing"), kInvalidHandle;
  if (known.name.starts_with("tailor_elementwise")) check_elementwise(arguments);
  if (!device().modules[known.module].library)
    return device().launch(stream, own_kernel(known.name, x, threads, arguments));
  return fake::launch_emulated(known, x, threads, shared, stream, arguments);
}

Status cuDeviceGetDevResource(DeviceNumber, DeviceResource* resource, int) {
  FAKE_CALLED(cuDeviceGetDevResource);
  if (device().setting("green", 1) == 0) return kNotSupported;
  *resource = {};
  resource->type = kResourceSm;
  resource->sm.count = static_cast<unsigned>(device().setting("sms", 132));
  resource->sm.least_partition = resource->sm.alignment = kAtom;
  return 0;
}
// `internal` holds the first multiprocessor: what a real driver keeps there is its own business.
Status cuDevSmResourceSplitByCount(DeviceResource* groups, unsigned* count, const DeviceResource* all,
                                   DeviceResource* rest, unsigned, unsigned least) {
  FAKE_CALLED(cuDevSmResourceSplitByCount);
  const auto overlap = static_cast<unsigned>(device().setting("overlap", 0));
  const unsigned each = std::max(8u, (least + 7) / 8 * 8), made = std::min(*count, all->sm.count / each);
  for (unsigned i = 0; i < made; ++i) {
    groups[i] = *all;
    groups[i].sm.count = each;
    groups[i].internal[0] = static_cast<unsigned char>(i * (each - overlap));
  }
  *rest = *all;
  rest->sm.count = all->sm.count - made * each;
  rest->internal[0] = static_cast<unsigned char>(made * each);
  if (rest->sm.count == 0) rest->type = 0;
  return *count = made, 0;
}
Status cuDevResourceGenerateDesc(ResourceText* text, DeviceResource* resources, unsigned count) {
  FAKE_CALLED(cuDevResourceGenerateDesc);
  if (count != 1) return kInvalid;
  static std::uintptr_t next = 1;
  device().resources[next] = resources[0];
  return *text = handle<ResourceText>(next++), 0;
}
Status cuGreenCtxCreate(GreenContext* context, ResourceText text, DeviceNumber, unsigned flags) {
  FAKE_CALLED(cuGreenCtxCreate);
  if (flags != kGreenDefaultStream) return device().misuse("a green context without its flag"), kInvalid;
  *context = handle<GreenContext>(device().make("green context"));
  device().contexts[number(*context)] = device().resources[number(text)];
  return 0;
}
Status cuGreenCtxDestroy(GreenContext context) {
  return device().release("green context", number(context)) ? 0 : kInvalidHandle;
}
Status cuGreenCtxStreamCreate(Stream* stream, GreenContext context, unsigned flags, int) {
  FAKE_CALLED(cuGreenCtxStreamCreate);
  if (flags != kNonBlockingStream)
    return device().misuse("a stream of a green context that blocks"), kInvalid;
  const DeviceResource& resource = device().contexts[number(context)];
  *stream = handle<Stream>(device().make("stream"));
  device().streams[number(*stream)].sms = static_cast<int>(resource.sm.count);
  device().streams[number(*stream)].first_sm = resource.internal[0];
  return 0;
}
Status cuGreenCtxGetDevResource(GreenContext context, DeviceResource* resource, int) {
  FAKE_CALLED(cuGreenCtxGetDevResource);
  return *resource = device().contexts[number(context)], 0;
}

// --- CUPTI ----------------------------------------------------------------------------------------------------------
namespace {
BuffersWanted wanted = nullptr;
BuffersDone done = nullptr;
}  // namespace

Status cuptiActivityRegisterCallbacks(BuffersWanted w, BuffersDone d) {
  FAKE_CALLED(cuptiActivityRegisterCallbacks);
  return wanted = w, done = d, 0;
}
Status cuptiActivityEnable(int) {
  FAKE_CALLED(cuptiActivityEnable);
  return device().tracing = true, 0;
}
Status cuptiActivityDisable(int) {
  FAKE_CALLED(cuptiActivityDisable);
  return device().tracing = false, 0;
}
// Buffers are handed back full, at most a thousand records each.
Status cuptiActivityFlushAll(std::uint32_t) {
  FAKE_CALLED(cuptiActivityFlushAll);
  std::vector<KernelRecord>& records = device().records;
  for (std::size_t at = 0; at < records.size();) {
    std::uint8_t* buffer = nullptr;
    std::size_t size = 0, most = 0;
    wanted(&buffer, &size, &most);
    const std::size_t count = std::min({records.size() - at, size / sizeof(KernelRecord), std::size_t{1000}});
    if (count == 0) return 999;
    std::memcpy(buffer, &records[at], count * sizeof(KernelRecord));
    done(nullptr, 0, buffer, size, count * sizeof(KernelRecord));
    at += count;
  }
  records.clear();
  return 0;
}
Status cuptiActivityGetNextRecord(std::uint8_t* buffer, std::size_t filled, KernelRecord** record) {
  std::uint8_t* next = *record ? reinterpret_cast<std::uint8_t*>(*record + 1) : buffer;
  if (next + sizeof(KernelRecord) > buffer + filled) return kNoMoreRecords;
  return *record = reinterpret_cast<KernelRecord*>(next), 0;
}

}  // extern "C"

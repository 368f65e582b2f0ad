// An OpenCL that is not there, as far as the runner uses it: one device with so many compute units, texts of products
// that are understood by their constants and computed by loops. The environment says what device it is, a text what
// becomes of it ("fake: crash"). FAKE_OPENCL_LOG names a file: splits, and at the end how many objects were not released.
//   FAKE_OPENCL        words: nothing (no device), whole (no sub-devices), gpu (no processor), few (splits give too few)
//   FAKE_OPENCL_UNITS  compute units, 4
#include "runners/opencl/api.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

using namespace tailor::opencl;

namespace {

constexpr Status kInvalidValue = -30, kInvalidObject = -33;

struct Object {
  enum class Kind { device, context, queue, memory, program, kernel, event } kind;
  int units = 0;
  std::vector<unsigned char> bytes;             // memory
  std::string text, name;                       // program; kernel
  std::map<std::uint32_t, MemoryId> arguments;  // kernel
  std::uint64_t began_ns = 0, ended_ns = 0;     // event
};

bool has(const char* word) {
  const char* words = std::getenv("FAKE_OPENCL");
  return words && std::strstr(words, word);
}
int root_units() {
  const char* units = std::getenv("FAKE_OPENCL_UNITS");
  return units ? std::atoi(units) : 4;
}

void note(const std::string& line) {
  const char* path = std::getenv("FAKE_OPENCL_LOG");
  std::FILE* file = path ? std::fopen(path, "a") : nullptr;
  if (!file) return;
  std::fprintf(file, "%s\n", line.c_str());
  std::fclose(file);
}

// Counts what was made and not released; tells it when the program ends.
struct Ledger {
  std::atomic<int> live = 0;
  ~Ledger() { note("left " + std::to_string(live.load())); }
};
Ledger& ledger() {
  static Ledger kept;
  return kept;
}

Object& object(const void* id) { return *static_cast<Object*>(const_cast<void*>(id)); }

Object* make(Object::Kind kind) {
  ++ledger().live;
  Object* made = new Object;
  made->kind = kind;
  return made;
}
Status release(void* id, Object::Kind kind) {
  if (!id || object(id).kind != kind) std::abort();
  --ledger().live;
  delete &object(id);
  return 0;
}

Object& root() {
  static Object device{Object::Kind::device, root_units(), {}, {}, {}, {}, 0, 0};
  return device;
}

Status give(const void* value, std::size_t bytes, std::size_t room, void* to, std::size_t* needed) {
  if (needed) *needed = bytes;
  if (!to) return 0;
  if (room < bytes) return kInvalidValue;
  std::memcpy(to, value, bytes);
  return 0;
}
Status give(const std::string& text, std::size_t room, void* to, std::size_t* needed) {
  return give(text.c_str(), text.size() + 1, room, to, needed);
}
template <class Value>
Status give_value(Value value, std::size_t room, void* to, std::size_t* needed) {
  return give(&value, sizeof value, room, to, needed);
}

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

int constant(const std::string& text, const std::string& name) {
  const std::string line = "#define " + name + " ";
  const std::size_t at = text.find(line);
  return at == std::string::npos ? 0 : std::atoi(text.c_str() + at + line.size());
}

float* floats(const Object& kernel, std::uint32_t argument) {
  return reinterpret_cast<float*>(object(kernel.arguments.at(argument)).bytes.data());
}

void product(const Object& kernel, const std::string& text) {
  const int m = constant(text, "M"), n = constant(text, "N"), k = constant(text, "K");
  const float *left = floats(kernel, 0), *right = floats(kernel, 1), *bias = floats(kernel, 3);
  float* out = floats(kernel, 6);
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < n; ++j) {
      double sum = constant(text, "BIAS") ? static_cast<double>(bias[j]) : 0.0;
      for (int p = 0; p < k; ++p)
        sum += static_cast<double>(left[i * k + p]) * static_cast<double>(right[p * n + j]);
      if (constant(text, "RELU") && sum < 0) sum = 0;
      out[i * n + j] =
          static_cast<float>(sum) + (text.find("fake: wrong") != std::string::npos ? 1.0f : 0.0f);
    }
}

Status execute(const Object& kernel) {
  const std::string& text = kernel.text;
  auto says = [&](const char* word) { return text.find(word) != std::string::npos; };
  if (says("fake: crash")) std::abort();
  while (says("fake: hang")) std::this_thread::sleep_for(std::chrono::seconds(1));
  if (says("fake: large group")) return kInvalidWorkGroupSize;
  if (says("fake: odd")) return kInvalidValue;
  if (kernel.name == "product") product(kernel, text);
  return 0;
}

}  // namespace

extern "C" {

Status clGetPlatformIDs(std::uint32_t room, PlatformId* ids, std::uint32_t* count) {
  *count = 1;
  if (ids && room > 0) ids[0] = reinterpret_cast<PlatformId>(&root());
  return 0;
}
Status clGetPlatformInfo(PlatformId, Name name, std::size_t room, void* to, std::size_t* needed) {
  return give(name == kPlatformName ? "fake platform" : "OpenCL 1.2 fake  built by nobody", room, to, needed);
}
Status clGetDeviceIDs(PlatformId, Bits, std::uint32_t room, DeviceId* ids, std::uint32_t* count) {
  if (has("nothing")) return kDeviceNotFound;
  *count = 1;
  if (ids && room > 0) ids[0] = reinterpret_cast<DeviceId>(&root());
  return 0;
}
Status clGetDeviceInfo(DeviceId id, Name name, std::size_t room, void* to, std::size_t* needed) {
  const auto units = static_cast<std::uint32_t>(object(id).units);
  switch (name) {
    case kDeviceName:
      return give("fake device", room, to, needed);
    case kDriverVersion:
      return give("7", room, to, needed);
    case kDeviceType:
      return give_value(has("gpu") ? Bits{4} : kProcessor, room, to, needed);
    case kComputeUnits:
      return give_value(units, room, to, needed);
    case kVectorFloats:
      return give_value(std::uint32_t{8}, room, to, needed);
    case kMostInGroup:
      return give_value(std::size_t{64}, room, to, needed);
    case kLocalBytes:
      return give_value(Bits{32768}, room, to, needed);
    case kSubDevicesMost:
      return give_value(has("whole") ? 0u : units, room, to, needed);
    case kPartitionKinds:
      return give_value(kByCounts, room, to, needed);
    default:
      return kInvalidValue;
  }
}
Status clCreateSubDevices(DeviceId id, const std::intptr_t* how, std::uint32_t room, DeviceId* made,
                          std::uint32_t* count) {
  if (how[0] != kByCounts) return kInvalidValue;
  std::string line = "split";
  std::uint32_t parts = 0;
  int units = 0;
  for (const std::intptr_t* each = how + 1; *each != kByCountsEnd; ++each, ++parts) {
    units += static_cast<int>(*each), line += " " + std::to_string(*each);
    if (units > object(id).units || parts >= room) return kInvalidValue;
    Object* part = make(Object::Kind::device);
    part->units = static_cast<int>(*each);
    made[parts] = reinterpret_cast<DeviceId>(part);
  }
  note(line);
  *count = has("few") ? parts - 1 : parts;
  return 0;
}
Status clReleaseDevice(DeviceId id) { return release(id, Object::Kind::device); }

ContextId clCreateContext(const std::intptr_t*, std::uint32_t, const DeviceId* devices,
                          void (*)(const char*, const void*, std::size_t, void*), void*, Status* status) {
  Object* made = make(Object::Kind::context);
  made->units = object(*devices).units, *status = 0;
  return reinterpret_cast<ContextId>(made);
}
Status clReleaseContext(ContextId id) { return release(id, Object::Kind::context); }
QueueId clCreateCommandQueue(ContextId, DeviceId, Bits, Status* status) {
  *status = 0;
  return reinterpret_cast<QueueId>(make(Object::Kind::queue));
}
Status clReleaseCommandQueue(QueueId id) { return release(id, Object::Kind::queue); }

MemoryId clCreateBuffer(ContextId, Bits, std::size_t bytes, void*, Status* status) {
  *status = bytes == 0 ? kInvalidBufferSize : bytes > std::size_t{1} << 28 ? kNoMemoryForObject : 0;
  if (*status != 0) return nullptr;
  Object* made = make(Object::Kind::memory);
  made->bytes.resize(bytes);
  return reinterpret_cast<MemoryId>(made);
}
Status clReleaseMemObject(MemoryId id) { return release(id, Object::Kind::memory); }
Status clEnqueueWriteBuffer(QueueId, MemoryId id, std::uint32_t, std::size_t at, std::size_t bytes,
                            const void* from, std::uint32_t, const EventId*, EventId*) {
  if (at + bytes > object(id).bytes.size()) return kInvalidValue;
  std::memcpy(object(id).bytes.data() + at, from, bytes);
  return 0;
}
Status clEnqueueReadBuffer(QueueId, MemoryId id, std::uint32_t, std::size_t at, std::size_t bytes, void* to,
                           std::uint32_t, const EventId*, EventId*) {
  if (at + bytes > object(id).bytes.size()) return kInvalidValue;
  std::memcpy(to, object(id).bytes.data() + at, bytes);
  return 0;
}

ProgramId clCreateProgramWithSource(ContextId, std::uint32_t, const char** texts, const std::size_t* lengths,
                                    Status* status) {
  Object* made = make(Object::Kind::program);
  made->text.assign(texts[0], lengths[0]), *status = 0;
  return reinterpret_cast<ProgramId>(made);
}
Status clReleaseProgram(ProgramId id) { return release(id, Object::Kind::program); }
Status clBuildProgram(ProgramId id, std::uint32_t, const DeviceId*, const char*, void (*)(ProgramId, void*),
                      void*) {
  return object(id).text.find("fake: refuse") == std::string::npos ? 0 : kBuildFailure;
}
Status clGetProgramBuildInfo(ProgramId, DeviceId, Name name, std::size_t room, void* to,
                             std::size_t* needed) {
  return name == kBuildLog ? give("line 3: nobody understands that", room, to, needed) : kInvalidValue;
}
KernelId clCreateKernel(ProgramId id, const char* name, Status* status) {
  *status = object(id).text.find("fake: no kernel") == std::string::npos ? 0 : kInvalidKernelName;
  if (*status != 0) return nullptr;
  Object* made = make(Object::Kind::kernel);
  made->text = object(id).text, made->name = name;
  return reinterpret_cast<KernelId>(made);
}
Status clReleaseKernel(KernelId id) { return release(id, Object::Kind::kernel); }
Status clSetKernelArg(KernelId id, std::uint32_t index, std::size_t bytes, const void* value) {
  if (bytes != sizeof(MemoryId)) return kInvalidValue;
  object(id).arguments[index] = *static_cast<const MemoryId*>(value);
  return 0;
}

Status clEnqueueNDRangeKernel(QueueId, KernelId id, std::uint32_t dimensions, const std::size_t*,
                              const std::size_t* global, const std::size_t* local, std::uint32_t,
                              const EventId*, EventId* event) {
  for (std::uint32_t d = 0; local && d < dimensions; ++d)
    if (global[d] % local[d] != 0) return kInvalidWorkGroupSize;
  const std::uint64_t began = now_ns();
  const Status status = execute(object(id));
  if (status != 0 || !event) return status;
  Object* made = make(Object::Kind::event);
  made->began_ns = began, made->ended_ns = now_ns();
  *event = reinterpret_cast<EventId>(made);
  return 0;
}
Status clFinish(QueueId id) { return object(id).kind == Object::Kind::queue ? 0 : kInvalidObject; }
Status clGetEventProfilingInfo(EventId id, Name name, std::size_t room, void* to, std::size_t* needed) {
  return give_value(name == kBegan ? object(id).began_ns : object(id).ended_ns, room, to, needed);
}
Status clReleaseEvent(EventId id) { return release(id, Object::Kind::event); }

}  // extern "C"

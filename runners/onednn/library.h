/// \file oneDNN, loaded at run time where it is installed: types, numbers and functions of its public C interface.
///
/// Everything is declared here as version 2 has it (2.6 is what was tried), so nothing of the library is needed to
/// build. Version 3 has another interface and is refused by name.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tailor::onednn {

// Opaque things; descriptors are values that the library fills, of sizes that are at least its own (696, 5976, 2800).
using Status = int;
using Engine = struct EngineOpaque*;
using Stream = struct StreamOpaque*;
using Attributes = struct AttributesOpaque*;
using PostOps = struct PostOpsOpaque*;
using PrimitiveDescriptor = struct PrimitiveDescriptorOpaque*;
using Executable = struct ExecutableOpaque*;
using Memory = struct MemoryOpaque*;
struct alignas(8) TensorDescriptor {
  std::array<std::byte, 1024> bytes = {};
};
struct alignas(8) OperationDescriptor {
  std::array<std::byte, 8192> bytes = {};
};
using Dimensions = std::array<std::int64_t, 12>;
struct Argument {
  int index;
  Memory memory;
};
struct Version {
  int major, minor, patch;
  const char* hash;
  unsigned cpu_runtime, gpu_runtime;
};

constexpr int kForwardInference = 96, kDirect = 1, kCpu = 1, kInOrder = 1;
constexpr int kRelu = 31, kTanh = 47, kLinear = 127, kLogistic = 175, kClip = 255, kGelu = 48,
              kHardSwish = 112;
constexpr int kPoolMax = 511, kPoolAverage = 1023, kBinaryAdd = 131056, kBinaryMul = 131057;
constexpr int kBf16 = 2, kFloat = 3, kS8 = 5, kU8 = 6;                              // types
constexpr int kAnyLayout = 1, kVector = 2, kRowMajor = 3, kNchw = 5;                // layouts
constexpr int kSource = 1, kSource1 = 2, kResult = 17, kWeights = 33, kBias = 41;   // arguments
constexpr int kAskName = 8, kAskSource = 129, kAskWeights = 131, kAskResult = 133;  // questions

/// Throws Error runtime_refused with what the library was asked for, unless the answer is 0.
void check(Status status, const char* what);

/// The library's functions and one engine with a stream on it. One thread.
struct Library {
  /// @param path of the library; empty: "libdnnl.so.2", as the system finds it
  /// @throws Error runtime_missing where it is not there; runtime_refused: another version than 2, or built for
  /// threads that cannot be held to one
  explicit Library(const std::string& path);
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  void* handle = nullptr;  // stays loaded: its threads' library does not survive being unloaded everywhere
  std::string file, version;
  Engine engine = nullptr;
  Stream stream = nullptr;

  const Version* (*ask_version)();
  unsigned (*ask_isa)();
  Status (*engine_create)(Engine*, int, std::size_t);
  Status (*engine_destroy)(Engine);
  Status (*stream_create)(Stream*, Engine, unsigned);
  Status (*stream_destroy)(Stream);
  Status (*stream_wait)(Stream);
  Status (*tensor)(TensorDescriptor*, int, const std::int64_t*, int, int);
  Status (*strided)(TensorDescriptor*, int, const std::int64_t*, int, const std::int64_t*);
  Status (*convolution)(OperationDescriptor*, int, int, const TensorDescriptor*, const TensorDescriptor*,
                        const TensorDescriptor*, const TensorDescriptor*, const std::int64_t*,
                        const std::int64_t*, const std::int64_t*, const std::int64_t*);
  Status (*product)(OperationDescriptor*, const TensorDescriptor*, const TensorDescriptor*,
                    const TensorDescriptor*, const TensorDescriptor*);
  Status (*pooling)(OperationDescriptor*, int, int, const TensorDescriptor*, const TensorDescriptor*,
                    const std::int64_t*, const std::int64_t*, const std::int64_t*, const std::int64_t*);
  Status (*elementwise)(OperationDescriptor*, int, int, const TensorDescriptor*, float, float);
  Status (*binary)(OperationDescriptor*, int, const TensorDescriptor*, const TensorDescriptor*,
                   const TensorDescriptor*);
  Status (*attributes_create)(Attributes*);
  Status (*attributes_destroy)(Attributes);
  Status (*attributes_set)(Attributes, PostOps);
  Status (*set_scales)(Attributes, std::int64_t, int, const float*);
  Status (*post_create)(PostOps*);
  Status (*post_destroy)(PostOps);
  Status (*post_sum)(PostOps, float);
  Status (*post_sum_of)(PostOps, float, int);
  Status (*post_eltwise)(PostOps, float, int, float, float);
  Status (*descriptor_create)(PrimitiveDescriptor*, const void*, Attributes, Engine, PrimitiveDescriptor);
  Status (*descriptor_destroy)(PrimitiveDescriptor);
  Status (*ask)(PrimitiveDescriptor, int, int, void*);
  const TensorDescriptor* (*ask_tensor)(PrimitiveDescriptor, int, int);
  Status (*reorder)(PrimitiveDescriptor*, const TensorDescriptor*, Engine, const TensorDescriptor*, Engine,
                    Attributes);
  Status (*create)(Executable*, PrimitiveDescriptor);
  Status (*destroy)(Executable);
  Status (*execute)(Executable, Stream, int, const Argument*);
  Status (*memory_create)(Memory*, const TensorDescriptor*, Engine, void*);
  Status (*memory_destroy)(Memory);
  std::size_t (*size)(const TensorDescriptor*);
  int (*equal)(const TensorDescriptor*, const TensorDescriptor*);

 private:
  template <class Function>
  void load(Function& function, const char* name);
  void load_all();
};

/// What the library's effective instruction set is called: "avx2", "avx512_core_vnni" ...
std::string isa_name(const Library& library);

/// Memory that begins where the widest vectors like it, all zero.
struct Block {
  explicit Block(std::size_t bytes);
  std::size_t bytes;
  std::unique_ptr<void, void (*)(void*)> data;
};

/// What belongs to one thing made of the library's parts; given back in the opposite order.
struct Belongings {
  Belongings() = default;
  Belongings(const Belongings&) = delete;
  Belongings& operator=(const Belongings&) = delete;
  ~Belongings();

  Memory memory(const Library& f, const TensorDescriptor& of, void* at = nullptr);
  /// @throws Error runtime_refused if the library has nothing for it
  PrimitiveDescriptor primitive(const Library& f, const OperationDescriptor& operation,
                                Attributes attributes);
  PrimitiveDescriptor reordering(const Library& f, const TensorDescriptor& from, const TensorDescriptor& to,
                                 Attributes attributes = nullptr);
  PostOps post_ops(const Library& f);
  /// @param post may be nullptr
  Attributes attributes(const Library& f, PostOps post);
  /// One execution each time it is called; it does not wait for the stream.
  std::function<void()> execution(const Library& f, PrimitiveDescriptor of, std::vector<Argument> arguments);

 private:
  std::vector<std::function<void()>> ends_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace tailor::onednn

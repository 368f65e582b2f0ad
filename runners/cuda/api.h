/// \file What this program uses of CUDA's libraries, declared by itself: types, numbers and functions of the public
/// documentation of the driver API, cuBLASLt, cuDNN 9's graph API, CUPTI and NVRTC.
///
/// So it builds where no CUDA is installed, and one build runs with CUDA 12 and 13. tests/cuda compares every size and
/// number below with NVIDIA's headers where those are found.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailor::cuda {

// --- driver ---------------------------------------------------------------------------------------------------------
using Status = int;  // of every library; 0 is success
using DeviceNumber = int;
using Address = unsigned long long;  // in the device's memory
using Context = struct ContextOpaque*;
using Stream = struct StreamOpaque*;
using Event = struct EventOpaque*;
using Graph = struct GraphOpaque*;
using GraphExec = struct GraphExecOpaque*;
using Module = struct ModuleOpaque*;
using Function = struct FunctionOpaque*;
using GreenContext = struct GreenContextOpaque*;
using ResourceText = struct ResourceTextOpaque*;  // CUdevResourceDesc

inline constexpr Status kOutOfMemory = 2, kNoDevice = 100, kStubLibrary = 34, kNotSupported = 801;
/// From this number on a context is lost with whatever ran in it (illegal address, launch failure, ...).
inline constexpr Status kFirstFatal = 700, kLastFatal = 720;

enum Attribute : int {
  kMaxThreadsPerBlock = 1,
  kMaxGridX = 5,
  kSharedPerBlock = 8,
  kWarpSize = 10,
  kRegistersPerBlock = 12,
  kClockKHz = 13,
  kMultiprocessors = 16,
  kPciDevice = 34,
  kTccDriver = 35,
  kMemoryClockKHz = 36,
  kMemoryBusBits = 37,
  kL2Bytes = 38,
  kThreadsPerMultiprocessor = 39,
  kCapabilityMajor = 75,
  kCapabilityMinor = 76,
  kSharedPerMultiprocessor = 81,
  kRegistersPerMultiprocessor = 82,
  kCooperativeLaunch = 95,
  kSharedPerBlockOptIn = 97,
  kBlocksPerMultiprocessor = 106,
  kReservedSharedPerBlock = 111,
};

inline constexpr unsigned kNonBlockingStream = 1, kGreenDefaultStream = 1;
inline constexpr int kCaptureThreadLocal = 1;
inline constexpr int kResourceSm = 1;
inline constexpr int kMostDynamicShared = 8;  // of a Function's attributes

/// CUdevResource as of its ABI version 1.
struct DeviceResource {
  int type = 0;
  unsigned char internal[92] = {};
  struct {
    unsigned count = 0, least_partition = 0, alignment = 0;
    unsigned char rest[36] = {};
  } sm;
};

// --- cuBLASLt -------------------------------------------------------------------------------------------------------
using BlasHandle = struct BlasOpaque*;
using MatmulText = struct MatmulTextOpaque*;
using MatrixLayout = struct MatrixLayoutOpaque*;
using MatmulPreference = struct MatmulPreferenceOpaque*;

struct MatmulAlgorithm {
  std::uint64_t opaque[8] = {};
};
struct MatmulChoice {
  MatmulAlgorithm algorithm;
  std::size_t workspace = 0;
  Status state = 0;
  float waves = 0;
  int reserved[4] = {};
};

inline constexpr int kTransposeA = 3, kEpilogue = 7, kBiasPointer = 8;        // of MatmulText
inline constexpr int kBatchCount = 5, kBatchStride = 6;                       // of MatrixLayout
inline constexpr int kMaxWorkspace = 1;                                       // of MatmulPreference
inline constexpr int kTileId = 1, kSplitK = 2, kStagesId = 6;                 // of MatmulAlgorithm
inline constexpr std::uint32_t kPlain = 1, kRelu = 2, kBias = 4, kGelu = 32;  // epilogues, to be or-ed
inline constexpr int kCompute32F = 68, kComputeTf32 = 77, kCompute32I = 72;
inline constexpr int kReal32F = 0, kReal16F = 2, kReal8I = 3, kReal16BF = 14;  // cudaDataType

// --- cuDNN ----------------------------------------------------------------------------------------------------------
using DnnHandle = struct DnnOpaque*;
using Descriptor = void*;
using PoolingText = struct PoolingOpaque*;
using TensorText = struct TensorOpaque*;

enum DescriptorKind : int {
  kPointwise = 0,
  kConvolution = 1,
  kEngine = 2,
  kEngineConfig = 3,
  kHeuristic = 4,
  kExecutionPlan = 5,
  kKnobChoice = 7,
  kConvolutionForward = 10,
  kPointwiseOperation = 13,
  kOperationGraph = 15,
  kVariantPack = 16,
  kTensor = 17,
  kDeviceProperties = 38,
};
enum AttributeName : int {
  kPointwiseMode = 0,
  kPointwisePrecision = 1,
  kReluUpperClip = 4,
  kReluSlope = 5,
  kConvolutionType = 100,
  kConvolutionMode = 101,
  kDilations = 102,
  kStrides = 103,
  kPostPaddings = 104,
  kPrePaddings = 105,
  kSpatialDims = 106,
  kHeuristicMode = 200,
  kHeuristicGraph = 201,
  kHeuristicResults = 202,
  kHeuristicDevice = 204,
  kConfigEngine = 300,
  kConfigKnobs = 302,
  kPlanHandle = 400,
  kPlanConfig = 401,
  kPlanWorkspace = 402,
  kKnobType = 600,
  kKnobValue = 601,
  kForwardAlpha = 700,
  kForwardBeta = 701,
  kForwardConvolution = 702,
  kForwardW = 703,
  kForwardX = 704,
  kForwardY = 705,
  kOperationPointwise = 750,
  kOperationX = 751,
  kOperationB = 752,
  kOperationY = 753,
  kGraphHandle = 800,
  kGraphOperations = 801,
  kTensorAlignment = 900,
  kTensorType = 901,
  kTensorDims = 902,
  kTensorStrides = 903,
  kTensorId = 906,
  kTensorVirtual = 907,
  kPackIds = 1000,
  kPackPointers = 1001,
  kPackWorkspace = 1003,
  kEngineIndex = 1301,
  kEngineNotes = 1303,
  kDeviceJson = 2702,
};
enum AttributeType : int {
  kTypeHandle = 0,
  kTypeDataType = 1,
  kTypeBoolean = 2,
  kTypeInt64 = 3,
  kTypeFloat = 4,
  kTypeDouble = 5,
  kTypePointer = 6,
  kTypeConvolutionMode = 7,
  kTypeHeuristicMode = 8,
  kTypeKnob = 9,
  kTypeNote = 11,
  kTypePointwiseMode = 14,
  kTypeDescriptor = 15,
  kTypeChar = 24,
};
inline constexpr int kDnnFloat = 0, kDnnHalf = 2, kDnnInt8 = 3, kDnnInt32 = 4, kDnnBf16 = 9;
inline constexpr int kCrossCorrelation = 1, kNoteTensorCore = 0;
inline constexpr int kAdd = 0, kReluForward = 100, kTanhForward = 101, kSigmoidForward = 102;
inline constexpr int kHeuristicFallback = 2, kHeuristicA = 3;
inline constexpr int kNhwc = 1, kPoolMax = 0, kPoolAverage = 2, kIgnoreNan = 0;
inline constexpr Status kDnnNotSupported = 3000,
                        kDnnInternal = 4000;  // 3000..3999: this graph is not supported
inline constexpr Status kDnnDeviceMemory = 4004;

// --- CUPTI ----------------------------------------------------------------------------------------------------------
inline constexpr int kConcurrentKernel = 10;
inline constexpr Status kNoMoreRecords = 12;
using BuffersWanted = void (*)(std::uint8_t**, std::size_t*, std::size_t*);
using BuffersDone = void (*)(Context, std::uint32_t, std::uint8_t*, std::size_t, std::size_t);

/// The part of CUpti_ActivityKernel5 to 10 (CUDA 11 to 13) that all have alike.
struct KernelRecord {
  std::uint32_t kind = 0;
  std::uint8_t cache = 0, shared_config = 0;
  std::uint16_t registers = 0;
  std::uint32_t partitioned[2] = {};
  std::uint64_t start = 0, end = 0, completed = 0;
  std::uint32_t device = 0, context = 0, stream = 0;
  std::int32_t grid[3] = {}, block[3] = {};
  std::int32_t static_shared = 0, dynamic_shared = 0;
  std::uint32_t local = 0, local_total = 0, correlation = 0;
  std::int64_t grid_id = 0;
  const char* name = nullptr;
};

// X(name, symbol, parameters...): every function, by the library that has it. All return Status.
#define TAILOR_CUDA_DRIVER(X)                                                                               \
  X(init, cuInit, unsigned)                                                                                 \
  X(version, cuDriverGetVersion, int*)                                                                      \
  X(device_count, cuDeviceGetCount, int*)                                                                   \
  X(device, cuDeviceGet, DeviceNumber*, int)                                                                \
  X(device_name, cuDeviceGetName, char*, int, DeviceNumber)                                                 \
  X(device_attribute, cuDeviceGetAttribute, int*, Attribute, DeviceNumber)                                  \
  X(device_memory, cuDeviceTotalMem_v2, std::size_t*, DeviceNumber)                                         \
  X(retain_context, cuDevicePrimaryCtxRetain, Context*, DeviceNumber)                                       \
  X(release_context, cuDevicePrimaryCtxRelease_v2, DeviceNumber)                                            \
  X(set_context, cuCtxSetCurrent, Context)                                                                  \
  X(synchronize, cuCtxSynchronize, void)                                                                    \
  X(allocate, cuMemAlloc_v2, Address*, std::size_t)                                                         \
  X(release, cuMemFree_v2, Address)                                                                         \
  X(to_device, cuMemcpyHtoD_v2, Address, const void*, std::size_t)                                          \
  X(to_host, cuMemcpyDtoH_v2, void*, Address, std::size_t)                                                  \
  X(within_device, cuMemcpyDtoDAsync_v2, Address, Address, std::size_t, Stream)                             \
  X(create_stream, cuStreamCreate, Stream*, unsigned)                                                       \
  X(destroy_stream, cuStreamDestroy_v2, Stream)                                                             \
  X(begin_capture, cuStreamBeginCapture_v2, Stream, int)                                                    \
  X(end_capture, cuStreamEndCapture, Stream, Graph*)                                                        \
  X(instantiate, cuGraphInstantiateWithFlags, GraphExec*, Graph, unsigned long long)                        \
  X(launch_graph, cuGraphLaunch, GraphExec, Stream)                                                         \
  X(destroy_exec, cuGraphExecDestroy, GraphExec)                                                            \
  X(destroy_graph, cuGraphDestroy, Graph)                                                                   \
  X(create_event, cuEventCreate, Event*, unsigned)                                                          \
  X(record_event, cuEventRecord, Event, Stream)                                                             \
  X(await_event, cuEventSynchronize, Event)                                                                 \
  X(elapsed, cuEventElapsedTime, float*, Event, Event)                                                      \
  X(destroy_event, cuEventDestroy_v2, Event)                                                                \
  X(load_module, cuModuleLoadData, Module*, const void*)                                                    \
  X(unload_module, cuModuleUnload, Module)                                                                  \
  X(function, cuModuleGetFunction, Function*, Module, const char*)                                          \
  X(launch, cuLaunchKernel, Function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, \
    Stream, void**, void**)                                                                                 \
  X(set_function, cuFuncSetAttribute, Function, int, int)                                                   \
  X(occupancy, cuOccupancyMaxActiveBlocksPerMultiprocessor, int*, Function, int, std::size_t)               \
  X(error_text, cuGetErrorString, Status, const char**)

// Since CUDA 12.4; absent in older drivers.
#define TAILOR_CUDA_GREEN(X)                                                                                \
  X(resource, cuDeviceGetDevResource, DeviceNumber, DeviceResource*, int)                                   \
  X(split, cuDevSmResourceSplitByCount, DeviceResource*, unsigned*, const DeviceResource*, DeviceResource*, \
    unsigned, unsigned)                                                                                     \
  X(describe, cuDevResourceGenerateDesc, ResourceText*, DeviceResource*, unsigned)                          \
  X(create, cuGreenCtxCreate, GreenContext*, ResourceText, DeviceNumber, unsigned)                          \
  X(destroy, cuGreenCtxDestroy, GreenContext)                                                               \
  X(create_stream, cuGreenCtxStreamCreate, Stream*, GreenContext, unsigned, int)                            \
  X(resource_of, cuGreenCtxGetDevResource, GreenContext, DeviceResource*, int)

#define TAILOR_CUDA_BLAS(X)                                                                                \
  X(create, cublasLtCreate, BlasHandle*)                                                                   \
  X(destroy, cublasLtDestroy, BlasHandle)                                                                  \
  X(create_text, cublasLtMatmulDescCreate, MatmulText*, int, int)                                          \
  X(destroy_text, cublasLtMatmulDescDestroy, MatmulText)                                                   \
  X(set_text, cublasLtMatmulDescSetAttribute, MatmulText, int, const void*, std::size_t)                   \
  X(create_layout, cublasLtMatrixLayoutCreate, MatrixLayout*, int, std::uint64_t, std::uint64_t,           \
    std::int64_t)                                                                                          \
  X(destroy_layout, cublasLtMatrixLayoutDestroy, MatrixLayout)                                             \
  X(set_layout, cublasLtMatrixLayoutSetAttribute, MatrixLayout, int, const void*, std::size_t)             \
  X(create_preference, cublasLtMatmulPreferenceCreate, MatmulPreference*)                                  \
  X(destroy_preference, cublasLtMatmulPreferenceDestroy, MatmulPreference)                                 \
  X(set_preference, cublasLtMatmulPreferenceSetAttribute, MatmulPreference, int, const void*, std::size_t) \
  X(choose, cublasLtMatmulAlgoGetHeuristic, BlasHandle, MatmulText, MatrixLayout, MatrixLayout,            \
    MatrixLayout, MatrixLayout, MatmulPreference, int, MatmulChoice*, int*)                                \
  X(read_algorithm, cublasLtMatmulAlgoConfigGetAttribute, const MatmulAlgorithm*, int, void*, std::size_t, \
    std::size_t*)                                                                                          \
  X(multiply, cublasLtMatmul, BlasHandle, MatmulText, const void*, const void*, MatrixLayout, const void*, \
    MatrixLayout, const void*, const void*, MatrixLayout, void*, MatrixLayout, const MatmulAlgorithm*,     \
    void*, std::size_t, Stream)

#define TAILOR_CUDA_DNN(X)                                                                                \
  X(create, cudnnCreate, DnnHandle*)                                                                      \
  X(destroy, cudnnDestroy, DnnHandle)                                                                     \
  X(set_stream, cudnnSetStream, DnnHandle, Stream)                                                        \
  X(create_descriptor, cudnnBackendCreateDescriptor, DescriptorKind, Descriptor*)                         \
  X(destroy_descriptor, cudnnBackendDestroyDescriptor, Descriptor)                                        \
  X(finalize, cudnnBackendFinalize, Descriptor)                                                           \
  X(set, cudnnBackendSetAttribute, Descriptor, AttributeName, AttributeType, std::int64_t, const void*)   \
  X(get, cudnnBackendGetAttribute, Descriptor, AttributeName, AttributeType, std::int64_t, std::int64_t*, \
    void*)                                                                                                \
  X(execute, cudnnBackendExecute, DnnHandle, Descriptor, Descriptor)                                      \
  X(create_tensor, cudnnCreateTensorDescriptor, TensorText*)                                              \
  X(destroy_tensor, cudnnDestroyTensorDescriptor, TensorText)                                             \
  X(set_tensor, cudnnSetTensor4dDescriptor, TensorText, int, int, int, int, int, int)                     \
  X(create_pooling, cudnnCreatePoolingDescriptor, PoolingText*)                                           \
  X(destroy_pooling, cudnnDestroyPoolingDescriptor, PoolingText)                                          \
  X(set_pooling, cudnnSetPooling2dDescriptor, PoolingText, int, int, int, int, int, int, int, int)        \
  X(pool, cudnnPoolingForward, DnnHandle, PoolingText, const void*, TensorText, const void*, const void*, \
    TensorText, void*)

#define TAILOR_CUDA_CUPTI(X)                                                      \
  X(register_buffers, cuptiActivityRegisterCallbacks, BuffersWanted, BuffersDone) \
  X(enable, cuptiActivityEnable, int)                                             \
  X(disable, cuptiActivityDisable, int)                                           \
  X(flush, cuptiActivityFlushAll, std::uint32_t)                                  \
  X(next_record, cuptiActivityGetNextRecord, std::uint8_t*, std::size_t, KernelRecord**)

// --- NVRTC: the compiler of CUDA C++ -----------------------------------------------------------------------------------
using Program = struct ProgramOpaque*;
inline constexpr Status kNvrtcOutOfMemory = 1, kNvrtcInvalidOption = 5, kNvrtcCompilation = 6;

#define TAILOR_CUDA_NVRTC(X)                                                                 \
  X(version, nvrtcVersion, int*, int*)                                                       \
  X(count_architectures, nvrtcGetNumSupportedArchs, int*)                                    \
  X(architectures, nvrtcGetSupportedArchs, int*)                                             \
  X(create, nvrtcCreateProgram, Program*, const char*, const char*, int, const char* const*, \
    const char* const*)                                                                      \
  X(destroy, nvrtcDestroyProgram, Program*)                                                  \
  X(compile, nvrtcCompileProgram, Program, int, const char* const*)                          \
  X(cubin_size, nvrtcGetCUBINSize, Program, std::size_t*)                                    \
  X(cubin, nvrtcGetCUBIN, Program, char*)                                                    \
  X(log_size, nvrtcGetProgramLogSize, Program, std::size_t*)                                 \
  X(log, nvrtcGetProgramLog, Program, char*)

#define TAILOR_CUDA_MEMBER(name, symbol, ...) Status (*name)(__VA_ARGS__) = nullptr;
struct DriverFunctions {
  TAILOR_CUDA_DRIVER(TAILOR_CUDA_MEMBER)
};
struct GreenFunctions {
  TAILOR_CUDA_GREEN(TAILOR_CUDA_MEMBER)
};
struct BlasFunctions {
  TAILOR_CUDA_BLAS(TAILOR_CUDA_MEMBER)
  std::size_t (*version)() = nullptr;
};
struct DnnFunctions {
  TAILOR_CUDA_DNN(TAILOR_CUDA_MEMBER)
  std::size_t (*version)() = nullptr;
  const char* (*error_text)(Status) = nullptr;
  void (*last_error)(char*, std::size_t) = nullptr;  // in the library's own words
};
struct CuptiFunctions {
  TAILOR_CUDA_CUPTI(TAILOR_CUDA_MEMBER)
};
struct NvrtcFunctions {
  TAILOR_CUDA_NVRTC(TAILOR_CUDA_MEMBER)
  const char* (*error_text)(Status) = nullptr;
};
#undef TAILOR_CUDA_MEMBER

}  // namespace tailor::cuda

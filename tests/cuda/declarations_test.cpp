// What runners/cuda/api.h declares, compared with NVIDIA's headers where these are found. The comparison happens while
// this file is compiled; a difference is a failure to build.
#include "runners/cuda/api.h"

#include <gtest/gtest.h>

#if __has_include(<cuda.h>) && __has_include(<cublasLt.h>) && __has_include(<cudnn.h>) && __has_include(<cupti.h>) && \
    __has_include(<nvrtc.h>)
#define TAILOR_HAS_CUDA 1
#include <cublasLt.h>
#include <cuda.h>
#include <cudnn.h>
#include <cupti.h>
#include <nvrtc.h>

#include <cstddef>
#include <type_traits>
#endif

namespace {

#ifdef TAILOR_HAS_CUDA
namespace own = tailor::cuda;

static_assert(sizeof(CUdeviceptr) == sizeof(own::Address) && sizeof(CUdevice) == sizeof(own::DeviceNumber));
static_assert(sizeof(CUresult) == sizeof(own::Status) && sizeof(cudnnStatus_t) == sizeof(own::Status));
static_assert(sizeof(cublasStatus_t) == sizeof(own::Status) && sizeof(CUptiResult) == sizeof(own::Status));

#define SAME(ours, theirs) static_assert(static_cast<long long>(own::ours) == static_cast<long long>(theirs))
SAME(kOutOfMemory, CUDA_ERROR_OUT_OF_MEMORY);
SAME(kNoDevice, CUDA_ERROR_NO_DEVICE);
SAME(kStubLibrary, CUDA_ERROR_STUB_LIBRARY);
SAME(kNotSupported, CUDA_ERROR_NOT_SUPPORTED);
static_assert(CUDA_ERROR_ILLEGAL_ADDRESS >= own::kFirstFatal && CUDA_ERROR_LAUNCH_FAILED <= own::kLastFatal);
SAME(kMaxThreadsPerBlock, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
SAME(kMaxGridX, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X);
SAME(kSharedPerBlock, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
SAME(kWarpSize, CU_DEVICE_ATTRIBUTE_WARP_SIZE);
SAME(kRegistersPerBlock, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK);
SAME(kClockKHz, CU_DEVICE_ATTRIBUTE_CLOCK_RATE);
SAME(kMultiprocessors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
SAME(kPciDevice, CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID);
SAME(kTccDriver, CU_DEVICE_ATTRIBUTE_TCC_DRIVER);
SAME(kMemoryClockKHz, CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE);
SAME(kMemoryBusBits, CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH);
SAME(kL2Bytes, CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE);
SAME(kThreadsPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR);
SAME(kCapabilityMajor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME(kCapabilityMinor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
SAME(kSharedPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR);
SAME(kRegistersPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR);
SAME(kCooperativeLaunch, CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH);
SAME(kSharedPerBlockOptIn, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
SAME(kBlocksPerMultiprocessor, CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR);
SAME(kReservedSharedPerBlock, CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK);
SAME(kNonBlockingStream, CU_STREAM_NON_BLOCKING);
SAME(kCaptureThreadLocal, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
SAME(kMostDynamicShared, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
static_assert(
    std::is_same_v<decltype(&cuFuncSetAttribute), CUresult (*)(CUfunction, CUfunction_attribute, int)>);
static_assert(std::is_same_v<decltype(&cuOccupancyMaxActiveBlocksPerMultiprocessor),
                             CUresult (*)(int*, CUfunction, int, std::size_t)>);
static_assert(std::is_same_v<decltype(&nvrtcGetCUBIN), nvrtcResult (*)(nvrtcProgram, char*)>);
#if CUDA_VERSION >= 12040
SAME(kGreenDefaultStream, CU_GREEN_CTX_DEFAULT_STREAM);
SAME(kResourceSm, CU_DEV_RESOURCE_TYPE_SM);
static_assert(sizeof(own::DeviceResource) == sizeof(CUdevResource));
static_assert(offsetof(own::DeviceResource, sm) == offsetof(CUdevResource, sm));
#endif

SAME(kTransposeA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(kEpilogue, CUBLASLT_MATMUL_DESC_EPILOGUE);
SAME(kBiasPointer, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
SAME(kBatchCount, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
SAME(kBatchStride, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
SAME(kMaxWorkspace, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(kTileId, CUBLASLT_ALGO_CONFIG_TILE_ID);
SAME(kSplitK, CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
SAME(kStagesId, CUBLASLT_ALGO_CONFIG_STAGES_ID);
SAME(kPlain, CUBLASLT_EPILOGUE_DEFAULT);
SAME(kRelu, CUBLASLT_EPILOGUE_RELU);
SAME(kBias, CUBLASLT_EPILOGUE_BIAS);
SAME(kGelu, CUBLASLT_EPILOGUE_GELU);
SAME(kRelu | own::kBias, CUBLASLT_EPILOGUE_RELU_BIAS);
SAME(kGelu | own::kBias, CUBLASLT_EPILOGUE_GELU_BIAS);
SAME(kCompute32F, CUBLAS_COMPUTE_32F);
SAME(kComputeTf32, CUBLAS_COMPUTE_32F_FAST_TF32);
SAME(kCompute32I, CUBLAS_COMPUTE_32I);
SAME(kReal32F, CUDA_R_32F);
SAME(kReal16F, CUDA_R_16F);
SAME(kReal8I, CUDA_R_8I);
SAME(kReal16BF, CUDA_R_16BF);
static_assert(sizeof(own::MatmulAlgorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(own::MatmulChoice) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(own::MatmulChoice, waves) == offsetof(cublasLtMatmulHeuristicResult_t, wavesCount));
static_assert(offsetof(own::MatmulChoice, workspace) ==
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));

SAME(kNvrtcOutOfMemory, NVRTC_ERROR_OUT_OF_MEMORY);
SAME(kNvrtcInvalidOption, NVRTC_ERROR_INVALID_OPTION);
SAME(kNvrtcCompilation, NVRTC_ERROR_COMPILATION);
static_assert(sizeof(nvrtcResult) == sizeof(own::Status) && sizeof(nvrtcProgram) == sizeof(own::Program));

SAME(kPointwise, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
SAME(kConvolution, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
SAME(kEngine, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
SAME(kEngineConfig, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
SAME(kHeuristic, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
SAME(kExecutionPlan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
SAME(kKnobChoice, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
SAME(kConvolutionForward, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
SAME(kPointwiseOperation, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
SAME(kOperationGraph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
SAME(kVariantPack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
SAME(kTensor, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
SAME(kPointwiseMode, CUDNN_ATTR_POINTWISE_MODE);
SAME(kPointwisePrecision, CUDNN_ATTR_POINTWISE_MATH_PREC);
SAME(kReluUpperClip, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP);
SAME(kReluSlope, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE);
SAME(kConvolutionType, CUDNN_ATTR_CONVOLUTION_COMP_TYPE);
SAME(kConvolutionMode, CUDNN_ATTR_CONVOLUTION_CONV_MODE);
SAME(kDilations, CUDNN_ATTR_CONVOLUTION_DILATIONS);
SAME(kStrides, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
SAME(kPostPaddings, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS);
SAME(kPrePaddings, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
SAME(kSpatialDims, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS);
SAME(kHeuristicMode, CUDNN_ATTR_ENGINEHEUR_MODE);
SAME(kHeuristicGraph, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
SAME(kHeuristicResults, CUDNN_ATTR_ENGINEHEUR_RESULTS);
SAME(kConfigEngine, CUDNN_ATTR_ENGINECFG_ENGINE);
SAME(kConfigKnobs, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES);
SAME(kPlanConfig, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
SAME(kPlanWorkspace, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
SAME(kKnobType, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE);
SAME(kKnobValue, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE);
SAME(kForwardAlpha, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA);
SAME(kForwardBeta, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA);
SAME(kForwardConvolution, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
SAME(kForwardW, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W);
SAME(kForwardX, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X);
SAME(kForwardY, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y);
SAME(kOperationPointwise, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
SAME(kOperationX, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
SAME(kOperationB, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
SAME(kOperationY, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
SAME(kGraphOperations, CUDNN_ATTR_OPERATIONGRAPH_OPS);
SAME(kTensorAlignment, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
SAME(kTensorType, CUDNN_ATTR_TENSOR_DATA_TYPE);
SAME(kTensorDims, CUDNN_ATTR_TENSOR_DIMENSIONS);
SAME(kTensorStrides, CUDNN_ATTR_TENSOR_STRIDES);
SAME(kTensorId, CUDNN_ATTR_TENSOR_UNIQUE_ID);
SAME(kTensorVirtual, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
SAME(kPackIds, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
SAME(kPackPointers, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
SAME(kPackWorkspace, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
SAME(kEngineIndex, CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
SAME(kEngineNotes, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE);
#if CUDNN_VERSION >= 90800
SAME(kDeviceProperties, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
SAME(kHeuristicDevice, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP);
SAME(kDeviceJson, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
#endif
SAME(kTypeHandle, CUDNN_TYPE_HANDLE);
SAME(kTypeDataType, CUDNN_TYPE_DATA_TYPE);
SAME(kTypeBoolean, CUDNN_TYPE_BOOLEAN);
SAME(kTypeInt64, CUDNN_TYPE_INT64);
SAME(kTypeFloat, CUDNN_TYPE_FLOAT);
SAME(kTypeDouble, CUDNN_TYPE_DOUBLE);
SAME(kTypePointer, CUDNN_TYPE_VOID_PTR);
SAME(kTypeConvolutionMode, CUDNN_TYPE_CONVOLUTION_MODE);
SAME(kTypeHeuristicMode, CUDNN_TYPE_HEUR_MODE);
SAME(kTypeKnob, CUDNN_TYPE_KNOB_TYPE);
SAME(kTypeNote, CUDNN_TYPE_NUMERICAL_NOTE);
SAME(kTypePointwiseMode, CUDNN_TYPE_POINTWISE_MODE);
SAME(kTypeDescriptor, CUDNN_TYPE_BACKEND_DESCRIPTOR);
SAME(kTypeChar, CUDNN_TYPE_CHAR);
SAME(kDnnFloat, CUDNN_DATA_FLOAT);
SAME(kDnnHalf, CUDNN_DATA_HALF);
SAME(kDnnInt8, CUDNN_DATA_INT8);
SAME(kDnnInt32, CUDNN_DATA_INT32);
SAME(kDnnBf16, CUDNN_DATA_BFLOAT16);
SAME(kCrossCorrelation, CUDNN_CROSS_CORRELATION);
SAME(kNoteTensorCore, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
SAME(kAdd, CUDNN_POINTWISE_ADD);
SAME(kReluForward, CUDNN_POINTWISE_RELU_FWD);
SAME(kTanhForward, CUDNN_POINTWISE_TANH_FWD);
SAME(kSigmoidForward, CUDNN_POINTWISE_SIGMOID_FWD);
SAME(kHeuristicFallback, CUDNN_HEUR_MODE_FALLBACK);
SAME(kHeuristicA, CUDNN_HEUR_MODE_A);
SAME(kNhwc, CUDNN_TENSOR_NHWC);
SAME(kPoolMax, CUDNN_POOLING_MAX);
SAME(kPoolAverage, CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING);
SAME(kDnnNotSupported, CUDNN_STATUS_NOT_SUPPORTED);
SAME(kDnnInternal, CUDNN_STATUS_INTERNAL_ERROR);
SAME(kDnnDeviceMemory, CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED);

SAME(kConcurrentKernel, CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
SAME(kNoMoreRecords, CUPTI_ERROR_MAX_LIMIT_REACHED);
#define SAME_MEMBER(ours, theirs) \
  static_assert(offsetof(own::KernelRecord, ours) == offsetof(CUpti_ActivityKernel9, theirs))
SAME_MEMBER(kind, kind);
SAME_MEMBER(registers, registersPerThread);
SAME_MEMBER(start, start);
SAME_MEMBER(end, end);
SAME_MEMBER(stream, streamId);
SAME_MEMBER(grid, gridX);
SAME_MEMBER(block, blockX);
SAME_MEMBER(static_shared, staticSharedMemory);
SAME_MEMBER(dynamic_shared, dynamicSharedMemory);
SAME_MEMBER(name, name);

TEST(CudaDeclarations, AgreeWithTheHeaders) { SUCCEED() << "compared while this file was compiled"; }
#else
TEST(CudaDeclarations, AgreeWithTheHeaders) {
  GTEST_SKIP() << "cuda.h, cublasLt.h, cudnn.h or cupti.h is not found: nothing is compared";
}
#endif

}  // namespace

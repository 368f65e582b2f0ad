// What runners/opencl/api.h declares, compared with Khronos's headers where these are found. The comparison happens while
// this file is compiled; a difference is a failure to build.
#include "runners/opencl/api.h"

#include <gtest/gtest.h>

#if __has_include(<CL/cl.h>)
#define TAILOR_HAS_OPENCL_HEADERS 1
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#endif

namespace {

#ifdef TAILOR_HAS_OPENCL_HEADERS
namespace own = tailor::opencl;

static_assert(sizeof(cl_int) == sizeof(own::Status) && sizeof(cl_bitfield) == sizeof(own::Bits));
static_assert(sizeof(cl_device_info) == sizeof(own::Name) && sizeof(cl_bool) == sizeof(own::kBlocking));
static_assert(sizeof(cl_device_partition_property) == sizeof(std::intptr_t) &&
              sizeof(cl_mem) == sizeof(own::MemoryId));

#define SAME(ours, theirs) static_assert(static_cast<long long>(own::ours) == static_cast<long long>(theirs))
SAME(kDeviceNotFound, CL_DEVICE_NOT_FOUND);
SAME(kNoMemoryForObject, CL_MEM_OBJECT_ALLOCATION_FAILURE);
SAME(kOutOfResources, CL_OUT_OF_RESOURCES);
SAME(kOutOfHostMemory, CL_OUT_OF_HOST_MEMORY);
SAME(kBuildFailure, CL_BUILD_PROGRAM_FAILURE);
SAME(kInvalidProgram, CL_INVALID_PROGRAM);
SAME(kInvalidProgramExecutable, CL_INVALID_PROGRAM_EXECUTABLE);
SAME(kInvalidKernelName, CL_INVALID_KERNEL_NAME);
SAME(kInvalidWorkGroupSize, CL_INVALID_WORK_GROUP_SIZE);
SAME(kInvalidWorkItemSize, CL_INVALID_WORK_ITEM_SIZE);
SAME(kInvalidBufferSize, CL_INVALID_BUFFER_SIZE);
SAME(kPlatformVersion, CL_PLATFORM_VERSION);
SAME(kPlatformName, CL_PLATFORM_NAME);
SAME(kDeviceType, CL_DEVICE_TYPE);
SAME(kComputeUnits, CL_DEVICE_MAX_COMPUTE_UNITS);
SAME(kMostInGroup, CL_DEVICE_MAX_WORK_GROUP_SIZE);
SAME(kLocalBytes, CL_DEVICE_LOCAL_MEM_SIZE);
SAME(kDeviceName, CL_DEVICE_NAME);
SAME(kDriverVersion, CL_DRIVER_VERSION);
SAME(kVectorFloats, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
SAME(kSubDevicesMost, CL_DEVICE_PARTITION_MAX_SUB_DEVICES);
SAME(kPartitionKinds, CL_DEVICE_PARTITION_PROPERTIES);
SAME(kAllDevices, CL_DEVICE_TYPE_ALL);
SAME(kProcessor, CL_DEVICE_TYPE_CPU);
SAME(kByCounts, CL_DEVICE_PARTITION_BY_COUNTS);
SAME(kByCountsEnd, CL_DEVICE_PARTITION_BY_COUNTS_LIST_END);
SAME(kProfiling, CL_QUEUE_PROFILING_ENABLE);
SAME(kReadWrite, CL_MEM_READ_WRITE);
SAME(kBuildLog, CL_PROGRAM_BUILD_LOG);
SAME(kBegan, CL_PROFILING_COMMAND_START);
SAME(kEnded, CL_PROFILING_COMMAND_END);
SAME(kBlocking, CL_TRUE);
#endif

TEST(OpenClDeclarations, AreThoseOfTheHeaders) {
#ifndef TAILOR_HAS_OPENCL_HEADERS
  GTEST_SKIP() << "CL/cl.h is missing (Debian: opencl-headers)";
#endif
}

}  // namespace

/// \file The part of OpenCL 1.2 that this runner calls, declared by ourselves: its headers are needed by no build.
/// Source: Khronos, The OpenCL Specification 1.2, and its headers for the numbers. tests/opencl compares them with
/// CL/cl.h where that is there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tailor::opencl {

using Status = std::int32_t;
using Bits = std::uint64_t;  // cl_bitfield, and cl_device_type
using Name = std::uint32_t;  // of what is asked for

using PlatformId = struct PlatformOpaque*;
using DeviceId = struct DeviceOpaque*;
using ContextId = struct ContextOpaque*;
using QueueId = struct QueueOpaque*;
using MemoryId = struct MemoryOpaque*;
using ProgramId = struct ProgramOpaque*;
using KernelId = struct KernelOpaque*;
using EventId = struct EventOpaque*;

inline constexpr Status kDeviceNotFound = -1, kNoMemoryForObject = -4, kOutOfResources = -5,
                        kOutOfHostMemory = -6, kBuildFailure = -11, kInvalidProgram = -44,
                        kInvalidProgramExecutable = -45, kInvalidKernelName = -46,
                        kInvalidWorkGroupSize = -54, kInvalidWorkItemSize = -55, kInvalidBufferSize = -61;
inline constexpr Name kPlatformVersion = 0x0901, kPlatformName = 0x0902;
inline constexpr Name kDeviceType = 0x1000, kComputeUnits = 0x1002, kMostInGroup = 0x1004,
                      kLocalBytes = 0x1023, kDeviceName = 0x102b, kDriverVersion = 0x102d,
                      kVectorFloats = 0x103a, kSubDevicesMost = 0x1043, kPartitionKinds = 0x1044;
inline constexpr Bits kAllDevices = 0xffffffff, kProcessor = 1 << 1;
inline constexpr std::intptr_t kByCounts = 0x1087, kByCountsEnd = 0;
inline constexpr Bits kProfiling = 1 << 1;  // of a queue
inline constexpr Bits kReadWrite = 1 << 0;  // of memory
inline constexpr Name kBuildLog = 0x1183, kBegan = 0x1282, kEnded = 0x1283;
inline constexpr std::uint32_t kBlocking = 1;

}  // namespace tailor::opencl

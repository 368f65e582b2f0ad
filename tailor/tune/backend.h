/// \file What kernels are made of and by whom: C++ by the system's compiler, or OpenCL C by a device's driver.
#pragma once

#include "tailor/tune/kernel_bench.h"
#include "tailor/tune/opencl_source.h"
#include "tailor/tune/partition.h"

#include <compare>
#include <filesystem>
#include <functional>
#include <string>

namespace tailor::tune {

/// What the keys of all tasks on a machine have in common.
struct MachineClass {
  std::string device;    // processor and instruction set, or an OpenCL device
  std::string versions;  // compiler and its flags, or driver
  std::string source;    // SHA-256 of the kernels' text
  friend auto operator<=>(const MachineClass&, const MachineClass&) = default;
  friend bool operator==(const MachineClass&, const MachineClass&) = default;
};
/// Of this machine and kernels in C++. @throws Error runtime_missing (no compiler)
MachineClass class_of_this_machine(const CompilerOptions& compiler);

/// An OpenCL device and the program that drives it.
struct OpenClPlace {
  OpenClDevice device;
  int number = 0;       // of the device, in the order of OpenCL's loader
  std::string library;  // OpenCL's loader; "": as the system finds it
  std::string runner;   // shell command, without its options
  std::string clock;    // of times: "thread cpu" on a processor, else "device"
};
/// Asks the runner for the device. @param runner command; empty: tailor-runner-opencl beside this program
/// @throws Error runtime_missing (no OpenCL, no device), unknown_name (fewer devices), runner_failed
OpenClPlace find_opencl(int number = 0, const std::string& library = {}, const std::string& runner = {});
/// The command of a runner that has compute units `first` to `first + units` - 1 to itself.
/// @param cache folder where the driver may write while it compiles
std::string command_for(const OpenClPlace& place, int first, int units, const std::filesystem::path& cache);

/// How kernels of one kind come to be. By default and from CompilerOptions: C++ through the system's compiler.
struct Backend {
  Backend(const CompilerOptions& compiler = {});  // implicit: who has a compiler has this backend

  std::function<MachineClass()> machine;  // @throws as class_of_this_machine
  std::function<std::string(const latency::Workload&)> no_kernel;
  std::function<Space(const latency::Workload&, int workers)> space;
  std::function<std::string(const latency::Workload&, const Space&, const Configuration&)> source;
  /// The kernel that trials rank by, where the one of `source` would be compiled anew for each configuration; may be empty.
  std::function<ShapelessKernel(const latency::Workload&, const Space&, const Configuration&)> shapeless;
  /// A text as a file that the runner loads. OpenCL's is the text itself, which the runner has compiled.
  std::function<Compiled(const std::string& text, const std::filesystem::path& file)> compile;
  std::string extension = ".so";
  std::string clock = "thread cpu";
  std::string unit = "cpu";  // what partitions are made of
  bool halves = false;       // layers in f32 are tuned as if they were in f16
  bool at_once = false;  // the workers of a task run beside each other, each on a unit; else in turn on one
};
/// Kernels in OpenCL C. @param runner's place is not referred to afterwards
Backend opencl_backend(const OpenClPlace& place);

/// What a kernel of so many workers occupies of a partition.
Partition occupied(const Backend& backend, const Partition& partition, int workers);

}  // namespace tailor::tune

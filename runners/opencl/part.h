/// \file Compute units of a device that are a device of their own (clCreateSubDevices by counts), with context and queue.
#pragma once

#include "runners/opencl/library.h"

#include <memory>
#include <string>
#include <vector>

namespace tailor::opencl {

/// Neither copied nor moved; `library` must outlive it.
class Part {
 public:
  /// Takes over `id` if it is `owned` (a sub-device). @throws CallFailed
  Part(const Library& library, DeviceId id, bool owned, int units, bool processor);
  ~Part();
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  const Library& library() const { return library_; }
  DeviceId device() const { return id_; }
  ContextId context() const { return context_; }
  QueueId queue() const { return queue_; }
  int units() const { return units_; }
  bool processor() const { return processor_; }

 private:
  void release();

  const Library& library_;
  DeviceId id_;
  bool owned_;
  int units_;
  bool processor_;
  ContextId context_ = nullptr;
  QueueId queue_ = nullptr;
};

/// Parts of so many units, neighbours in this order, all out of one split: parts of separate splits can overlap. Units
/// that are left over are in none. One part with all units is the device itself, which needs no split.
/// @pre every count is at least 1
/// @throws Error bad_value: more units than there are, or the device cannot be split; CallFailed
std::vector<std::unique_ptr<Part>> split(const Library& library, const Device& device,
                                         const std::vector<int>& counts);

/// Units `first` to `first + units` - 1 as one part. @pre first >= 0, units >= 1 @throws as split
std::unique_ptr<Part> part_of(const Library& library, const Device& device, int first, int units);

}  // namespace tailor::opencl

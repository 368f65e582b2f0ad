/// \file Shares of a device (green contexts): what the driver hands out, whether shares are disjoint, whether they run at
/// the same time, and what they cost each other.
///
/// Source: the CUDA driver API's pages on green contexts. All shares come out of one split, because separate splits
/// overlap; whether they are disjoint is read from the multiprocessor that each block of a probe kernel reports.
#pragma once

#include "runners/cuda/gpu.h"
#include "runners/cuda/layer.h"

#include <memory>
#include <vector>

namespace tailor::cuda {

/// Disjoint shares of one device, all out of one split.
class Partitions {
 public:
  /// As many shares of `least` multiprocessors as there are, and the rest as one more if it can be used.
  /// @throws Error runtime_missing: the driver has no green contexts; CallFailed
  Partitions(Gpu& gpu, int least);
  ~Partitions();
  Partitions(Partitions&&) = delete;

  std::size_t size() const { return shares_.size(); }
  int multiprocessors(std::size_t share) const { return shares_[share].multiprocessors; }
  bool remainder(std::size_t share) const { return shares_[share].remainder; }
  Stream stream(std::size_t share) const { return shares_[share].stream; }

 private:
  struct Share {
    GreenContext context = nullptr;
    Stream stream = nullptr;
    int multiprocessors = 0;
    bool remainder = false;
  };
  void add(DeviceResource resource, bool remainder);
  void release();

  Gpu& gpu_;
  std::vector<Share> shares_;
};

/// Blocks of a probe kernel, as they noted themselves.
struct SpinNote {
  std::uint64_t multiprocessor = 0, begin_ns = 0, end_ns = 0;
};
/// Runs the probe with `blocks` blocks on the stream of each share at the same time. O(shares x blocks).
std::vector<std::vector<SpinNote>> spin(Gpu& gpu, const std::vector<Stream>& streams, unsigned blocks,
                                        std::uint64_t cycles);

/// The probe on one stream, not waited for. @param notes memory of 4 words of 64 bits for each block
void enqueue_spin(Gpu& gpu, Address notes, unsigned blocks, std::uint64_t cycles, Stream stream);
/// How many multiprocessors a probe in all shares at once was seen on from more than one of them; 0: they are disjoint.
int multiprocessors_shared(Gpu& gpu, const Partitions& shares);

/// "atoms": what a split into the least shares gives; "overlap": multiprocessors seen in more than one share;
/// "concurrent": shares whose probes ran at the same time; "slowdown": for each layer in a share of its own, its time
/// beside the others over its time alone.
/// @throws as Partitions, and prepare
Json probe_partitions(Gpu& gpu, int least, const std::vector<Layer>& layers);

}  // namespace tailor::cuda

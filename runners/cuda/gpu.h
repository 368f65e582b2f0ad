/// \file The device at work: its context, streams, graphs and memory, each released by whoever owns it.
#pragma once

#include "runners/cuda/driver.h"
#include "runners/cuda/facts.h"

#include <functional>
#include <memory>
#include <string>

namespace tailor::cuda {

class Gpu;

/// Memory of the device. Empty if made with 0 bytes.
class Buffer {
 public:
  Buffer() = default;
  /// @throws CallFailed
  Buffer(Gpu& gpu, std::size_t bytes);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  Address address() const { return address_; }
  std::size_t size() const { return size_; }

 private:
  Gpu* gpu_ = nullptr;
  Address address_ = 0;
  std::size_t size_ = 0;
};

/// Work recorded once and launched as a whole.
class CapturedGraph {
 public:
  CapturedGraph(Gpu& gpu, Graph graph);
  ~CapturedGraph();
  CapturedGraph(CapturedGraph&& other) noexcept;
  CapturedGraph& operator=(CapturedGraph&& other) noexcept;
  void launch() const;

 private:
  Gpu* gpu_;
  Graph graph_ = nullptr;
  GraphExec exec_ = nullptr;
};

/// One device, its primary context current on this thread, and one stream. Everything made from it must go first.
class Gpu {
 public:
  /// @param number of the device among those that the driver shows
  /// @throws Error runtime_missing: no driver, no device; CallFailed
  Gpu(Libraries& libraries, int number);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  Libraries& libraries() { return libraries_; }
  const Facts& facts() const { return facts_; }
  const device::Device& description() const { return description_; }
  DeviceNumber device() const { return device_; }
  Stream stream() const { return stream_; }
  /// Where work goes while this lives: a stream of a partition, for instance.
  class OnStream {
   public:
    OnStream(Gpu& gpu, Stream stream);
    ~OnStream();
    OnStream(const OnStream&) = delete;
    OnStream& operator=(const OnStream&) = delete;

   private:
    Gpu& gpu_;
    Stream before_;
  };

  /// Made when they are first asked for. @throws Error runtime_missing, CallFailed
  BlasHandle blas();
  DnnHandle dnn();
  /// One of this program's own kernels. @throws CallFailed
  Function kernel(const std::string& name);
  /// At least that much scratch memory; it grows, and work that is queued is waited for when it does.
  Address workspace(std::size_t bytes);

  void synchronize();
  /// Everything that `work` puts on the stream, as a graph. @throws CallFailed
  CapturedGraph capture(const std::function<void()>& work);
  /// Microseconds on the device from the beginning of `work` to its end.
  double timed_us(const std::function<void()>& work);

 private:
  void release();

  Libraries& libraries_;
  DeviceNumber device_ = 0;
  Context context_ = nullptr;
  Stream stream_ = nullptr;
  Event start_ = nullptr, end_ = nullptr;
  Facts facts_;
  device::Device description_;
  BlasHandle blas_ = nullptr;
  DnnHandle dnn_ = nullptr;
  Module module_ = nullptr;
  std::unique_ptr<Buffer> workspace_;
};

/// All bits of a kind that every type reads as numbers of modest size: no infinity, no NaN, and not all alike, because
/// what the multipliers are fed decides about the clock. @throws CallFailed
void fill(Gpu& gpu, const Buffer& buffer, std::uint64_t seed);

}  // namespace tailor::cuda

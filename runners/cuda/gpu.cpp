// Ownership of what the driver hands out. Destructors ignore failures: a context that is lost takes all with it.
#include "runners/cuda/gpu.h"

#include "runners/cuda/kernel_text.h"
#include "tailor/base/error.h"
#include "tailor/base/random.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace tailor::cuda {
namespace {

// The first call tells whether there is a driver at all, and one that answers.
DeviceNumber first_contact(Libraries& libraries, int number) {
  const DriverFunctions& cu = libraries.driver();
  const Status status = cu.init(0);
  if (status == kNoDevice || status == kStubLibrary)
    throw Error(Code::runtime_missing, fmt::format("there is no NVIDIA device (cuInit: {})", status),
                libraries.file_of("libcuda"), "nvidia-smi lists the devices that the driver shows");
  libraries.check(status, "cuInit");
  int count = 0;
  libraries.check(cu.device_count(&count), "cuDeviceGetCount");
  if (number < 0 || number >= count)
    throw Error(Code::runtime_missing,
                fmt::format("there is no device {}; the driver shows {}", number, count), "--gpu",
                "nvidia-smi lists the devices that the driver shows");
  DeviceNumber device = 0;
  libraries.check(cu.device(&device, number), "cuDeviceGet");
  return device;
}

}  // namespace

Buffer::Buffer(Gpu& gpu, std::size_t bytes) : gpu_(&gpu), size_(bytes) {
  if (bytes > 0) gpu.libraries().check(gpu.libraries().driver().allocate(&address_, bytes), "cuMemAlloc");
}
Buffer::~Buffer() {
  if (address_) gpu_->libraries().driver().release(address_);
}
Buffer::Buffer(Buffer&& other) noexcept
    : gpu_(other.gpu_), address_(std::exchange(other.address_, 0)), size_(std::exchange(other.size_, 0)) {}
Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(gpu_, other.gpu_), std::swap(address_, other.address_), std::swap(size_, other.size_);
  return *this;
}

CapturedGraph::CapturedGraph(Gpu& gpu, Graph graph) : gpu_(&gpu), graph_(graph) {
  const Status status = gpu.libraries().driver().instantiate(&exec_, graph, 0);
  if (status != 0) gpu.libraries().driver().destroy_graph(std::exchange(graph_, nullptr));
  gpu.libraries().check(status, "cuGraphInstantiateWithFlags");
}
CapturedGraph::~CapturedGraph() {
  if (exec_) gpu_->libraries().driver().destroy_exec(exec_);
  if (graph_) gpu_->libraries().driver().destroy_graph(graph_);
}
CapturedGraph::CapturedGraph(CapturedGraph&& other) noexcept
    : gpu_(other.gpu_),
      graph_(std::exchange(other.graph_, nullptr)),
      exec_(std::exchange(other.exec_, nullptr)) {}
CapturedGraph& CapturedGraph::operator=(CapturedGraph&& other) noexcept {
  std::swap(gpu_, other.gpu_), std::swap(graph_, other.graph_), std::swap(exec_, other.exec_);
  return *this;
}
void CapturedGraph::launch() const {
  gpu_->libraries().check(gpu_->libraries().driver().launch_graph(exec_, gpu_->stream()), "cuGraphLaunch");
}

Gpu::Gpu(Libraries& libraries, int number)
    : libraries_(libraries), device_(first_contact(libraries, number)) {
  const DriverFunctions& cu = libraries_.driver();
  facts_ = read_facts(libraries_, device_);
  description_ = device::describe(facts_);
  libraries_.check(cu.retain_context(&context_, device_), "cuDevicePrimaryCtxRetain");
  try {
    libraries_.check(cu.set_context(context_), "cuCtxSetCurrent");
    libraries_.check(cu.create_stream(&stream_, kNonBlockingStream), "cuStreamCreate");
    libraries_.check(cu.create_event(&start_, 0), "cuEventCreate");
    libraries_.check(cu.create_event(&end_, 0), "cuEventCreate");
  } catch (...) {
    release();
    throw;
  }
}

Gpu::~Gpu() { release(); }

void Gpu::release() {
  const DriverFunctions& cu = libraries_.driver();
  workspace_.reset();
  if (blas_) libraries_.blas().destroy(blas_);
  if (dnn_) libraries_.dnn().destroy(dnn_);
  if (module_) cu.unload_module(module_);
  for (Event event : {start_, end_})
    if (event) cu.destroy_event(event);
  if (stream_) cu.destroy_stream(stream_);
  cu.release_context(device_);
}

Gpu::OnStream::OnStream(Gpu& gpu, Stream stream) : gpu_(gpu), before_(gpu.stream_) {
  gpu.stream_ = stream;
  if (gpu.dnn_) gpu.libraries_.check_dnn(gpu.libraries_.dnn().set_stream(gpu.dnn_, stream), "cudnnSetStream");
}
Gpu::OnStream::~OnStream() {
  gpu_.stream_ = before_;
  if (gpu_.dnn_) gpu_.libraries_.dnn().set_stream(gpu_.dnn_, before_);
}

BlasHandle Gpu::blas() {
  if (!blas_) libraries_.check_blas(libraries_.blas().create(&blas_), "cublasLtCreate");
  return blas_;
}

DnnHandle Gpu::dnn() {
  if (dnn_) return dnn_;
  libraries_.check_dnn(libraries_.dnn().create(&dnn_), "cudnnCreate");
  libraries_.check_dnn(libraries_.dnn().set_stream(dnn_, stream_), "cudnnSetStream");
  return dnn_;
}

Function Gpu::kernel(const std::string& name) {
  const DriverFunctions& cu = libraries_.driver();
  if (!module_) libraries_.check(cu.load_module(&module_, kKernelText), "cuModuleLoadData");
  Function function = nullptr;
  libraries_.check(cu.function(&function, module_, name.c_str()), "cuModuleGetFunction");
  return function;
}

Address Gpu::workspace(std::size_t bytes) {
  if (bytes == 0) return 0;
  if (!workspace_ || workspace_->size() < bytes) {
    synchronize();
    workspace_.reset();
    workspace_ = std::make_unique<Buffer>(*this, bytes);
  }
  return workspace_->address();
}

void Gpu::synchronize() { libraries_.check(libraries_.driver().synchronize(), "cuCtxSynchronize"); }

CapturedGraph Gpu::capture(const std::function<void()>& work) {
  const DriverFunctions& cu = libraries_.driver();
  Graph graph = nullptr;
  libraries_.check(cu.begin_capture(stream_, kCaptureThreadLocal), "cuStreamBeginCapture");
  try {
    work();
  } catch (...) {
    if (cu.end_capture(stream_, &graph) == 0 && graph) cu.destroy_graph(graph);
    throw;
  }
  libraries_.check(cu.end_capture(stream_, &graph), "cuStreamEndCapture");
  return {*this, graph};
}

double Gpu::timed_us(const std::function<void()>& work) {
  const DriverFunctions& cu = libraries_.driver();
  libraries_.check(cu.record_event(start_, stream_), "cuEventRecord");
  work();
  libraries_.check(cu.record_event(end_, stream_), "cuEventRecord");
  libraries_.check(cu.await_event(end_), "cuEventSynchronize");
  float milliseconds = 0;
  libraries_.check(cu.elapsed(&milliseconds, start_, end_), "cuEventElapsedTime");
  return 1e3 * static_cast<double>(milliseconds);
}

void fill(Gpu& gpu, const Buffer& buffer, std::uint64_t seed) {
  constexpr std::size_t kPiece = std::size_t{4} << 20;
  Libraries& libraries = gpu.libraries();
  const DriverFunctions& cu = libraries.driver();
  if (buffer.size() == 0) return;
  // Sixteen bits 0x3F00..0x3FFF with either sign: as f16 1.75 to 2, as bf16 and as the upper half of an f32 0.5 to 2.
  std::vector<std::uint16_t> words(kPiece / 2);
  Random random(seed);
  for (std::uint16_t& word : words) {
    const std::uint64_t bits = random.next();
    word = static_cast<std::uint16_t>(0x3F00u | (bits & 0xFFu) | ((bits >> 8 & 1u) << 15));
  }
  const std::size_t first = std::min(kPiece, buffer.size());
  libraries.check(cu.to_device(buffer.address(), words.data(), first), "cuMemcpyHtoD");
  for (std::size_t at = first; at < buffer.size(); at += kPiece)
    libraries.check(cu.within_device(buffer.address() + at, buffer.address(),
                                     std::min(kPiece, buffer.size() - at), gpu.stream()),
                    "cuMemcpyDtoDAsync");
  gpu.synchronize();
}

}  // namespace tailor::cuda

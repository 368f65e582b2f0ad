// Functions: what is used of the library's C interface. Primitive: one convolution, product or reordering with its
// memories. OneDnn::kernel builds both ways of running a layer and keeps the faster.
#include "runners/kernels/onednn.h"

#include "tailor/base/error.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>

namespace tailor::kernels {
namespace {

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

constexpr int kForwardInference = 96, kDirect = 1, kRelu = 31, kClip = 255, kFloat = 3, kCpu = 1,
              kInOrder = 1;
constexpr int kAnyLayout = 1, kVector = 2, kRowMajor = 3, kNchw = 5;
constexpr int kSource = 1, kResult = 17, kWeights = 33, kBias = 41;                 // arguments
constexpr int kAskName = 8, kAskSource = 129, kAskWeights = 131, kAskResult = 133;  // questions
constexpr unsigned kSequential = 1, kOpenMp = 2;                                    // runtimes

bool has(const latency::Workload& w, const std::string& word) {
  const std::string post = "+" + w.post + "+";
  return post.find("+" + word + "+") != std::string::npos;
}

void check(Status status, const char* what) {
  if (status != 0)
    throw Error(Code::runtime_refused, fmt::format("oneDNN's {} answers {}", what, status), "onednn");
}

}  // namespace

struct OneDnn::Functions {
  void* handle = nullptr;
  std::string version;
  Engine engine = nullptr;
  Stream stream = nullptr;

  const Version* (*ask_version)();
  Status (*engine_create)(Engine*, int, std::size_t);
  Status (*engine_destroy)(Engine);
  Status (*stream_create)(Stream*, Engine, unsigned);
  Status (*stream_destroy)(Stream);
  Status (*stream_wait)(Stream);
  Status (*tensor)(TensorDescriptor*, int, const std::int64_t*, int, int);
  Status (*convolution)(OperationDescriptor*, int, int, const TensorDescriptor*, const TensorDescriptor*,
                        const TensorDescriptor*, const TensorDescriptor*, const std::int64_t*,
                        const std::int64_t*, const std::int64_t*, const std::int64_t*);
  Status (*product)(OperationDescriptor*, const TensorDescriptor*, const TensorDescriptor*,
                    const TensorDescriptor*, const TensorDescriptor*);
  Status (*attributes_create)(Attributes*);
  Status (*attributes_destroy)(Attributes);
  Status (*attributes_set)(Attributes, PostOps);
  Status (*post_create)(PostOps*);
  Status (*post_destroy)(PostOps);
  Status (*post_sum)(PostOps, float);
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

  ~Functions() {
    if (stream) stream_destroy(stream);
    if (engine) engine_destroy(engine);
  }
  template <class Function>
  void load(Function& function, const char* name) {
    void* found = ::dlsym(handle, name);
    if (!found) throw Error(Code::runtime_refused, fmt::format("it does not export {}", name), "onednn");
    function = reinterpret_cast<Function>(found);
  }
  void load_all();
};

void OneDnn::Functions::load_all() {
  load(engine_create, "dnnl_engine_create"), load(engine_destroy, "dnnl_engine_destroy");
  load(stream_create, "dnnl_stream_create"), load(stream_destroy, "dnnl_stream_destroy");
  load(stream_wait, "dnnl_stream_wait"), load(tensor, "dnnl_memory_desc_init_by_tag");
  load(convolution, "dnnl_dilated_convolution_forward_desc_init"), load(product, "dnnl_matmul_desc_init");
  load(attributes_create, "dnnl_primitive_attr_create");
  load(attributes_destroy, "dnnl_primitive_attr_destroy");
  load(attributes_set, "dnnl_primitive_attr_set_post_ops");
  load(post_create, "dnnl_post_ops_create"), load(post_destroy, "dnnl_post_ops_destroy");
  load(post_sum, "dnnl_post_ops_append_sum"), load(post_eltwise, "dnnl_post_ops_append_eltwise");
  load(descriptor_create, "dnnl_primitive_desc_create");
  load(descriptor_destroy, "dnnl_primitive_desc_destroy");
  load(ask, "dnnl_primitive_desc_query"), load(ask_tensor, "dnnl_primitive_desc_query_md");
  load(reorder, "dnnl_reorder_primitive_desc_create"), load(create, "dnnl_primitive_create");
  load(destroy, "dnnl_primitive_destroy"), load(execute, "dnnl_primitive_execute");
  load(memory_create, "dnnl_memory_create"), load(memory_destroy, "dnnl_memory_destroy");
  load(size, "dnnl_memory_desc_get_size"), load(equal, "dnnl_memory_desc_equal");
}

OneDnn::OneDnn(const std::string& path) : functions_(std::make_unique<Functions>()) {
  const std::string file = path.empty() ? "libdnnl.so.2" : path;
  ::setenv("OMP_NUM_THREADS", "1", 1);  // read once, when the library of threads is loaded with it
  Functions& f = *functions_;
  f.handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!f.handle)
    throw Error(Code::runtime_missing, ::dlerror(), file,
                "install oneDNN 2 (Debian: libdnnl2), or name its file with --onednn");
  f.load(f.ask_version, "dnnl_version");
  const Version& version = *f.ask_version();
  f.version = fmt::format("{}.{}.{}", version.major, version.minor, version.patch);
  if (version.major != 2)
    throw Error(Code::runtime_refused, fmt::format("oneDNN {}: only version 2 is known", f.version), file);
  if (version.cpu_runtime != kSequential && version.cpu_runtime != kOpenMp)
    throw Error(Code::runtime_refused, "this oneDNN was built for threads that cannot be held to one", file);
  f.load_all();
  check(f.engine_create(&f.engine, kCpu, 0), "engine");
  check(f.stream_create(&f.stream, f.engine, kInOrder), "stream");
}
// The library stays loaded: its threads' library does not survive being unloaded everywhere.
OneDnn::~OneDnn() = default;
const std::string& OneDnn::version() const { return functions_->version; }

namespace {

// Memory of the library's layouts begins where its widest vectors like it.
struct Block {
  explicit Block(std::size_t bytes) : data(std::aligned_alloc(64, (bytes + 63) / 64 * 64 + 64), &std::free) {
    if (!data) throw std::bad_alloc();
    std::memset(data.get(), 0, bytes);
  }
  std::unique_ptr<void, void (*)(void*)> data;
};

// Everything that one way of running a layer holds.
struct Way {
  std::vector<std::function<void()>> ends;  // in the order made
  std::vector<std::unique_ptr<Block>> blocks;
  std::function<void()> run;
  std::string name;
  Way() = default;
  Way(const Way&) = delete;
  Way& operator=(const Way&) = delete;
  ~Way() {
    for (auto end = ends.rbegin(); end != ends.rend(); ++end) (*end)();
  }
};

// The shapes of a layer as the library wants them.
struct Operation {
  int dimensions = 4, layout = kNchw;
  Dimensions source = {}, weights = {}, bias = {}, result = {};
};

Operation operation_of(const latency::Workload& w) {
  if (w.kind == latency::Kind::conv)
    return {4, kNchw, {w.mb, w.ic, w.ih, w.iw}, {w.oc, w.ic, w.kh, w.kw}, {w.oc}, {w.mb, w.oc, w.oh, w.ow}};
  return {2, kRowMajor, {w.mb, w.ic}, {w.ic, w.oc}, {1, w.oc}, {w.mb, w.oc}};
}

// `F` is OneDnn's private Functions.
template <class F>
class Builder {
 public:
  Builder(const F& functions, const Layer& layer, float* out)
      : f_(functions), layer_(layer), out_(out), shapes_(operation_of(layer.workload)) {}

  // One way; with `own` the library chooses the layout of the activations too.
  std::shared_ptr<Way> make(bool own) {
    way_ = std::make_shared<Way>();
    const PrimitiveDescriptor descriptor = describe(own ? kAnyLayout : shapes_.layout);
    const char* name = "";
    check(f_.ask(descriptor, kAskName, 0, &name), "name");
    const TensorDescriptor plain_source = tensor(shapes_.source, shapes_.layout),
                           plain_result = tensor(shapes_.result, shapes_.layout);
    Memory source = memory(plain_source, input()), result = memory(plain_result, out_);
    const TensorDescriptor *own_source = f_.ask_tensor(descriptor, kAskSource, 0),
                           *own_result = f_.ask_tensor(descriptor, kAskResult, 0);
    std::vector<std::function<void()>> steps;
    if (!layer_.residual.empty()) steps.push_back(copy_residual());
    Memory from = source, to = result;
    if (!f_.equal(own_source, &plain_source))
      from = memory(*own_source), steps.push_back(reordering(plain_source, source, *own_source, from));
    if (!f_.equal(own_result, &plain_result)) {
      to = memory(*own_result);
      if (!layer_.residual.empty()) steps.push_back(reordering(plain_result, result, *own_result, to));
    }
    steps.push_back(primitive(descriptor, from, to));
    if (to != result) steps.push_back(reordering(*own_result, to, plain_result, result));
    way_->name = fmt::format("{}{}", name, from != source || to != result ? ", reordered" : "");
    way_->run = [steps = std::move(steps)] {
      for (const auto& step : steps) step();
    };
    return way_;
  }

 private:
  float* input() const { return const_cast<float*>(layer_.input.data()); }  // only read by the library

  TensorDescriptor tensor(const Dimensions& sizes, int layout, int dimensions = 0) const {
    TensorDescriptor made;
    check(f_.tensor(&made, dimensions ? dimensions : shapes_.dimensions, sizes.data(), kFloat, layout),
          "tensor");
    return made;
  }
  Memory memory(const TensorDescriptor& of, void* at = nullptr) {
    if (!at) {
      way_->blocks.push_back(std::make_unique<Block>(f_.size(&of)));
      at = way_->blocks.back()->data.get();
    }
    Memory made = nullptr;
    check(f_.memory_create(&made, &of, f_.engine, at), "memory");
    way_->ends.push_back([&f = f_, made] { f.memory_destroy(made); });
    return made;
  }
  Attributes attributes() {
    PostOps post = nullptr;
    check(f_.post_create(&post), "list of operations");
    way_->ends.push_back([&f = f_, post] { f.post_destroy(post); });
    if (!layer_.residual.empty()) check(f_.post_sum(post, 1), "sum");
    if (has(layer_.workload, "relu")) check(f_.post_eltwise(post, 1, kRelu, 0, 0), "relu");
    if (has(layer_.workload, "clip")) check(f_.post_eltwise(post, 1, kClip, 0, 6), "clip");
    Attributes made = nullptr;
    check(f_.attributes_create(&made), "attributes");
    way_->ends.push_back([&f = f_, made] { f.attributes_destroy(made); });
    check(f_.attributes_set(made, post), "attributes");
    return made;
  }
  PrimitiveDescriptor describe(int layout) {
    const latency::Workload& w = layer_.workload;
    const bool conv = w.kind == latency::Kind::conv, with_bias = !layer_.bias.empty();
    const TensorDescriptor source = tensor(shapes_.source, layout),
                           weights = tensor(shapes_.weights, kAnyLayout),
                           result = tensor(shapes_.result, layout),
                           bias = conv ? tensor(shapes_.bias, kVector, 1) : tensor(shapes_.bias, kRowMajor);
    const TensorDescriptor* optional = with_bias ? &bias : nullptr;
    OperationDescriptor operation;
    const Dimensions strides = {w.sh, w.sw}, dilation = {w.dh - 1, w.dw - 1}, before = {w.pt, w.pl},
                     after = {w.pb, w.pr};
    if (conv)
      check(f_.convolution(&operation, kForwardInference, kDirect, &source, &weights, optional, &result,
                           strides.data(), dilation.data(), before.data(), after.data()),
            "convolution");
    else
      check(f_.product(&operation, &source, &weights, optional, &result), "product");
    PrimitiveDescriptor made = nullptr;
    check(f_.descriptor_create(&made, operation.bytes.data(), attributes(), f_.engine, nullptr), "primitive");
    way_->ends.push_back([&f = f_, made] { f.descriptor_destroy(made); });
    return made;
  }
  Executable executable(PrimitiveDescriptor descriptor) {
    Executable made = nullptr;
    check(f_.create(&made, descriptor), "primitive");
    way_->ends.push_back([&f = f_, made] { f.destroy(made); });
    return made;
  }
  std::function<void()> execution(Executable what, std::vector<Argument> arguments) {
    return [&f = f_, what, arguments = std::move(arguments)] {
      f.execute(what, f.stream, static_cast<int>(arguments.size()), arguments.data());
      f.stream_wait(f.stream);
    };
  }
  std::function<void()> reordering(const TensorDescriptor& of, Memory from, const TensorDescriptor& as,
                                   Memory to) {
    PrimitiveDescriptor made = nullptr;
    check(f_.reorder(&made, &of, f_.engine, &as, f_.engine, nullptr), "reordering");
    way_->ends.push_back([&f = f_, made] { f.descriptor_destroy(made); });
    return execution(executable(made), {{kSource, from}, {kResult, to}});
  }
  std::function<void()> primitive(PrimitiveDescriptor descriptor, Memory from, Memory to) {
    const TensorDescriptor& packed = *f_.ask_tensor(descriptor, kAskWeights, 0);
    const TensorDescriptor plain = tensor(shapes_.weights, shapes_.layout);
    Memory given = memory(plain, const_cast<float*>(layer_.weights.data())), weights = memory(packed);
    reordering(plain, given, packed, weights)();
    std::vector<Argument> arguments = {{kSource, from}, {kWeights, weights}, {kResult, to}};
    if (!layer_.bias.empty()) {
      const TensorDescriptor bias = layer_.workload.kind == latency::Kind::conv
                                        ? tensor(shapes_.bias, kVector, 1)
                                        : tensor(shapes_.bias, kRowMajor);
      arguments.push_back({kBias, memory(bias, const_cast<float*>(layer_.bias.data()))});
    }
    return execution(executable(descriptor), std::move(arguments));
  }
  std::function<void()> copy_residual() const {
    return [this_out = out_, &residual = layer_.residual] {
      std::copy(residual.begin(), residual.end(), this_out);
    };
  }

  const F& f_;
  const Layer& layer_;
  float* out_;
  Operation shapes_;
  std::shared_ptr<Way> way_;
};

double least_us(const Way& way) {
  double best = 1e300;
  for (int i = 0; i < 5; ++i) {
    const double begin = thread_us();
    way.run();
    best = std::min(best, thread_us() - begin);
  }
  return best;
}

}  // namespace

Kernel OneDnn::kernel(const Layer& layer) const {
  auto out = std::make_shared<std::vector<float>>(layer.expected.size());
  Builder<Functions> builder(*functions_, layer, out->data());
  std::shared_ptr<Way> way = builder.make(false);
  if (layer.workload.kind == latency::Kind::conv)
    if (std::shared_ptr<Way> own = builder.make(true); least_us(*own) < least_us(*way)) way = std::move(own);
  const std::string name = fmt::format("onednn {}: {}", version(), way->name);
  return {[way](int, int) { way->run(); }, out, name};
}

}  // namespace tailor::kernels

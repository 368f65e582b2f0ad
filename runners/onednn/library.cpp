#include "runners/onednn/library.h"

#include "tailor/base/error.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace tailor::onednn {
namespace {

constexpr unsigned kSequential = 1, kOpenMp = 2;  // runtimes

}  // namespace

void check(Status status, const char* what) {
  if (status != 0)
    throw Error(Code::runtime_refused, fmt::format("oneDNN's {} answers {}", what, status), "onednn");
}

template <class Function>
void Library::load(Function& function, const char* name) {
  void* found = ::dlsym(handle, name);
  if (!found) throw Error(Code::runtime_refused, fmt::format("it does not export {}", name), "onednn");
  function = reinterpret_cast<Function>(found);
}

void Library::load_all() {
  load(ask_isa, "dnnl_get_effective_cpu_isa");
  load(engine_create, "dnnl_engine_create"), load(engine_destroy, "dnnl_engine_destroy");
  load(stream_create, "dnnl_stream_create"), load(stream_destroy, "dnnl_stream_destroy");
  load(stream_wait, "dnnl_stream_wait"), load(tensor, "dnnl_memory_desc_init_by_tag");
  load(strided, "dnnl_memory_desc_init_by_strides");
  load(convolution, "dnnl_dilated_convolution_forward_desc_init"), load(product, "dnnl_matmul_desc_init");
  load(pooling, "dnnl_pooling_forward_desc_init"), load(elementwise, "dnnl_eltwise_forward_desc_init");
  load(binary, "dnnl_binary_desc_init");
  load(attributes_create, "dnnl_primitive_attr_create");
  load(attributes_destroy, "dnnl_primitive_attr_destroy");
  load(attributes_set, "dnnl_primitive_attr_set_post_ops");
  load(set_scales, "dnnl_primitive_attr_set_output_scales");
  load(post_create, "dnnl_post_ops_create"), load(post_destroy, "dnnl_post_ops_destroy");
  load(post_sum, "dnnl_post_ops_append_sum"), load(post_sum_of, "dnnl_post_ops_append_sum_v2");
  load(post_eltwise, "dnnl_post_ops_append_eltwise");
  load(descriptor_create, "dnnl_primitive_desc_create");
  load(descriptor_destroy, "dnnl_primitive_desc_destroy");
  load(ask, "dnnl_primitive_desc_query"), load(ask_tensor, "dnnl_primitive_desc_query_md");
  load(reorder, "dnnl_reorder_primitive_desc_create"), load(create, "dnnl_primitive_create");
  load(destroy, "dnnl_primitive_destroy"), load(execute, "dnnl_primitive_execute");
  load(memory_create, "dnnl_memory_create"), load(memory_destroy, "dnnl_memory_destroy");
  load(size, "dnnl_memory_desc_get_size"), load(equal, "dnnl_memory_desc_equal");
}

Library::Library(const std::string& path) : file(path.empty() ? "libdnnl.so.2" : path) {
  ::setenv("OMP_NUM_THREADS", "1", 1);  // read once, when the library of threads is loaded with it
  handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    throw Error(Code::runtime_missing, ::dlerror(), file,
                "install oneDNN 2 (Debian: libdnnl2), or name its file with --onednn");
  load(ask_version, "dnnl_version");
  const Version& found = *ask_version();
  version = fmt::format("{}.{}.{}", found.major, found.minor, found.patch);
  if (found.major != 2)
    throw Error(Code::runtime_refused, fmt::format("oneDNN {}: only version 2 is known", version), file);
  if (found.cpu_runtime != kSequential && found.cpu_runtime != kOpenMp)
    throw Error(Code::runtime_refused, "this oneDNN was built for threads that cannot be held to one", file);
  load_all();
  check(engine_create(&engine, kCpu, 0), "engine");
  check(stream_create(&stream, engine, kInOrder), "stream");
}

Library::~Library() {
  if (stream) stream_destroy(stream);
  if (engine) engine_destroy(engine);
}

std::string isa_name(const Library& library) {
  constexpr std::array<std::pair<unsigned, const char*>, 10> kNames = {{{0x1, "sse41"},
                                                                        {0x3, "avx"},
                                                                        {0x7, "avx2"},
                                                                        {0xf, "avx512_mic"},
                                                                        {0x1f, "avx512_mic_4ops"},
                                                                        {0x27, "avx512_core"},
                                                                        {0x67, "avx512_core_vnni"},
                                                                        {0xe7, "avx512_core_bf16"},
                                                                        {0x3e7, "avx512_core_amx"},
                                                                        {0x407, "avx2_vnni"}}};
  const unsigned isa = library.ask_isa();
  for (const auto& [bits, name] : kNames)
    if (bits == isa) return name;
  return fmt::format("isa {:#x}", isa);
}

Block::Block(std::size_t wanted)
    : bytes(wanted), data(std::aligned_alloc(64, (wanted + 63) / 64 * 64 + 64), &std::free) {
  if (!data) throw std::bad_alloc();
  std::memset(data.get(), 0, wanted);
}

Belongings::~Belongings() {
  for (auto end = ends_.rbegin(); end != ends_.rend(); ++end) (*end)();
}

Memory Belongings::memory(const Library& f, const TensorDescriptor& of, void* at) {
  if (!at) {
    blocks_.push_back(std::make_unique<Block>(f.size(&of)));
    at = blocks_.back()->data.get();
  }
  Memory made = nullptr;
  check(f.memory_create(&made, &of, f.engine, at), "memory");
  ends_.push_back([&f, made] { f.memory_destroy(made); });
  return made;
}

PrimitiveDescriptor Belongings::primitive(const Library& f, const OperationDescriptor& operation,
                                          Attributes attributes) {
  PrimitiveDescriptor made = nullptr;
  check(f.descriptor_create(&made, operation.bytes.data(), attributes, f.engine, nullptr), "primitive");
  ends_.push_back([&f, made] { f.descriptor_destroy(made); });
  return made;
}

PrimitiveDescriptor Belongings::reordering(const Library& f, const TensorDescriptor& from,
                                           const TensorDescriptor& to, Attributes attributes) {
  PrimitiveDescriptor made = nullptr;
  check(f.reorder(&made, &from, f.engine, &to, f.engine, attributes), "reordering");
  ends_.push_back([&f, made] { f.descriptor_destroy(made); });
  return made;
}

PostOps Belongings::post_ops(const Library& f) {
  PostOps made = nullptr;
  check(f.post_create(&made), "list of operations");
  ends_.push_back([&f, made] { f.post_destroy(made); });
  return made;
}

Attributes Belongings::attributes(const Library& f, PostOps post) {
  Attributes made = nullptr;
  check(f.attributes_create(&made), "attributes");
  ends_.push_back([&f, made] { f.attributes_destroy(made); });
  if (post) check(f.attributes_set(made, post), "attributes");
  return made;
}

std::function<void()> Belongings::execution(const Library& f, PrimitiveDescriptor of,
                                            std::vector<Argument> arguments) {
  Executable made = nullptr;
  check(f.create(&made, of), "primitive");
  ends_.push_back([&f, made] { f.destroy(made); });
  return [&f, made, arguments = std::move(arguments)] {
    f.execute(made, f.stream, static_cast<int>(arguments.size()), arguments.data());
  };
}

}  // namespace tailor::onednn

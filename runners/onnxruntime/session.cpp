// Loading (options, ports), the cache of loaded models, tensors, prepared runs, and inputs made up of random
// numbers.
#include "runners/onnxruntime/session.h"

#include "tailor/base/random.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace tailor::ort {
namespace {

constexpr int kAllOptimizations = 99;
// Without VNNI the runtime adds products of u8 and s8 by pairs in 16 bits, which saturates; with this key it makes the
// weights u8 first, and nothing saturates.
constexpr const char* kExactProducts = "session.x64quantprecision";
constexpr std::size_t kCachedModels = 64;
constexpr std::int64_t kLargestTensor = std::int64_t{1} << 34;

struct FileFacts {
  std::int64_t seconds = 0, nanoseconds = 0, size = 0;
};
FileFacts facts_of(const std::filesystem::path& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0)
    throw Error(Code::file_missing, fmt::format("cannot read the file: {}", std::strerror(errno)),
                path.string());
  return {info.st_mtim.tv_sec, info.st_mtim.tv_nsec, info.st_size};
}

// Spinning of the pool stays on, as users deploy it; without it two threads measured 1.4 to 1.9 times slower.
Handle<SessionOptions> session_options(const Api& api, const Loading& how) {
  auto options = create<SessionOptions>(api, slot::release_session_options, slot::create_session_options);
  api.call(slot::set_optimization_level, options.get(), kAllOptimizations);
  api.call(slot::set_intra_op_threads, options.get(), how.threads);
  api.call(slot::set_inter_op_threads, options.get(), 1);
  if (how.exact) api.call(slot::add_config_entry, options.get(), kExactProducts, "1");
  if (!how.profile_prefix.empty())
    api.call(slot::enable_profiling, options.get(), how.profile_prefix.c_str());
  return options;
}

void read_tensor_info(const Api& api, const TensorInfo* info, graph::DataType& type, graph::Shape& shape) {
  int element = 0;
  std::size_t rank = 0;
  api.call(slot::get_element_type, info, &element);
  api.call(slot::get_rank, info, &rank);
  shape.assign(rank, 0);
  api.call(slot::get_dimensions, info, shape.data(), rank);
  type = static_cast<graph::DataType>(element);  // both follow ONNX's numbers
}

template <class NameSlot, class TypeSlot>
Port read_port(const Api& api, Session* session, std::size_t index, NameSlot name_slot, TypeSlot type_slot) {
  Port port;
  char* name = nullptr;
  api.call(name_slot, session, index, api.allocator(), &name);
  port.name = api.take(name);
  auto type = create<TypeInfo>(api, slot::release_type, type_slot, session, index);
  const TensorInfo* tensor = nullptr;
  api.call(slot::cast_to_tensor_info, type.get(), &tensor);
  if (tensor) read_tensor_info(api, tensor, port.type, port.shape);
  return port;
}

}  // namespace

LoadedModel::LoadedModel(const Api& api, const std::filesystem::path& path, const Loading& how) : api_(api) {
  facts_of(path);
  auto options = session_options(api, how);
  try {
    session_ = create<Session>(api, slot::release_session, slot::create_session, api.env(), path.c_str(),
                               options.get());
  } catch (const Error& error) {
    throw error.at(path.string());
  }
  std::size_t in = 0, out = 0;
  api.call(slot::get_input_count, session(), &in);
  api.call(slot::get_output_count, session(), &out);
  for (std::size_t i = 0; i < in; ++i)
    inputs_.push_back(read_port(api, session(), i, slot::get_input_name, slot::get_input_type));
  for (std::size_t i = 0; i < out; ++i)
    outputs_.push_back(read_port(api, session(), i, slot::get_output_name, slot::get_output_type));
}

std::filesystem::path LoadedModel::end_profile() const {
  char* file = nullptr;
  api_.call(slot::end_profiling, session(), api_.allocator(), &file);
  return api_.take(file);
}

std::shared_ptr<const LoadedModel> ModelCache::get(const std::filesystem::path& path, const Loading& how) {
  FileFacts facts = facts_of(path);
  std::string key = fmt::format("{}\n{}.{}\n{}\n{}\n{}", path.string(), facts.seconds, facts.nanoseconds,
                                facts.size, how.threads, how.exact);
  auto it =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.key == key; });
  if (it == entries_.end())
    entries_.push_front({key, std::make_shared<const LoadedModel>(api_, path, how)});
  else
    entries_.splice(entries_.begin(), entries_, it);
  if (entries_.size() > kCachedModels) entries_.pop_back();
  return entries_.front().model;
}

Tensor::Tensor(const Api& api, graph::DataType type, const graph::Shape& shape) {
  value_ = create<Value>(api, slot::release_value, slot::create_tensor, api.allocator(), shape.data(),
                         shape.size(), static_cast<int>(type));
  inspect();
}

Tensor::Tensor(Handle<Value> value) : value_(std::move(value)) { inspect(); }

void Tensor::inspect() {
  const Api& api = *value_.get_deleter().api;
  int tensor = 0;
  api.call(slot::is_tensor, value(), &tensor);
  if (!tensor) return;
  auto info = create<TensorInfo>(api, slot::release_tensor_info, slot::get_tensor_info, value());
  read_tensor_info(api, info.get(), type_, shape_);
  size_ = static_cast<std::size_t>(graph::element_count(shape_)) * graph::element_size(type_);
  void* at = nullptr;
  if (graph::element_size(type_) > 0) api.call(slot::get_tensor_data, value(), &at);
  data_ = static_cast<std::byte*>(at);
}

Prepared::Prepared(std::shared_ptr<const LoadedModel> model, std::vector<Tensor> inputs,
                   std::vector<std::string> outputs)
    : model_(std::move(model)), inputs_(std::move(inputs)), output_names_(std::move(outputs)) {
  if (output_names_.empty())
    for (const Port& port : model_->outputs()) output_names_.push_back(port.name);
  for (const Port& port : model_->inputs()) in_names_.push_back(port.name.c_str());
  for (const std::string& name : output_names_) out_names_.push_back(name.c_str());
  for (const Tensor& input : inputs_) in_values_.push_back(input.value());
}

void Prepared::run_first() {
  const Api& api = model_->api();
  outputs_.clear();
  out_values_.assign(out_names_.size(), nullptr);
  api.call(slot::run, model_->session(), nullptr, in_names_.data(), in_values_.data(), in_values_.size(),
           out_names_.data(), out_names_.size(), out_values_.data());
  for (Value* value : out_values_) outputs_.emplace_back(Handle<Value>(value, {&api, slot::release_value}));
  reuse_ = std::all_of(outputs_.begin(), outputs_.end(),
                       [](const Tensor& output) { return output.data() != nullptr; });
}

void Prepared::run() {
  if (!reuse_) return run_first();
  model_->api().call(slot::run, model_->session(), nullptr, in_names_.data(), in_values_.data(),
                     in_values_.size(), out_names_.data(), out_names_.size(), out_values_.data());
}

namespace {

graph::Shape parse_shape(const Json& json, const std::string& name) {
  if (!json.is_array()) throw Error(Code::usage, "a shape must be an array of integers", name);
  graph::Shape shape;
  for (const Json& dim : json) {
    if (!dim.is_number_integer() || dim.get<std::int64_t>() < 0)
      throw Error(Code::usage, "a dimension must be an integer >= 0", name);
    shape.push_back(dim.get<std::int64_t>());
  }
  return shape;
}

graph::Shape resolve_shape(const Port& port, const Json& given) {
  graph::Shape shape = port.shape;
  if (given.is_object() && given.contains(port.name)) shape = parse_shape(given[port.name], port.name);
  bool fits = shape.size() == port.shape.size();
  for (std::size_t i = 0; fits && i < shape.size(); ++i) {
    if (shape[i] < 0 && i == 0) shape[i] = 1;
    if (shape[i] < 0)
      throw Error(Code::shape_unknown, fmt::format("input '{}' is {}: its free dimensions must be given",
                                                   port.name, graph::to_string(port.shape)));
    fits = port.shape[i] < 0 || port.shape[i] == shape[i];
  }
  if (!fits)
    throw Error(Code::bad_shape, fmt::format("input '{}' is {} in the model and {} in the request", port.name,
                                             graph::to_string(port.shape), graph::to_string(shape)));
  std::int64_t total = static_cast<std::int64_t>(std::max<std::size_t>(1, graph::element_size(port.type)));
  for (std::int64_t dim : shape)
    if (__builtin_mul_overflow(total, dim, &total) || total > kLargestTensor)
      throw Error(Code::bad_shape, fmt::format("input '{}' would be larger than 16 GiB", port.name));
  return shape;
}

std::uint16_t to_half(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  int exponent = static_cast<int>(bits >> 23 & 255u) - 112;
  if (exponent <= 0 || exponent >= 31) return sign;
  return static_cast<std::uint16_t>(sign | exponent << 10 | (bits >> 13 & 1023u));
}

template <class T, class Make>
void fill(const Tensor& tensor, Make make) {
  for (std::size_t at = 0; at + sizeof(T) <= tensor.size(); at += sizeof(T)) {
    T item = make();
    std::memcpy(tensor.data() + at, &item, sizeof(T));
  }
}

}  // namespace

std::vector<graph::Shape> resolve_shapes(const LoadedModel& model, const Json& given) {
  std::vector<graph::Shape> shapes;
  std::size_t used = 0;
  std::string names;
  for (const Port& port : model.inputs()) {
    shapes.push_back(resolve_shape(port, given));
    used += given.is_object() && given.contains(port.name);
    names += (names.empty() ? "" : ", ") + port.name;
  }
  if (given.is_object() && used < given.size())
    throw Error(Code::unknown_name,
                fmt::format("the request names inputs that the model does not have; it has: {}", names));
  return shapes;
}

Tensor random_tensor(const Api& api, graph::DataType type, const graph::Shape& shape, std::uint64_t seed) {
  using graph::DataType;
  if (graph::element_size(type) == 0)
    throw Error(Code::runtime_refused,
                fmt::format("random values of type '{}' cannot be made", graph::name(type)));
  Tensor tensor(api, type, shape);
  Random random(seed);
  auto normal = [&] { return static_cast<float>(random.normal()); };
  auto bit = [&] { return random.next() >> 63; };
  if (type == DataType::f32)
    fill<float>(tensor, normal);
  else if (type == DataType::f64)
    fill<double>(tensor, [&] { return random.normal(); });
  else if (type == DataType::f16)
    fill<std::uint16_t>(tensor, [&] { return to_half(normal()); });
  else if (type == DataType::bf16)
    fill<std::uint16_t>(
        tensor, [&] { return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(normal()) >> 16); });
  else if (graph::element_size(type) == 1)
    fill<std::uint8_t>(tensor, [&] { return static_cast<std::uint8_t>(bit()); });
  else if (graph::element_size(type) == 2)
    fill<std::uint16_t>(tensor, [&] { return static_cast<std::uint16_t>(bit()); });
  else if (graph::element_size(type) == 4)
    fill<std::uint32_t>(tensor, [&] { return static_cast<std::uint32_t>(bit()); });
  else
    fill<std::uint64_t>(tensor, bit);
  return tensor;
}

std::vector<Tensor> random_inputs(const LoadedModel& model, const std::vector<graph::Shape>& shapes,
                                  std::uint64_t seed) {
  std::vector<Tensor> inputs;
  for (std::size_t i = 0; i < shapes.size(); ++i)
    inputs.push_back(random_tensor(model.api(), model.inputs()[i].type, shapes[i], seed + i));
  return inputs;
}

}  // namespace tailor::ort

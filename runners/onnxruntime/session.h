/// \file A model loaded by the runtime, its inputs and outputs, and runs on prepared tensors.
#pragma once

#include "runners/onnxruntime/ort.h"
#include "tailor/base/json.h"
#include "tailor/graph/model.h"

#include <cstdint>
#include <filesystem>
#include <list>
#include <memory>
#include <string>
#include <vector>

namespace tailor::ort {

/// An input or output. Dimensions are graph::kUnknown where free; a port that is no tensor has type
/// undefined.
struct Port {
  std::string name;
  graph::DataType type = graph::DataType::undefined;
  graph::Shape shape;
};

struct Loading {
  int threads = 1;
  bool exact =
      false;  // eight-bit products whose sums never saturate (x86 without VNNI), slower; not what users deploy
  std::string profile_prefix = {};  // if not empty, the runtime writes a profile beginning with this path
};

class LoadedModel {
 public:
  /// @throws Error runtime_refused, file_missing
  LoadedModel(const Api& api, const std::filesystem::path& path, const Loading& how);

  const Api& api() const { return api_; }
  Session* session() const { return session_.get(); }
  const std::vector<Port>& inputs() const { return inputs_; }
  const std::vector<Port>& outputs() const { return outputs_; }
  /// Closes the profile and returns its file.
  std::filesystem::path end_profile() const;

 private:
  const Api& api_;
  Handle<Session> session_;
  std::vector<Port> inputs_, outputs_;
};

/// The 64 models used last, by (path, time of change, size, threads, exactness).
class ModelCache {
 public:
  explicit ModelCache(const Api& api) : api_(api) {}
  std::shared_ptr<const LoadedModel> get(const std::filesystem::path& path, const Loading& how);
  /// Without keeping it: a session keeps the memory that its largest run needed.
  std::shared_ptr<const LoadedModel> load(const std::filesystem::path& path, const Loading& how) const {
    return std::make_shared<const LoadedModel>(api_, path, how);
  }

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const LoadedModel> model;
  };
  const Api& api_;
  std::list<Entry> entries_;  // the latest first
};

/// A tensor in the runtime's memory.
class Tensor {
 public:
  /// Uninitialised.
  Tensor(const Api& api, graph::DataType type, const graph::Shape& shape);
  explicit Tensor(Handle<Value> value);

  Value* value() const { return value_.get(); }
  graph::DataType type() const { return type_; }
  const graph::Shape& shape() const { return shape_; }
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }  // bytes

 private:
  void inspect();
  Handle<Value> value_;
  graph::DataType type_ = graph::DataType::undefined;
  graph::Shape shape_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A model with all inputs in place, to be run again and again. Outputs of the first run are written over by
/// later runs, so that nothing is allocated while the clock runs.
class Prepared {
 public:
  /// @param inputs  one per input of the model, in its order
  /// @param outputs names wanted; empty: all
  Prepared(std::shared_ptr<const LoadedModel> model, std::vector<Tensor> inputs,
           std::vector<std::string> outputs = {});
  Prepared(Prepared&&) = default;

  void run();
  const std::vector<Tensor>& outputs() const { return outputs_; }
  const std::vector<std::string>& output_names() const { return output_names_; }
  const LoadedModel& model() const { return *model_; }

 private:
  void run_first();
  std::shared_ptr<const LoadedModel> model_;
  std::vector<Tensor> inputs_, outputs_;
  std::vector<std::string> output_names_;
  std::vector<const char*> in_names_, out_names_;
  std::vector<const Value*> in_values_;
  std::vector<Value*> out_values_;
  bool reuse_ = false;
};

/// Shapes of the inputs of `model` when a request gives `given` (an object name -> dimensions, or null). A
/// free leading dimension that is not given becomes 1. @throws Error unknown_name, bad_shape, shape_unknown
std::vector<graph::Shape> resolve_shapes(const LoadedModel& model, const Json& given);

/// Standard normal numbers for floating types, 0 or 1 for integers. @throws Error runtime_refused for strings
Tensor random_tensor(const Api& api, graph::DataType type, const graph::Shape& shape, std::uint64_t seed);
std::vector<Tensor> random_inputs(const LoadedModel& model, const std::vector<graph::Shape>& shapes,
                                  std::uint64_t seed);

}  // namespace tailor::ort

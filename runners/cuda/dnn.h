/// \file cuDNN's graph API: descriptors as values, a convolution with what follows it as a graph, and the engines that
/// the library's heuristics name for it. Works without a device too, where a description of one is given.
#pragma once

#include "runners/cuda/driver.h"
#include "runners/cuda/layer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tailor::cuda {

/// cuDNN's number of a type.
int dnn_type(graph::DataType type);

/// One descriptor; destroyed with its owner.
class DnnDescriptor {
 public:
  DnnDescriptor(Libraries& libraries, DescriptorKind kind);
  ~DnnDescriptor();
  DnnDescriptor(DnnDescriptor&& other) noexcept;
  DnnDescriptor& operator=(DnnDescriptor&& other) noexcept;

  Descriptor get() const { return descriptor_; }
  /// @throws CallFailed
  template <class T>
  void set(AttributeName name, AttributeType type, const std::vector<T>& values) {
    set_raw(name, type, static_cast<std::int64_t>(values.size()), values.data());
  }
  template <class T>
  void set(AttributeName name, AttributeType type, const T& value) {
    set_raw(name, type, 1, &value);
  }
  void set(AttributeName name, const DnnDescriptor& value) { set(name, kTypeDescriptor, value.descriptor_); }
  void set_text(AttributeName name, const std::string& text);
  /// @throws CallFailed
  void finalize();
  /// false: the library does not support what this describes. @throws CallFailed for everything else
  bool try_finalize();
  /// Values of an attribute, at most `most`; none if it has none.
  template <class T>
  std::vector<T> read(AttributeName name, AttributeType type, std::int64_t most) const {
    std::vector<T> values(static_cast<std::size_t>(most));
    values.resize(read_raw(name, type, most, values.data()));
    return values;
  }
  /// Descriptors that an attribute holds.
  std::vector<DnnDescriptor> read_descriptors(AttributeName name, DescriptorKind kind,
                                              std::int64_t most) const;

 private:
  void set_raw(AttributeName name, AttributeType type, std::int64_t count, const void* values);
  std::size_t read_raw(AttributeName name, AttributeType type, std::int64_t most, void* values) const;

  Libraries* libraries_;
  Descriptor descriptor_ = nullptr;
};

/// Numbers by which a graph's tensors are given at run time.
enum TensorId : std::int64_t { kIdX = 1, kIdWeights = 2, kIdY = 3, kIdBias = 4, kIdResidual = 5 };

/// Operations of one layer, fused, and the tensors that a run must be given.
struct ConvolutionGraph {
  std::vector<DnnDescriptor> parts;  // kept alive; the last is the graph
  std::vector<std::int64_t> ids;
  const DnnDescriptor& graph() const { return parts.back(); }
};

/// The words at the front of the layer's that a graph can hold, and the others.
struct FusedConvolution {
  Words fused, rest;
};
FusedConvolution fusable_words(const Layer& layer);

/// @param handle nullptr: for a device that is only described
/// @throws CallFailed, Error runtime_refused
ConvolutionGraph convolution_graph(Libraries& libraries, DnnHandle handle, const Layer& layer,
                                   const Words& fused);

/// Engine configurations, best first, as the heuristics rank them.
/// @param device descriptor of a described device, or nullptr for the handle's
/// @param mode kHeuristicA, kHeuristicInstant, kHeuristicFallback
std::vector<DnnDescriptor> engine_configs(Libraries& libraries, const ConvolutionGraph& graph,
                                          const DnnDescriptor* device, int mode);

struct EngineChoice {
  std::int64_t engine = -1;
  std::vector<std::pair<std::string, std::int64_t>> knobs;
  bool tensor_cores = false;
};
/// What a configuration says of itself.
EngineChoice describe(const DnnDescriptor& config);
/// "engine 22, TILE_SIZE 8"
std::string to_string(const EngineChoice& choice);

}  // namespace tailor::cuda

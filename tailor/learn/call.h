/// \file One operator being run: its inputs, its attributes, where its outputs go. Private to the module.
#pragma once

#include "tailor/learn/aten.h"

#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace tailor::learn {

/// What the whole run has in common.
struct Setting {
  at::ScalarType real = at::kFloat;
  bool training = false;    // dropout drops
  bool statistics = false;  // BatchNormalization normalises by its batch and follows it
  double follow = 0;        // by which share; 0: as the node says
};

/// A node at the moment its inputs are computed. Inputs and outputs are places in the table of values; -1: omitted.
class Call {
 public:
  Call(const graph::Node& at, std::int64_t version, const Setting& of_run, std::span<const int> inputs,
       std::span<const int> outputs, std::vector<at::Tensor>& values)
      : node(at), opset(version), setting(of_run), inputs_(inputs), outputs_(outputs), values_(values) {}

  const graph::Node& node;
  const std::int64_t opset;  // of the node's domain
  const Setting& setting;

  std::size_t count() const { return inputs_.size(); }
  bool has(std::size_t input) const { return input < inputs_.size() && inputs_[input] >= 0; }
  /// @throws Error bad_model if it is omitted
  const at::Tensor& in(std::size_t input) const;
  /// Undefined if it is omitted.
  at::Tensor maybe(std::size_t input) const { return has(input) ? in(input) : at::Tensor(); }
  /// Elements of an input, as they are now. @throws Error bad_model if it is omitted
  std::vector<std::int64_t> integers(std::size_t input) const;
  std::vector<double> reals(std::size_t input) const;
  /// The attribute, or, if the node has none, input `input`; nullopt if there is neither.
  std::optional<std::vector<std::int64_t>> list(std::string_view attribute, std::size_t input) const;
  /// The attribute with `count` elements; `otherwise` everywhere if absent. @throws Error bad_model if it does not fit
  std::vector<std::int64_t> each(std::string_view attribute, std::size_t count, std::int64_t otherwise) const;
  /// `axis` counted from the front. @throws Error bad_model if it is outside of `rank`
  std::int64_t axis(std::int64_t axis, std::int64_t rank) const;

  bool wants(std::size_t output) const { return output < outputs_.size() && outputs_[output] >= 0; }
  void set(at::Tensor value, std::size_t output = 0);
  /// The model contradicts itself here. @throws Error bad_model
  [[noreturn]] void fail(const std::string& what) const;
  /// Sound, but not among what is implemented. @throws Error not_trainable
  [[noreturn]] void refuse(const std::string& what) const;

 private:
  std::span<const int> inputs_, outputs_;
  std::vector<at::Tensor>& values_;
};

using Operator = void (*)(Call&);
struct OperatorEntry {
  std::string_view op;
  Operator run;
};

std::span<const OperatorEntry> elementwise_operators();
std::span<const OperatorEntry> layer_operators();   // convolutions, products, normalisations
std::span<const OperatorEntry> window_operators();  // pools, and what they share with convolutions
std::span<const OperatorEntry> layout_operators();  // reshaping, cutting, joining
std::span<const OperatorEntry> select_operators();  // gathering, reducing, making
std::span<const OperatorEntry> resize_operators();

/// nullptr if there is none.
Operator find_operator(std::string_view domain, std::string_view op);

/// The positions that a kernel takes along each axis, after auto_pad is resolved.
struct Window {
  std::vector<std::int64_t> kernel, strides, dilations, begin, end;  // begin, end: padding
  bool even() const { return begin == end; }
};
Window window_of(const Call& call, const at::Tensor& x, at::IntArrayRef kernel);
/// Pads `x` behind its first two axes, as `window` says. libtorch pads both sides alike, ONNX need not.
at::Tensor padded(const at::Tensor& x, const Window& window, double value);

}  // namespace tailor::learn

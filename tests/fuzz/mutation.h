/// \file Private to the mutator: the places of a model that can be changed, and the changes.
#pragma once

#include "tailor/base/random.h"
#include "tailor/onnx/proto.h"

#include <cstdint>
#include <string>
#include <vector>

namespace tailor::fuzz {

using ::onnx::AttributeProto;
using ::onnx::GraphProto;
using ::onnx::ModelProto;
using ::onnx::NodeProto;
using ::onnx::TensorProto;
using ::onnx::ValueInfoProto;

/// Changes of one model, which must outlive it. Each apply() is one change; most keep the model readable.
class Mutation {
 public:
  Mutation(ModelProto& model, Random& random) : model_(model), random_(random) { refresh(); }
  void apply();

 private:
  // mutate_nodes.cpp
  void value_of(AttributeProto& attribute);
  void attribute();
  void new_attribute();
  void operator_name();
  void input_name();
  void output_name();
  void node_list();
  void bypass(GraphProto& graph, int at);
  void insert_behind(GraphProto& graph, int at);
  void names_swapped();
  void into_a_body();
  // mutate_tensors.cpp
  void tensor_dims();
  void halve(TensorProto& tensor);
  void tensor_type();
  void tensor_data();
  void tensor_place();
  void description();
  void boundary();
  void versions();
  // mutator.cpp
  void collect(GraphProto& graph, int depth = 0);
  void refresh();
  std::int64_t number(std::int64_t before);
  float real();
  std::string value_name();

  std::size_t below(std::size_t n) { return random_.below(n); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  int index(int size) { return static_cast<int>(below(static_cast<std::size_t>(size))); }
  template <class T>
  T* any(const std::vector<T*>& list) {
    return list.empty() ? nullptr : list[below(list.size())];
  }
  template <class List>
  void numbers(List& list) {
    switch (below(5)) {
      case 0:
        list.Add(number(static_cast<std::int64_t>(below(9))));
        break;
      case 1:
        if (!list.empty()) list.RemoveLast();
        break;
      case 2:
        if (list.size() > 1) list.SwapElements(index(list.size()), index(list.size()));
        break;
      case 3:
        if (one_in(4)) list.Clear();
        break;
      default:
        if (!list.empty())
          if (int at = index(list.size()); true) list.Set(at, number(list.Get(at)));
    }
  }

  ModelProto& model_;
  Random& random_;
  std::vector<GraphProto*> graphs_;
  std::vector<NodeProto*> nodes_;
  std::vector<TensorProto*> tensors_;
  std::vector<ValueInfoProto*> infos_;
};

}  // namespace tailor::fuzz

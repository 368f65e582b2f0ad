// What can happen to constants, to the descriptions of values, to what the graph takes and gives, and to versions.
#include "tests/fuzz/mutation.h"

#include <cstring>

namespace tailor::fuzz {

void Mutation::tensor_dims() {
  TensorProto* tensor = any(tensors_);
  if (!tensor) return;
  auto& dims = *tensor->mutable_dims();
  if (dims.size() > 1 && one_in(3)) return dims.SwapElements(index(dims.size()), index(dims.size()));
  if (!dims.empty() && one_in(2)) return halve(*tensor);
  numbers(dims);
}

// A dimension changes and the data with it, so that the tensor stays sound.
void Mutation::halve(TensorProto& tensor) {
  int at = index(tensor.dims_size());
  std::int64_t old = tensor.dims(at), now = one_in(2) ? old / 2 : old + 1;
  if (old <= 0 || now < 0 || tensor.raw_data().size() > (1 << 20)) return;
  std::string raw = tensor.raw_data();
  std::size_t slice = raw.size() / static_cast<std::size_t>(old);
  raw.resize(slice * static_cast<std::size_t>(now));
  tensor.set_raw_data(std::move(raw));
  tensor.set_dims(at, now);
}

void Mutation::tensor_type() {
  if (TensorProto* tensor = any(tensors_)) tensor->set_data_type(static_cast<int>(below(25)));
}

void Mutation::tensor_data() {
  TensorProto* tensor = any(tensors_);
  if (!tensor) return;
  if (tensor->int64_data_size() > 0) return numbers(*tensor->mutable_int64_data());
  std::string& raw = *tensor->mutable_raw_data();
  switch (below(6)) {
    case 0:
      raw.resize(below(raw.size() + 1));
      break;
    case 1:
      raw += "12345678";
      break;
    default:
      if (raw.size() < 8) break;
      std::size_t at = below(raw.size() / 8) * 8;
      std::int64_t value = 0;
      std::memcpy(&value, raw.data() + at, 8);
      value = number(value);
      std::memcpy(raw.data() + at, &value, 8);
  }
}

void Mutation::tensor_place() {
  TensorProto* tensor = any(tensors_);
  if (!tensor) return;
  switch (below(4)) {
    case 0:
      return tensor->set_name(value_name());
    case 1: {
      TensorProto copy = *tensor;
      copy.set_name(one_in(2) ? "another" : value_name());
      *any(graphs_)->add_initializer() = std::move(copy);
      return refresh();
    }
    case 2: {
      if (!one_in(4)) return;
      tensor->set_data_location(TensorProto::EXTERNAL);
      auto& entry = *tensor->add_external_data();
      entry.set_key("location"), entry.set_value(one_in(2) ? "../../etc/passwd" : "weights.bin");
      return;
    }
    default: {
      GraphProto* graph = any(graphs_);
      if (graph->initializer_size() > 0 && one_in(4))
        graph->mutable_initializer()->DeleteSubrange(index(graph->initializer_size()), 1);
      return refresh();
    }
  }
}

void Mutation::description() {
  ValueInfoProto* info = any(infos_);
  if (!info) return;
  auto& type = *info->mutable_type()->mutable_tensor_type();
  if (one_in(6)) return type.set_elem_type(static_cast<int>(below(25)));
  if (one_in(12)) return type.clear_shape();
  auto& dims = *type.mutable_shape()->mutable_dim();
  if (one_in(5)) return static_cast<void>(dims.Add()->set_dim_value(number(4)));
  if (dims.empty()) return;
  if (one_in(6)) return dims.RemoveLast();
  auto& dim = *dims.Mutable(index(dims.size()));
  if (one_in(4))
    dim.set_dim_param(one_in(2) ? "N" : "size");
  else
    dim.set_dim_value(number(dim.dim_value()));
}

void Mutation::boundary() {
  GraphProto* graph = any(graphs_);
  if (one_in(2)) {
    graph->add_output()->set_name(value_name());
  } else if (graph->output_size() > 0 && one_in(2)) {
    graph->mutable_output(index(graph->output_size()))->set_name(value_name());
  } else if (graph->input_size() > 0) {
    graph->mutable_input(index(graph->input_size()))->set_name(value_name());
  }
  refresh();
}

void Mutation::versions() {
  if (one_in(4)) return model_.set_ir_version(number(model_.ir_version()));
  if (model_.opset_import_size() == 0) return;
  model_.mutable_opset_import(0)->set_version(one_in(4) ? number(13)
                                                        : 7 + static_cast<std::int64_t>(below(17)));
}

}  // namespace tailor::fuzz

// The small parts: Patch and ExternalData, then tensors, value infos, attributes and nodes. Each encoder asks "what does my
// origin decode to?" and replaces the records of the fields that differ.
#include "tailor/onnx/encode.h"

#include "tailor/base/error.h"
#include "tailor/onnx/decode.h"
#include "tailor/onnx/proto.h"

#include <fmt/format.h>

#include <bit>

namespace tailor::onnx {
namespace {

using graph::DataType;

void put_text(Patch& patch, std::uint32_t number, const std::string& now, const std::string& before) {
  if (now == before) return;
  Rope rope;
  if (!now.empty()) rope.text(number, now);
  patch.replace(number, std::move(rope));
}

void put_texts(Patch& patch, std::uint32_t number, const std::vector<std::string>& now,
               const std::vector<std::string>& before) {
  if (now == before) return;
  Rope rope;
  for (const std::string& item : now) rope.text(number, item);
  patch.replace(number, std::move(rope));
}

bool opaque(const graph::Tensor& tensor) { return graph::element_size(tensor.type) == 0; }

void check_size(const graph::Tensor& tensor, const std::string* name) {
  std::int64_t count = tensor.size();
  auto size = static_cast<std::int64_t>(graph::element_size(tensor.type));
  if (count >= 0 && count * size == static_cast<std::int64_t>(tensor.data.size())) return;
  throw Error(Code::bad_tensor,
              fmt::format("has {} bytes of data for {} of {}", tensor.data.size(),
                          graph::to_string(tensor.dims), graph::name(tensor.type)),
              name ? fmt::format("tensor '{}'", *name) : "an attribute");
}

void drop_data(Patch& patch) {
  for (auto number : {field::segment, field::float_data, field::int32_data, field::int64_data,
                      field::double_data, field::uint64_data, field::external_data, field::data_location})
    patch.replace(number, {});
}

void put_data(Patch& patch, const Bytes& data) {
  drop_data(patch);
  Rope payload, rope;
  payload.add(data);
  rope.message(field::raw_data, std::move(payload));
  patch.replace(field::raw_data, std::move(rope));
}

void put_external(Patch& patch, const Bytes& data, ExternalData& external) {
  drop_data(patch);
  patch.replace(field::raw_data, {});
  Rope entries, location;
  auto entry = [&](std::string_view key, const std::string& value) {
    Rope pair;
    pair.text(1, key), pair.text(2, value);
    entries.message(field::external_data, std::move(pair));
  };
  entry("location", external.location());
  entry("offset", std::to_string(external.place(data)));
  entry("length", std::to_string(data.size()));
  location.varint(field::data_location, ::onnx::TensorProto_DataLocation_EXTERNAL);
  patch.replace(field::external_data, std::move(entries));
  patch.replace(field::data_location, std::move(location));
}

// The origin of an external tensor was read from another file, which the result must not depend on.
NamedTensor origin_of(const graph::Tensor& tensor) {
  if (tensor.origin.empty()) return {};
  auto proto = parse_proto<::onnx::TensorProto>(without(tensor.origin, {field::raw_data}), "tensor");
  if (proto.data_location() != ::onnx::TensorProto_DataLocation_EXTERNAL)
    return decode_tensor(tensor.origin, {});
  NamedTensor before;
  before.external = true;
  before.name = proto.name();
  before.tensor.dims.assign(proto.dims().begin(), proto.dims().end());
  before.tensor.type = opaque(tensor) ? tensor.type : DataType::undefined;
  return before;
}

void fill_type(::onnx::TypeProto& type, const graph::ValueInfo& info) {
  auto& tensor = *type.mutable_tensor_type();
  tensor.set_elem_type(static_cast<int>(info.type));
  tensor.clear_shape();
  if (!info.shape) return;
  auto& shape = *tensor.mutable_shape();
  for (std::size_t i = 0; i < info.shape->size(); ++i) {
    auto& dim = *shape.add_dim();
    if ((*info.shape)[i] >= 0)
      dim.set_dim_value((*info.shape)[i]);
    else if (i < info.symbols.size() && !info.symbols[i].empty())
      dim.set_dim_param(info.symbols[i]);
  }
}

bool same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_bits);
}
bool same(float a, float b) { return same_bits(a, b); }
bool same(const graph::OpaqueAttribute&, const graph::OpaqueAttribute&) { return true; }
template <class T>
bool same(const T& a, const T& b) {
  return a == b;
}

// Tensors and graphs are not compared here: their own encoders know whether they changed.
bool same_value(const graph::AttributeValue& a, const graph::AttributeValue& b) {
  return a.index() == b.index() && std::visit(
                                       [&](const auto& x) {
                                         using T = std::decay_t<decltype(x)>;
                                         if constexpr (std::is_same_v<T, graph::Tensor> ||
                                                       std::is_same_v<T, std::shared_ptr<const graph::Graph>>)
                                           return true;
                                         else
                                           return same(x, std::get<T>(b));
                                       },
                                       a);
}

Rope value_records(const graph::AttributeValue& value, const Target& target) {
  Rope rope;
  if (auto* real = std::get_if<float>(&value)) rope.real(field::f, *real);
  if (auto* integer = std::get_if<std::int64_t>(&value))
    rope.varint(field::i, static_cast<std::uint64_t>(*integer));
  if (auto* text = std::get_if<std::string>(&value)) rope.text(field::s, *text);
  if (auto* tensor = std::get_if<graph::Tensor>(&value))
    rope.message(field::t, encode_tensor(*tensor, nullptr, target));
  if (auto* body = std::get_if<std::shared_ptr<const graph::Graph>>(&value))
    rope.message(field::g, encode_graph(**body, target));
  if (auto* reals = std::get_if<std::vector<float>>(&value))
    for (float item : *reals) rope.real(field::floats, item);
  if (auto* integers = std::get_if<std::vector<std::int64_t>>(&value))
    for (std::int64_t item : *integers) rope.varint(field::ints, static_cast<std::uint64_t>(item));
  if (auto* texts = std::get_if<std::vector<std::string>>(&value))
    for (const std::string& item : *texts) rope.text(field::strings, item);
  return rope;
}

int kind_of(const graph::AttributeValue& value) {
  static constexpr int kinds[] = {kind::real,  kind::integer,  kind::text,  kind::tensor,
                                  kind::reals, kind::integers, kind::texts, kind::graph};
  if (auto* hidden = std::get_if<graph::OpaqueAttribute>(&value)) return hidden->type;
  return kinds[value.index()];
}

Rope whole_attribute(const std::string& name, const graph::Attribute& attribute, const Target& target) {
  Patch patch(attribute.origin);
  for (auto number :
       {field::f, field::i, field::s, field::t, field::g, field::floats, field::ints, field::strings,
        field::tensors, field::graphs, field::type_proto, field::type_protos, field::sparse, field::sparses})
    patch.replace(number, {});
  Rope title, kind;
  title.text(field::attribute_name, name);
  kind.varint(field::type, static_cast<std::uint64_t>(kind_of(attribute.value)));
  patch.replace(field::attribute_name, std::move(title));
  patch.replace(field::type, std::move(kind));
  Rope rope = std::move(patch).finish();
  rope.add(value_records(attribute.value, target));
  return rope;
}

// Shallow: what a bare decode of the origin tells, without reading external files or checking domains.
graph::AttributeValue origin_value(const graph::Attribute& attribute, std::string& name) {
  auto proto = parse_proto<::onnx::AttributeProto>(
      without(attribute.origin, {field::t, field::g, field::tensors, field::graphs, field::sparse,
                                 field::sparses, field::type_proto, field::type_protos}),
      "attribute");
  name = proto.name();
  bool nested = std::holds_alternative<graph::Tensor>(attribute.value) ||
                std::holds_alternative<std::shared_ptr<const graph::Graph>>(attribute.value);
  if (nested) return attribute.value;
  int type = proto.type();
  if (type == kind::tensor || type == kind::graph) return graph::OpaqueAttribute{};
  return decode_attribute(attribute.origin, {}, 0).second.value;
}

void put_nested(Patch& patch, const graph::AttributeValue& value, const Target& target) {
  if (auto* tensor = std::get_if<graph::Tensor>(&value))
    patch.put(patch.places(field::t).at(0), field::t, encode_tensor(*tensor, nullptr, target));
  if (auto* body = std::get_if<std::shared_ptr<const graph::Graph>>(&value))
    patch.put(patch.places(field::g).at(0), field::g, encode_graph(**body, target));
}

bool holds_nested_record(const Patch& patch, const graph::AttributeValue& value) {
  if (std::holds_alternative<graph::Tensor>(value)) return !patch.places(field::t).empty();
  if (std::holds_alternative<std::shared_ptr<const graph::Graph>>(value))
    return !patch.places(field::g).empty();
  return true;
}

std::string attribute_name_of(const Bytes& record) {
  Scanner scanner(record.span());
  std::string name;
  for (Record part; next_record(scanner, part);)
    if (part.field == field::attribute_name && part.wire == Wire::bytes) name = std::string(part.text());
  return name;
}

void put_attributes(Patch& patch, const graph::Node& node, const Target& target) {
  std::set<std::string> done;
  auto places = patch.places(field::attribute);
  for (std::size_t at : places) {
    auto found = node.attributes.find(attribute_name_of(patch.payload(at)));
    if (found == node.attributes.end()) {
      patch.drop(at);
      continue;
    }
    done.insert(found->first);
    patch.put(at, field::attribute, encode_attribute(found->first, found->second, target));
  }
  for (const auto& [name, attribute] : node.attributes)
    if (!done.contains(name))
      patch.append(field::attribute, places, encode_attribute(name, attribute, target));
}

graph::Node bare_origin(const graph::Node& node) {
  graph::Node before;
  auto proto = parse_proto<::onnx::NodeProto>(without(node.origin, {field::attribute}), "node");
  before.inputs.assign(proto.input().begin(), proto.input().end());
  before.outputs.assign(proto.output().begin(), proto.output().end());
  before.name = proto.name();
  before.op = proto.op_type();
  before.domain = proto.domain() == "ai.onnx" ? "" : proto.domain();
  return before;
}

}  // namespace

Patch::Patch(const Bytes& origin) : origin_(origin) {
  Scanner scanner(origin_.span());
  PageTrail trail(origin_);
  for (Record part; next_record(scanner, part); trail.passed(part)) records_.push_back(part);
  slots_.resize(records_.size());
  after_.resize(records_.size() + 1);
}

std::vector<std::size_t> Patch::places(std::uint32_t number) const {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < records_.size(); ++i)
    if (records_[i].field == number && records_[i].wire == Wire::bytes) found.push_back(i);
  return found;
}

Bytes Patch::payload(std::size_t at) const { return within(origin_, records_[at].payload); }

void Patch::put(std::size_t at, std::uint32_t number, Rope value) {
  if (records_[at].field == number && value.is(payload(at))) return slots_[at].reset();
  slots_[at].emplace();
  slots_[at]->message(number, std::move(value));
}

void Patch::replace(std::uint32_t number, Rope records) {
  bool first = true;
  for (std::size_t i = 0; i < records_.size(); ++i) {
    if (records_[i].field != number) continue;
    slots_[i] = first ? std::move(records) : Rope();
    first = false;
  }
  if (first) after_.back().add(std::move(records));
}

void Patch::distribute(std::uint32_t number, const std::vector<std::size_t>& places,
                       std::vector<Rope> items) {
  for (std::size_t i = 0; i < std::max(places.size(), items.size()); ++i) {
    if (i >= items.size())
      drop(places[i]);
    else if (i < places.size())
      put(places[i], number, std::move(items[i]));
    else
      append(number, places, std::move(items[i]));
  }
}

void Patch::append(std::uint32_t number, const std::vector<std::size_t>& places, Rope value) {
  after_[places.empty() ? records_.size() : places.back()].message(number, std::move(value));
}

Rope Patch::finish() && {
  Rope rope;
  for (std::size_t i = 0; i < records_.size(); ++i) {
    if (slots_[i])
      rope.add(std::move(*slots_[i]));
    else
      rope.add(within(origin_, records_[i].whole));
    rope.add(std::move(after_[i]));
  }
  rope.add(std::move(after_.back()));
  return rope;
}

std::uint64_t ExternalData::place(const Bytes& data) {
  static const Bytes zeros = Bytes::own(std::vector<std::byte>(kAlignment));
  auto [at, fresh] = offsets_.try_emplace({data.data(), data.size()}, 0);
  if (!fresh) return at->second;
  if (std::size_t past = size_ % kAlignment) {
    pieces_.push_back(zeros.part(0, kAlignment - past));
    size_ += kAlignment - past;
  }
  at->second = size_;
  pieces_.push_back(data);
  size_ += data.size();
  return at->second;
}

Rope encode_tensor(const graph::Tensor& tensor, const std::string* name, const Target& target) {
  if (opaque(tensor) && tensor.origin.empty())
    throw Error(Code::bad_tensor, "a tensor of strings or packed elements can only be carried, not made",
                name ? fmt::format("tensor '{}'", *name) : "an attribute");
  if (!opaque(tensor)) check_size(tensor, name);
  NamedTensor before = origin_of(tensor);
  Patch patch(tensor.origin);
  if (name) put_text(patch, field::tensor_name, *name, before.name);
  if (tensor.dims != before.tensor.dims) {
    Rope rope;
    for (std::int64_t dim : tensor.dims) rope.varint(field::dims, static_cast<std::uint64_t>(dim));
    patch.replace(field::dims, std::move(rope));
  }
  if (opaque(tensor)) return std::move(patch).finish();
  if (tensor.type != before.tensor.type) {
    Rope rope;
    rope.varint(field::data_type, static_cast<std::uint64_t>(tensor.type));
    patch.replace(field::data_type, std::move(rope));
  }
  if (target.external && target.external->takes(tensor, before.external, name != nullptr))
    put_external(patch, tensor.data, *target.external);
  else if (tensor.origin.empty() || before.external || tensor.data != before.tensor.data)
    put_data(patch, tensor.data);
  return std::move(patch).finish();
}

Rope encode_value_info(const graph::ValueInfo& info) {
  graph::ValueInfo before = info.origin.empty() ? graph::ValueInfo{} : decode_value_info(info.origin);
  Patch patch(info.origin);
  put_text(patch, 1, info.name, before.name);
  if (info.type == before.type && info.shape == before.shape && info.symbols == before.symbols)
    return std::move(patch).finish();
  auto proto = parse_proto<::onnx::ValueInfoProto>(info.origin.view(), "value description");
  fill_type(*proto.mutable_type(), info);
  Rope rope;
  rope.text(2, proto.type().SerializeAsString());
  patch.replace(2, std::move(rope));
  return std::move(patch).finish();
}

Rope encode_attribute(const std::string& name, const graph::Attribute& attribute, const Target& target) {
  if (attribute.origin.empty()) return whole_attribute(name, attribute, target);
  std::string old_name;
  graph::AttributeValue before = origin_value(attribute, old_name);
  Patch patch(attribute.origin);
  if (!same_value(attribute.value, before) || !holds_nested_record(patch, attribute.value))
    return whole_attribute(name, attribute, target);
  put_text(patch, field::attribute_name, name, old_name);
  put_nested(patch, attribute.value, target);
  return std::move(patch).finish();
}

Rope encode_node(const graph::Node& node, const Target& target) {
  graph::Node before = bare_origin(node);
  Patch patch(node.origin);
  put_texts(patch, field::node_input, node.inputs, before.inputs);
  put_texts(patch, field::node_output, node.outputs, before.outputs);
  put_text(patch, field::node_name, node.name, before.name);
  put_text(patch, field::op_type, node.op, before.op);
  put_text(patch, field::domain, node.domain, before.domain);
  put_attributes(patch, node, target);
  return std::move(patch).finish();
}

}  // namespace tailor::onnx

// Model -> bytes: the graph's records (nodes, weights, inputs ...) are matched with the parts that came from
// them, then the same for the model around it. See encode.h for what happens inside of a part.
#include "tailor/base/error.h"
#include "tailor/onnx/decode.h"
#include "tailor/onnx/encode.h"
#include "tailor/onnx/onnx.h"

#include <fmt/format.h>

#include <set>
#include <unordered_map>

namespace tailor::onnx {
namespace {

constexpr std::int64_t kSeparateInputs = 4;  // before this IR version initializers are inputs, too

// Field 8 of a TensorProto, field 1 of a ValueInfoProto; a SparseTensorProto carries it in its first field.
std::string name_in(const Bytes& record, std::uint32_t number) {
  std::string name;
  Scanner scanner(record.span());
  for (Record part; next_record(scanner, part);)
    if (part.field == number && part.wire == Wire::bytes) name = std::string(part.text());
  return name;
}

std::string initializer_name(const Patch& patch, std::size_t at) {
  Bytes record = patch.payload(at);
  if (patch.records()[at].field == field::initializer) return name_in(record, field::tensor_name);
  Scanner scanner(record.span());
  for (Record part; next_record(scanner, part);)
    if (part.field == 1 && part.wire == Wire::bytes)
      return name_in(within(record, part.payload), field::tensor_name);
  return {};
}

std::vector<std::size_t> initializer_places(const Patch& patch) {
  auto places = patch.places(field::initializer);
  auto sparse = patch.places(field::sparse_initializer);
  places.insert(places.end(), sparse.begin(), sparse.end());
  return places;
}

std::uint32_t field_of(const graph::Tensor& tensor, const std::set<const std::byte*>& sparse) {
  bool carried = !tensor.origin.empty() && sparse.contains(tensor.origin.data());
  return carried ? field::sparse_initializer : field::initializer;
}

Rope encode_initializer(const graph::Tensor& tensor, const std::string& name, std::uint32_t number,
                        const Target& target) {
  if (number == field::initializer) return encode_tensor(tensor, &name, target);
  Rope rope;
  rope.add(tensor.origin);
  return rope;
}

// A weight that took another name is found by its origin, one that was replaced under its name by the name.
void put_initializers(Patch& patch, const graph::Graph& graph, const Target& target) {
  std::unordered_map<const std::byte*, std::string> by_origin;
  for (const auto& [name, tensor] : graph.initializers)
    if (!tensor.origin.empty()) by_origin.emplace(tensor.origin.data(), name);
  std::set<const std::byte*> sparse;
  for (std::size_t at : patch.places(field::sparse_initializer)) sparse.insert(patch.payload(at).data());

  std::set<std::string> done;
  PageTrail trail(graph.origin);
  for (std::size_t at : initializer_places(patch)) {
    trail.passed(patch.records()[at]);
    std::string name = initializer_name(patch, at);
    if (!graph.initializers.contains(name)) {
      auto moved = by_origin.find(patch.payload(at).data());
      name = moved == by_origin.end() ? std::string() : moved->second;
    }
    auto found = graph.initializers.find(name);
    if (found == graph.initializers.end() || !done.insert(name).second) {
      patch.drop(at);
      continue;
    }
    std::uint32_t number = field_of(found->second, sparse);
    patch.put(at, number, encode_initializer(found->second, name, number, target));
  }
  auto places = patch.places(field::initializer);
  for (const auto& [name, tensor] : graph.initializers)
    if (!done.contains(name)) {
      std::uint32_t number = field_of(tensor, sparse);
      patch.append(number, places, encode_initializer(tensor, name, number, target));
    }
}

graph::ValueInfo described(graph::ValueInfo info, const graph::Tensor& tensor) {
  if (tensor.type != graph::DataType::undefined) info.type = tensor.type;
  if (info.shape != tensor.dims) info.symbols.clear();
  info.shape = tensor.dims;
  return info;
}

// An initializer that the file lists as an input keeps that record, with its new shape if it has one.
void put_initializer_input(Patch& patch, std::size_t at, const graph::Tensor& now,
                           const graph::Tensor* before) {
  if (before && before->dims == now.dims && before->type == now.type) return;
  patch.put(at, field::input, encode_value_info(described(decode_value_info(patch.payload(at)), now)));
}

const graph::Tensor* origin_initializer(const std::unordered_map<std::string, graph::Tensor>& known,
                                        const std::string& name) {
  auto at = known.find(name);
  return at == known.end() ? nullptr : &at->second;
}

std::unordered_map<std::string, graph::Tensor> initializers_before(const Patch& patch, const Bytes& graph) {
  std::unordered_map<std::string, graph::Tensor> known;
  PageTrail trail(graph);
  for (std::size_t at : initializer_places(patch)) {
    trail.passed(patch.records()[at]);
    Bytes record = patch.payload(at);
    bool sparse = patch.records()[at].field == field::sparse_initializer;
    known[initializer_name(patch, at)] = sparse ? decode_sparse_tensor(record).tensor : decode_header(record);
  }
  return known;
}

void put_inputs(Patch& patch, const graph::Graph& graph, std::int64_t ir_version) {
  auto before = initializers_before(patch, graph.origin);
  std::set<std::string, std::less<>> real, listed;
  for (const graph::ValueInfo& input : graph.inputs) real.insert(input.name);
  std::vector<std::size_t> places;
  for (std::size_t at : patch.places(field::input)) {
    std::string name = name_in(patch.payload(at), 1);
    auto now = graph.initializers.find(name);
    if (!before.contains(name) || real.contains(name))
      places.push_back(at);
    else if (now == graph.initializers.end())
      patch.drop(at);
    else
      put_initializer_input(patch, at, now->second, origin_initializer(before, name));
    listed.insert(std::move(name));
  }
  std::vector<Rope> items;
  for (const graph::ValueInfo& input : graph.inputs) items.push_back(encode_value_info(input));
  patch.distribute(field::input, places, std::move(items));
  if (ir_version >= kSeparateInputs) return;
  for (const auto& [name, tensor] : graph.initializers)
    if (!before.contains(name) && !listed.contains(name))
      patch.append(field::input, patch.places(field::input),
                   encode_value_info(described({name, tensor.type, {}, {}, {}}, tensor)));
}

void put_value_infos(Patch& patch, const graph::Graph& graph) {
  std::set<std::string> done;
  auto places = patch.places(field::value_info);
  for (std::size_t at : places) {
    auto found = graph.value_infos.find(name_in(patch.payload(at), 1));
    if (found == graph.value_infos.end()) {
      patch.drop(at);
      continue;
    }
    Rope rope = encode_value_info(found->second);
    bool first = done.insert(found->first).second;
    if (first)
      patch.put(at, field::value_info, std::move(rope));
    else if (!rope.is(found->second.origin))
      patch.drop(at);  // a second description of a value that changed
  }
  for (const auto& [name, info] : graph.value_infos)
    if (!done.contains(name)) patch.append(field::value_info, places, encode_value_info(info));
}

std::string graph_name(const Patch& patch) {
  std::string name;
  for (std::size_t at : patch.places(field::graph_name)) name = std::string(patch.records()[at].text());
  return name;
}

void put_opsets(Patch& patch, const graph::Model& model) {
  std::set<std::string> done;
  auto places = patch.places(field::opset_import);
  auto encoded = [](const std::string& domain, std::int64_t version) {
    Rope rope;
    if (!domain.empty()) rope.text(1, domain);
    rope.varint(2, static_cast<std::uint64_t>(version));
    return rope;
  };
  for (std::size_t at : places) {
    auto [domain, version] = decode_opset(patch.payload(at));
    auto found = model.opsets.find(domain);
    if (found == model.opsets.end())
      patch.drop(at);
    else if (found->second != version)
      patch.put(at, field::opset_import, encoded(domain, found->second));
    done.insert(domain);
  }
  for (const auto& [domain, version] : model.opsets)
    if (!done.contains(domain)) patch.append(field::opset_import, places, encoded(domain, version));
}

std::int64_t ir_version(const Patch& patch) {
  std::int64_t version = 0;
  for (const Record& record : patch.records())
    if (record.field == field::ir_version && record.wire == Wire::varint)
      version = static_cast<std::int64_t>(record.number);
  return version;
}

void put_ir_version(Patch& patch, std::int64_t version) {
  if (version == ir_version(patch)) return;
  Rope rope;
  rope.varint(field::ir_version, static_cast<std::uint64_t>(version));
  patch.replace(field::ir_version, std::move(rope));
}

}  // namespace

Rope encode_graph(const graph::Graph& graph, const Target& target) {
  Patch patch(graph.origin);
  std::vector<Rope> nodes, outputs;
  for (const graph::Node& node : graph.nodes) nodes.push_back(encode_node(node, target));
  for (const graph::ValueInfo& output : graph.outputs) outputs.push_back(encode_value_info(output));
  patch.distribute(field::node, patch.places(field::node), std::move(nodes));
  if (graph.name != graph_name(patch)) {
    Rope rope;
    rope.text(field::graph_name, graph.name);
    patch.replace(field::graph_name, std::move(rope));
  }
  put_initializers(patch, graph, target);
  put_inputs(patch, graph, target.ir_version);
  patch.distribute(field::output, patch.places(field::output), std::move(outputs));
  put_value_infos(patch, graph);
  return std::move(patch).finish();
}

Rope encode_model(const graph::Model& model, ExternalData* external) {
  Patch patch(model.origin);
  put_ir_version(patch, model.ir_version);
  put_opsets(patch, model);
  std::vector<Rope> graphs;
  graphs.push_back(encode_graph(model.graph, {model.ir_version, external}));
  patch.distribute(field::graph, patch.places(field::graph), std::move(graphs));
  return std::move(patch).finish();
}

std::vector<Bytes> serialize(const graph::Model& model) {
  Rope rope = encode_model(model, nullptr);
  if (rope.size() > kMostBytes)
    throw Error(Code::bad_model,
                fmt::format("the model would take {} bytes; one file can hold 2 GiB", rope.size()), {},
                "write it to a file: then its weights go to another one beside it");
  return rope.pieces();
}

std::string serialize_to_string(const graph::Model& model) {
  std::string text;
  for (const Bytes& piece : serialize(model)) text += piece.view();
  return text;
}

}  // namespace tailor::onnx

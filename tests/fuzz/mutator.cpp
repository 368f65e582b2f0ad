// The places that can be changed are collected first (nodes, tensors, descriptions, in bodies too), then changes are
// drawn one by one (mutate_nodes.cpp, mutate_tensors.cpp). Values are drawn from those at which arithmetic breaks, and
// from near what was there.
#include "tests/fuzz/mutator.h"

#include "tests/fuzz/mutation.h"

#include <array>
#include <limits>
#include <utility>

namespace tailor::fuzz {

void Mutation::apply() {
  using Step = void (Mutation::*)();
  static constexpr std::array<Step, 22> steps = {
      &Mutation::attribute,     &Mutation::attribute,   &Mutation::attribute,   &Mutation::new_attribute,
      &Mutation::operator_name, &Mutation::input_name,  &Mutation::input_name,  &Mutation::output_name,
      &Mutation::node_list,     &Mutation::node_list,   &Mutation::tensor_dims, &Mutation::tensor_dims,
      &Mutation::tensor_type,   &Mutation::tensor_data, &Mutation::tensor_data, &Mutation::tensor_place,
      &Mutation::description,   &Mutation::description, &Mutation::boundary,    &Mutation::versions,
      &Mutation::names_swapped, &Mutation::into_a_body};
  (this->*steps[below(steps.size())])();
}

void Mutation::collect(GraphProto& graph, int depth) {
  graphs_.push_back(&graph);
  for (auto& tensor : *graph.mutable_initializer()) tensors_.push_back(&tensor);
  for (auto* list : {graph.mutable_input(), graph.mutable_output(), graph.mutable_value_info()})
    for (auto& info : *list) infos_.push_back(&info);
  for (auto& node : *graph.mutable_node()) {
    nodes_.push_back(&node);
    for (auto& attribute : *node.mutable_attribute()) {
      if (attribute.has_t()) tensors_.push_back(attribute.mutable_t());
      if (attribute.has_g() && depth < 8) collect(*attribute.mutable_g(), depth + 1);
    }
  }
}

std::int64_t Mutation::number(std::int64_t before) {
  static constexpr std::array<std::int64_t, 22> odd = {0,
                                                       1,
                                                       -1,
                                                       2,
                                                       -2,
                                                       3,
                                                       7,
                                                       8,
                                                       64,
                                                       1000,
                                                       -1000,
                                                       65536,
                                                       1 << 24,
                                                       0x7fffffff,
                                                       0x80000000,
                                                       0xffffffff,
                                                       0x100000000,
                                                       std::int64_t{1} << 40,
                                                       std::int64_t{1} << 62,
                                                       std::numeric_limits<std::int64_t>::max(),
                                                       std::numeric_limits<std::int64_t>::min(),
                                                       -(std::int64_t{1} << 31)};
  switch (below(5)) {
    case 0:
      return static_cast<std::int64_t>(static_cast<std::uint64_t>(before) + 1);
    case 1:
      return static_cast<std::int64_t>(static_cast<std::uint64_t>(before) - 1);
    case 2:
      return static_cast<std::int64_t>(below(12));
    case 3:
      return before / 2;
    default:
      return odd[below(odd.size())];
  }
}

float Mutation::real() {
  static constexpr std::array<float, 7> odd = {0,
                                               -0.0f,
                                               1e38f,
                                               -1,
                                               0.5f,
                                               std::numeric_limits<float>::infinity(),
                                               std::numeric_limits<float>::quiet_NaN()};
  return odd[below(odd.size())];
}

std::string Mutation::value_name() {
  const NodeProto* node = any(nodes_);
  const TensorProto* tensor = any(tensors_);
  const ValueInfoProto* info = any(infos_);
  switch (below(6)) {
    case 0:
      return one_in(8) ? "nobody" : "";
    case 1:
      return tensor ? tensor->name() : "";
    case 2:
      return info ? info->name() : "";
    case 3:
      return node && node->input_size() ? node->input(index(node->input_size())) : "";
    default:
      return node && node->output_size() ? node->output(index(node->output_size())) : "";
  }
}

// Pointers into lists that grew or shrank are stale.
void Mutation::refresh() {
  graphs_.clear(), nodes_.clear(), tensors_.clear(), infos_.clear();
  collect(*model_.mutable_graph());
}

namespace {

void mutate_bytes(std::string& bytes, Random& random) {
  for (std::size_t i = 0; i <= random.below(3) && !bytes.empty(); ++i) {
    std::size_t at = random.below(random.below(2) ? bytes.size() : std::min<std::size_t>(bytes.size(), 2000));
    switch (random.below(4)) {
      case 0:
        bytes.insert(at, 1 + random.below(9), static_cast<char>(random.below(2) ? 0xff : random.next()));
        break;
      case 1:
        bytes.erase(at, 1 + random.below(8));
        break;
      default:
        bytes[at] = static_cast<char>(random.next());
    }
  }
}

}  // namespace

struct Seed::Model {
  ModelProto proto;
};

Seed::Seed(std::string_view bytes) : model_(new Model{onnx::parse_proto<ModelProto>(bytes, "seed")}) {}
Seed::~Seed() { delete model_; }
Seed::Seed(Seed&& other) noexcept : model_(std::exchange(other.model_, nullptr)) {}

std::string Seed::mutant(Random& random) const {
  ModelProto proto = model_->proto;
  Mutation mutation(proto, random);
  for (std::size_t i = 1 + random.below(random.below(2) ? 2 : 5); i > 0; --i) mutation.apply();
  std::string bytes = proto.SerializeAsString();
  if (random.below(16) == 0) mutate_bytes(bytes, random);
  return bytes;
}

}  // namespace tailor::fuzz

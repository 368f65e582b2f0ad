#include "tailor/pipeline/recover.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::pipeline {

const char* name(Recover recover) {
  constexpr const char* names[] = {"lsq", "bn", "none"};
  return names[static_cast<int>(recover)];
}

Recover parse_recover(const std::string& text) {
  for (Recover r : {Recover::lsq, Recover::bn, Recover::none})
    if (text == name(r)) return r;
  throw Error(Code::unknown_name, fmt::format("there is no recovery '{}'", text), "--recover",
              "lsq, bn or none");
}

int normalisations(const graph::Model& model) {
  const auto& nodes = model.graph.nodes;
  return static_cast<int>(std::count_if(
      nodes.begin(), nodes.end(), [](const graph::Node& node) { return node.op == "BatchNormalization"; }));
}

}  // namespace tailor::pipeline

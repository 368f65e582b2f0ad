/// \file Internal to the module: shapes of what crosses the border of a body (see bodies.h).
///
/// What a loop carries has the shape of its initial value in the first round only. So inference assumes that it keeps
/// that shape, compares at the end of the body, and starts again with less assumed where the body gives another one.
#pragma once

#include "tailor/graph/rules.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tailor::graph {

class BodyShapes {
 public:
  /// The brackets in the order of the nodes. Outputs that nothing is known of stay out of `known`.
  void step(const Node& bracket, Knowledge& known);
  /// Are we in a body? There a contradiction is no error: the body may never run at these sizes.
  bool inside() const { return !open_.empty(); }
  /// At the end of the nodes: false if a loop carried something other than was assumed. Then all of inference has to run
  /// again; it ends after at most seven rounds.
  bool settled();

 private:
  void enter_loop(const Node& node, Knowledge& known);
  void enter_scan(const Node& node, Knowledge& known);
  void leave_if(const Node& node, Knowledge& known) const;
  void leave_loop(const Node& node, Knowledge& known);
  void leave_scan(const Node& node, Knowledge& known);
  void carry_in(const std::string& initial, const std::string& carried, Knowledge& known);
  void carry_out(const std::string& carried, const std::string& given, const std::string& result,
                 Knowledge& known);

  std::vector<const Node*> open_;  // brackets that are not closed yet
  std::map<std::string, std::optional<Shape>>
      weakened_;  // carried value -> what is still assumed of its shape
  bool changed_ = false;
  int rounds_ = 0;
};

}  // namespace tailor::graph

/// \file The bodies of If, Loop and Scan laid open: one graph without bodies in which every node can be seen, and the
/// way back.
///
/// Where a node had bodies, the flat graph has brackets: `EnterIf`, the nodes of the first body, `NextIf`, those of
/// the second one, `LeaveIf` (`EnterLoop` ... `LeaveLoop`, `EnterScan` ... `LeaveScan` for the others). Brackets read
/// and write what crosses the border, and hold each other by a token, so that none goes without the others. Names in a
/// body get a prefix of their own. So passes over nodes in topological order (shapes, channel groups, surgery) need to
/// know nothing of bodies but what brackets do; what they insert between two brackets is in that body afterwards.
///
///   EnterIf    condition -> token                     LeaveIf    token, then-outputs, else-outputs -> outputs
///   NextIf     token -> token
///   EnterLoop  trip count, condition, initial values -> token, round, condition, carried values
///   LeaveLoop  token, condition, carried values, values to collect -> outputs
///   EnterScan  initial values, sequences -> token, carried values, elements of the sequences
///   LeaveScan  token, carried values, elements to collect -> outputs
#pragma once

#include "tailor/graph/model.h"

#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace tailor::graph {

/// The domain of the brackets. They are never written to a file.
inline constexpr std::string_view kBracketDomain = "tailor.bracket";
inline bool is_bracket(const Node& node) { return node.domain == kBracketDomain; }

/// The prefixes of the names of each body.
class Scopes {
 public:
  void add(std::string prefix) { prefixes_.insert(std::move(prefix)); }
  /// The prefix of the innermost body that `name` belongs to; "" outside of all bodies. O(length of the name).
  std::string_view of(std::string_view name) const;
  /// The name as the file has it.
  std::string_view bare(std::string_view name) const { return name.substr(of(name).size()); }

 private:
  std::set<std::string, std::less<>> prefixes_;
};

/// Weights are shared with the model, not copied.
struct LaidOpen {
  Model flat;
  Scopes scopes;
};

/// nullopt if there is no body that can be laid open. A body stays where it is, unseen, if its node is malformed, if it
/// is nested more than 16 deep, or holds such a one; so does that of a Scan before opset 9 (which has a batch axis).
/// O(names log names)
std::optional<LaidOpen> lay_open(const Model& model);

/// The reverse, after changes between the brackets. @param original what was laid open; its nodes with bodies say what
/// the brackets do not. @throws Error bug if brackets were lost
Model put_back(const Model& flat, const Model& original);

/// The bracket that opens what `node` (a bracket that is none itself) closes; nullptr if there is none.
const Node* opening(const Graph& flat, const Uses& uses, const Node& node);

}  // namespace tailor::graph

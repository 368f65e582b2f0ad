/// \file Fewer tokens from a value of the network on.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"
#include "tailor/graph/tokens.h"

#include <string>
#include <vector>

namespace tailor::rewrite {

/// The model with only the tokens at these places of the flow's site, from there on: a Gather with constant indices behind the
/// site, and every constant that names the count or belongs to places (targets of Reshape and Expand, bounds of Slice,
/// indices of Gather, tables of relative positions) made to fit. So any runtime runs it. Its shapes are inferred and
/// compared with what the flow says. Names of values stay; the tokens that are left are called as kept_value says.
/// @param kept places, increasing; all that the flow needs are among them
/// @throws Error bad_cut if tokens cannot go there, or a size behind the site is computed from a value before it
graph::Model keep_tokens(const graph::Model& model, const graph::Shapes& shapes, const graph::TokenFlow& flow,
                         const std::vector<int>& kept);

/// What the tokens that are left of a site are called.
std::string kept_value(const std::string& site);

/// Places of a value along the tokens' axis that stay if `kept` of the site do; increasing.
std::vector<int> places_kept(const graph::TokenAxis& axis, const std::vector<int>& kept);

/// Flows from those of `values` from which on tokens can go, in the order of the graph.
struct TokenSites {
  std::vector<graph::TokenFlow> flows;
  std::string obstacle;  // where there are none: why, of the value that came furthest
};
/// A value is a site if a flow along one of its axes other than the first is possible, and either attention mixes the
/// tokens behind it or an earlier site's flow has tokens on that axis; and if keep_tokens, tried, accepts to
/// leave one token out. O(values x nodes).
TokenSites token_sites(const graph::Model& model, const graph::Shapes& shapes,
                       const std::vector<std::string>& values);

}  // namespace tailor::rewrite

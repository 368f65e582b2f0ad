/// \file Number of tokens as one more width: from which value on fewer tokens are carried, which, and what that changes.
#pragma once

#include "tailor/pipeline/candidates.h"
#include "tailor/pipeline/worthwhile.h"
#include "tailor/rewrite/tokens.h"

#include <map>
#include <set>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// Decisions about tokens, by the value behind which tokens go.
using TokenCuts = std::map<std::string, TokenCut>;

/// Where tokens can go: behind what the first residual branch reads (the embedding with its positions) and behind every
/// residual sum. O(branches x nodes)
rewrite::TokenSites token_sites(const Subject& subject);

/// The model, whose values have all tokens of the original, with fewer. Where several sites follow each other, a token stays
/// at a later one if it stays at all before.
/// @throws Error bad_cut if a site, an axis or a token is not there, or nothing would be left
graph::Model with_fewer_tokens(const graph::Model& model, const graph::ShapeOverrides& overrides,
                               const TokenCuts& cuts);

/// Places of the original's `site` whose tokens are still there after the cuts at other sites; increasing.
std::vector<int> places_left(const Subject& original, const TokenCuts& cuts, const std::string& site,
                             int axis);

/// Values that have fewer tokens than the original's of the same names: they cannot be compared place by place.
std::set<std::string> values_with_fewer(const Subject& original, const TokenCuts& cuts);

/// Sites of the present network, each with the counts worth having: no larger one is as fast, by the layers' own latency at
/// the present widths. Only sites behind all earlier cuts are looked at, and of many, eight spread evenly are taken. At most
/// `limit` counts per site. O(sites x counts x nodes)
std::vector<TokenCounts> worthwhile_tokens(const Subject& original, const Subject& present,
                                           const TokenCuts& cuts, LatencyBook& book, int limit);

/// Layers of `present` that change with the model `fewer`, which is it with fewer tokens; by node of `present`.
std::map<int, latency::Workload> layers_with_fewer(const Subject& present,
                                                   const std::vector<LayerWidths>& layers,
                                                   const graph::Model& fewer);

/// How much attention each token of the flow's site receives: the mean over all that ask, of the first softmax behind the
/// site. @param weights what that softmax gave
std::vector<double> attention_received(const graph::TokenFlow& flow, const std::string& value,
                                       const graph::Tensor& weights);

}  // namespace tailor::pipeline

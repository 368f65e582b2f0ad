// cost() is made of cycles(): the value of a staircase at the sum of shares, whose gradient is its mean slope; prices turn
// the cycles of units into one number. seen() adds up what the ways make of the weights.
#include "tailor/learn/unit_shares.h"

#include "tailor/base/error.h"
#include "tailor/learn/state.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tailor::learn {
namespace {

std::vector<at::Tensor> equal_numbers(const UnitSearch& search) {
  std::vector<at::Tensor> list;
  for (const SearchedLayer& layer : search.layers)
    list.push_back(
        at::zeros({static_cast<std::int64_t>(layer.ways.size()), static_cast<std::int64_t>(layer.channels())})
            .set_requires_grad(true));
  return list;
}

bool can(const SearchedLayer& layer, std::size_t way) { return std::isfinite(layer.cycles[way].back()); }

at::Tensor barred(const SearchedLayer& layer) {
  at::Tensor column = at::zeros({static_cast<std::int64_t>(layer.ways.size()), 1});
  bool any = false;
  for (std::size_t w = 0; w < layer.ways.size(); ++w)
    if (can(layer, w))
      any = true;
    else
      column[static_cast<std::int64_t>(w)] = -std::numeric_limits<double>::infinity();
  if (!any) throw Error(Code::not_trainable, "no unit can compute the layer", layer.parameter);
  return column;
}

std::size_t unit_count(const UnitSearch& search) {
  int most = 0;
  for (const SearchedLayer& layer : search.layers)
    for (int unit : layer.units) most = std::max(most, unit);
  return static_cast<std::size_t>(most) + 1;
}

Recipe rule_of_shares() {
  Recipe recipe;
  recipe.rule = Rule::adamw, recipe.decay = 0;
  return recipe;
}

// Of each unit's cycles, how much each adds to the cost.
double priced(const UnitSearch& search, std::span<const double> cycles) {
  const std::vector<double> prices = search.prices(cycles);
  double sum = 0;
  for (std::size_t u = 0; u < cycles.size(); ++u) sum += prices[u] * cycles[u];
  return sum;
}

// The staircase at `channels` (a share of one counts as one), with its mean slope for a gradient.
at::Tensor climbed(const std::vector<double>& stairs, const at::Tensor& channels) {
  const double at = channels.item().toDouble();
  const auto most = static_cast<double>(stairs.size() - 1);
  const double value = stairs[static_cast<std::size_t>(std::clamp(std::ceil(at - 1e-4), 0.0, most))];
  const double slope = most > 1 ? (stairs.back() - stairs[1]) / (most - 1) : 0;
  return (channels - channels.detach()) * slope + value;
}

}  // namespace

UnitShares::UnitShares(UnitSearch search)
    : search_(std::move(search)),
      numbers_(equal_numbers(search_)),
      rule_(rule_of_shares(), std::vector<Parameter>(search_.layers.size()), numbers_) {
  for (std::size_t l = 0; l < search_.layers.size(); ++l) {
    cannot_.push_back(barred(search_.layers[l]));
    layer_of_[search_.layers[l].parameter] = l;
  }
  whole_ = cost_on_first_way();
}

double UnitShares::cost_on_first_way() const {
  double sum = 0;
  for (const SearchedLayer& layer : search_.layers) {
    std::size_t way = 0;
    while (!can(layer, way)) ++way;
    std::vector<double> cycles(unit_count(search_));
    cycles[static_cast<std::size_t>(layer.units[way])] = layer.cycles[way].back();
    sum += priced(search_, cycles);
  }
  return sum;
}

at::Tensor UnitShares::shares(std::size_t layer) const {
  return at::softmax((numbers_[layer] + cannot_[layer]) / temperature_, 0);
}

at::Tensor UnitShares::cycles(std::size_t l) const {
  const SearchedLayer& layer = search_.layers[l];
  const at::Tensor channels = shares(l).sum(1);
  std::vector<at::Tensor> units(unit_count(search_), at::zeros({}));
  for (std::size_t w = 0; w < layer.ways.size(); ++w) {
    if (!can(layer, w)) continue;
    at::Tensor& unit = units[static_cast<std::size_t>(layer.units[w])];
    unit = unit + climbed(layer.cycles[w], channels[static_cast<std::int64_t>(w)]);
  }
  return at::stack(units);
}

at::Tensor UnitShares::cost() const {
  at::Tensor sum = at::zeros({});
  for (std::size_t l = 0; l < search_.layers.size(); ++l) {
    const at::Tensor units = cycles(l), values = units.detach().to(at::kDouble).contiguous();
    const std::vector<double> prices =
        search_.prices({values.data_ptr<double>(), static_cast<std::size_t>(values.numel())});
    for (std::size_t u = 0; u < prices.size(); ++u)
      sum = sum + units[static_cast<std::int64_t>(u)] * prices[u];
  }
  return sum * (search_.strength / whole_);
}

at::Tensor UnitShares::seen(const std::string& parameter, const at::Tensor& weights) const {
  const auto at = layer_of_.find(parameter);
  if (at == layer_of_.end()) return weights;
  const SearchedLayer& layer = search_.layers[at->second];
  const at::Tensor all = shares(at->second);
  std::vector<std::int64_t> broadcast(static_cast<std::size_t>(weights.dim()), 1);
  (layer.outputs_last ? broadcast.back() : broadcast.front()) = static_cast<std::int64_t>(layer.channels());
  at::Tensor sum = weights - weights.detach();
  for (std::size_t w = 0; w < layer.ways.size(); ++w) {
    if (!can(layer, w)) continue;
    const KeptWeights how{layer.ways, std::vector<int>(layer.channels(), static_cast<int>(w)),
                          layer.outputs_last};
    sum = sum +
          rounded(weights, how) * all[static_cast<std::int64_t>(w)].to(weights.scalar_type()).view(broadcast);
  }
  return sum;
}

void UnitShares::step() {
  rule_.step(search_.rate);
  for (at::Tensor& numbers : numbers_) numbers.mutable_grad() = at::Tensor();
}

void UnitShares::set_epoch(std::int64_t epoch) {
  temperature_ = std::exp(-search_.cooling * static_cast<double>(epoch));
}

Keepings UnitShares::decided() const {
  Keepings keepings;
  for (std::size_t l = 0; l < search_.layers.size(); ++l) {
    const SearchedLayer& layer = search_.layers[l];
    const at::Tensor best = at::argmax(numbers_[l].detach() + cannot_[l], 0).contiguous();
    const std::int64_t* ways = best.data_ptr<std::int64_t>();
    keepings[layer.parameter] = {layer.ways, std::vector<int>(ways, ways + best.numel()), layer.outputs_last};
  }
  return keepings;
}

std::vector<std::pair<std::string, at::Tensor>> UnitShares::tensors() {
  std::vector<std::pair<std::string, at::Tensor>> list;
  for (std::size_t l = 0; l < numbers_.size(); ++l)
    list.emplace_back("shares " + search_.layers[l].parameter, numbers_[l]);
  for (std::size_t m = 0; m < rule_.moments().size(); ++m)
    list.emplace_back("shares' moment " + std::to_string(m), rule_.moments()[m]);
  return list;
}

}  // namespace tailor::learn

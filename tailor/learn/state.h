/// \file What a Network holds, for the files that compute with it. Private to the module.
#pragma once

#include "tailor/learn/network.h"
#include "tailor/learn/program.h"

#include <map>

namespace tailor::learn {

class UnitShares;
using Feeds = std::map<std::string, at::Tensor>;

struct Network::State {
  graph::Model model;  // never changes: programs point to its nodes
  std::vector<Parameter> parameters;
  std::map<std::string, at::Tensor>
      tensors;                         // of the parameters; those that are no statistics require a gradient
  Keepings keepings;                   // of some of them
  RoundedActivations rounded;          // values that runs see so
  const UnitShares* shares = nullptr;  // where units are searched for
  at::ScalarType real = at::kFloat;
  std::map<std::string, Program> programs;  // by shapes of the inputs and names of the values wanted

  /// The values named, for these inputs; with gradients unless switched off by the caller.
  std::vector<at::Tensor> forward(const Feeds& feeds, const std::vector<std::string>& wanted, Mode mode);
  std::vector<at::Tensor> forward(const Feeds& feeds, const std::vector<std::string>& wanted,
                                  const Setting& setting);
  const Program& program_for(const Feeds& feeds, const std::vector<std::string>& wanted);
  /// A parameter as a run sees it.
  at::Tensor seen(const std::string& name) const;
  /// Tensors that have a gradient, in the order of the parameters.
  std::vector<at::Tensor> learned() const;
  void forget_gradients();
};

/// As they are kept, without a gradient; and with that of the weights.
at::Tensor rounded(const at::Tensor& weights, const KeptWeights& how);
at::Tensor straight_through(const at::Tensor& weights, const KeptWeights& how);

}  // namespace tailor::learn

/// \file Residual branches that can be dropped as a whole.
#pragma once

#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"

#include <optional>
#include <string>
#include <vector>

namespace tailor::rewrite {

/// Nodes that only the sum reads (directly or through each other), ending in one operand of an Add or Sum of
/// two.
struct Branch {
  int sum = 0;             // node
  std::string operand;     // value of the branch's end
  std::string kept;        // the other operand
  std::vector<int> nodes;  // of the branch, increasing
  std::string name;        // output of the sum: how plans name the branch
};

/// One branch per sum at most: of the operands that qualify (a Conv, Gemm or MatMul among the nodes, the
/// other operand of the same shape) the one with more nodes. In the order of their sums.
std::vector<Branch> residual_branches(const graph::Model& model, const graph::Shapes& shapes);

/// Which operand of its sum the branch is, 0 or 1. It stays that while other branches of the model are dropped or folded; the
/// one with more nodes may then be the other.
int side_of(const graph::Model& model, const Branch& branch);

/// The branch that is that operand of the sum which gives `name`; nothing if there is no such sum, or if the operand does not
/// qualify.
std::optional<Branch> branch_at(const graph::Model& model, const graph::Shapes& shapes,
                                const std::string& name, int side);

/// The sum is replaced by its other operand; a Relu of a value that cannot be negative goes too; dead nodes
/// are removed. The values of all other nodes keep their names.
graph::Model drop_branch(const graph::Model& model, const Branch& branch);

/// True if the value cannot be negative whatever the input (Relu, Sigmoid, Clip from 0, and what keeps signs
/// behind them).
bool non_negative(const graph::Model& model, const graph::Uses& uses, const std::string& value);

}  // namespace tailor::rewrite

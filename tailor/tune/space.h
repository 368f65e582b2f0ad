/// \file A configuration space: typed parameters and the conditions between them. It is never listed as a whole; see
/// diagram.h for how it is counted, indexed and sampled.
#pragma once

#include "tailor/base/random.h"
#include "tailor/tune/diagram.h"
#include "tailor/tune/expression.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tailor::tune {

/// A parameter and its values: all numbers, in ascending order, or all strings, which have no order.
struct Parameter {
  std::string name;
  std::vector<Value> values;
  bool ordered() const { return values.empty() || !std::holds_alternative<std::string>(values.front()); }
};

class Space {
 public:
  Space() = default;
  /// @param conditions as Expression reads them
  /// @throws Error bad_space: no parameter, more than 64, one without values or with more than 4096, a name or a value
  /// twice, strings among numbers; a condition that is not understood; no configuration left; as Diagram::of_rules
  Space(std::vector<Parameter> parameters, const std::vector<std::string>& conditions);
  /// The space that holds exactly these configurations: for measured tables, whose conditions nobody wrote down.
  /// @throws Error bad_space as above
  static Space of_list(std::vector<Parameter> parameters, std::vector<Configuration> allowed);

  const std::vector<Parameter>& parameters() const { return parameters_; }
  const std::vector<std::string>& conditions() const { return conditions_; }
  /// How many configurations there are; at least one.
  std::uint64_t count() const { return diagram_.count(); }
  Configuration at(std::uint64_t index) const { return diagram_.at(index); }
  std::optional<std::uint64_t> index_of(const Configuration& configuration) const {
    return diagram_.index_of(configuration);
  }
  bool allows(const Configuration& configuration) const { return index_of(configuration).has_value(); }

  /// Every configuration with the same probability.
  Configuration sample(Random& random) const;
  /// All allowed configurations that differ in one parameter. O(sum of values x parameters)
  std::vector<Configuration> neighbours(const Configuration& configuration) const;
  /// A configuration that takes each value from one of the parents, or, with probability `rate` and where neither
  /// parent's value is possible any more, from anywhere. Always allowed.
  Configuration cross(const Configuration& a, const Configuration& b, double rate, Random& random) const;

  /// Coordinates for models: numbers on 0..1, logarithmic where they are positive and span more than a factor of four;
  /// behind whole numbers such as 16, 32, 48, 64, which are not in the order of how often 2 divides them, that count on
  /// 0..1, because warps, vectors and banks are powers of two; strings one column per value, 0 or 0.7, so that two of them are
  /// 1 apart.
  std::vector<double> encode(const Configuration& configuration) const;
  /// "MWG=64 NWG=128"
  std::string text(const Configuration& configuration) const;
  /// The place of `value` in the list of a parameter; nothing if it is not there.
  std::optional<int> find(std::size_t parameter, const Value& value) const;

 private:
  void place_on_scales();
  std::vector<Parameter> parameters_;
  std::vector<std::string> conditions_;
  std::vector<std::vector<double>> scale_;  // per parameter and value: the coordinate; empty for strings
  std::vector<std::vector<double>> twos_;   // per parameter and value: the one of powers of two; mostly empty
  Diagram diagram_;
};

}  // namespace tailor::tune

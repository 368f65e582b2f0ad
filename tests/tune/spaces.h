/// \file Small random spaces and what is true of them by going through every combination. For tests.
#pragma once

#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tailor/tune/space.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace tailor::testing {

/// The code that `act` throws; fails the test if it throws none.
inline Code code_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return Code::bug;
}

inline std::vector<tune::Value> whole(const std::vector<std::int64_t>& numbers) {
  return {numbers.begin(), numbers.end()};
}

/// Two to five parameters of one to five small numbers, and up to three conditions on two of them.
struct RandomSpace {
  std::vector<tune::Parameter> parameters;
  std::vector<std::string> conditions;
};
inline RandomSpace random_space(Random& random) {
  RandomSpace made;
  const std::size_t count = 2 + random.below(4);
  for (std::size_t p = 0; p < count; ++p) {
    std::vector<std::int64_t> values;
    std::int64_t value = static_cast<std::int64_t>(random.below(3));
    for (std::size_t v = 0; v < 1 + random.below(5); ++v)
      values.push_back(value), value += 1 + static_cast<std::int64_t>(random.below(4));
    made.parameters.push_back({fmt::format("p{}", p), whole(values)});
  }
  const std::vector<std::string> forms = {"{0} * {1} <= 12", "({0} + {1}) % 2 == 0", "{0} != {1}",
                                          "{0} % {1} == 0", "{0} < 3 or {1} > 2"};
  for (std::size_t c = 0; c < random.below(4); ++c) {
    const std::string a = fmt::format("p{}", random.below(count)),
                      b = fmt::format("p{}", random.below(count));
    made.conditions.push_back(fmt::format(fmt::runtime(forms[random.below(forms.size())]), a, b));
  }
  return made;
}

/// Every combination that meets every condition, in lexicographic order.
inline std::vector<tune::Configuration> by_enumeration(const RandomSpace& space) {
  std::vector<std::string> names;
  for (const auto& parameter : space.parameters) names.push_back(parameter.name);
  std::vector<tune::Expression> expressions;
  for (const auto& condition : space.conditions) expressions.emplace_back(condition, names);
  std::vector<tune::Configuration> all;
  tune::Configuration at(names.size(), 0);
  for (;;) {
    std::vector<const tune::Value*> values;
    for (std::size_t p = 0; p < at.size(); ++p)
      values.push_back(&space.parameters[p].values[static_cast<std::size_t>(at[p])]);
    bool holds = true;
    for (const auto& expression : expressions) holds = holds && expression.holds(values);
    if (holds) all.push_back(at);
    std::size_t p = at.size();
    while (p > 0 && ++at[p - 1] == static_cast<int>(space.parameters[p - 1].values.size())) at[--p] = 0;
    if (p == 0) return all;
  }
}

}  // namespace tailor::testing

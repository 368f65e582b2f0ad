// Checks, then the diagram; moves are walks down the diagram, so that none can leave the space.
#include "tailor/tune/space.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <set>

namespace tailor::tune {
namespace {

constexpr std::size_t kMostParameters = 64, kMostValues = 4096;
constexpr double kApart = 0.7071067811865476;

[[noreturn]] void fail(const std::string& what, const std::string& place = "configuration space") {
  throw Error(Code::bad_space, what, place);
}

void check(const Parameter& parameter) {
  const auto& values = parameter.values;
  const std::string place = "parameter " + parameter.name;
  if (parameter.name.empty()) fail("a parameter has no name");
  if (values.empty()) fail("no values", place);
  if (values.size() > kMostValues) fail(fmt::format("more than {} values", kMostValues), place);
  std::set<std::string> seen;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::holds_alternative<std::string>(values[i]) == parameter.ordered())
      fail("strings among numbers", place);
    if (!seen.insert(to_string(values[i])).second) fail(fmt::format("{} twice", to_string(values[i])), place);
    if (parameter.ordered() && !std::isfinite(number_of(values[i]))) fail("a value is not finite", place);
    if (parameter.ordered() && i > 0 && !(number_of(values[i - 1]) < number_of(values[i])))
      fail("numbers must ascend", place);
  }
}

void check(const std::vector<Parameter>& parameters) {
  if (parameters.empty()) fail("no parameters");
  if (parameters.size() > kMostParameters) fail(fmt::format("more than {} parameters", kMostParameters));
  std::set<std::string> names;
  for (const Parameter& parameter : parameters) {
    check(parameter);
    if (!names.insert(parameter.name).second) fail("a parameter of that name exists", parameter.name);
  }
}

std::vector<int> sizes_of(const std::vector<Parameter>& parameters) {
  std::vector<int> sizes;
  for (const Parameter& parameter : parameters) sizes.push_back(static_cast<int>(parameter.values.size()));
  return sizes;
}

std::vector<double> coordinates(const Parameter& parameter) {
  if (!parameter.ordered()) return {};
  const double low = number_of(parameter.values.front()), high = number_of(parameter.values.back());
  const bool logarithmic = low > 0 && high > 4 * low;
  auto f = [&](double x) { return logarithmic ? std::log(x) : x; };
  std::vector<double> result;
  for (const Value& value : parameter.values)
    result.push_back(high > low ? (f(number_of(value)) - f(low)) / (f(high) - f(low)) : 0);
  return result;
}

// How often 2 divides each value, on 0..1. Empty where that says nothing that the values' order does not say, and where
// they are no whole numbers above 0.
std::vector<double> twos(const Parameter& parameter) {
  std::vector<double> counts;
  for (const Value& value : parameter.values) {
    const std::int64_t* whole = std::get_if<std::int64_t>(&value);
    if (!whole || *whole < 1) return {};
    counts.push_back(std::countr_zero(static_cast<std::uint64_t>(*whole)));
  }
  if (std::is_sorted(counts.begin(), counts.end())) return {};
  const auto [low, high] = std::minmax_element(counts.begin(), counts.end());
  const double least = *low, span = *high - *low;
  for (double& count : counts) count = (count - least) / span;
  return counts;
}

// A condition over the places of values: expressions see the values themselves.
Rule rule_of(const std::string& condition, const std::vector<Parameter>& parameters,
             const std::vector<std::string>& names) {
  auto expression = std::make_shared<const Expression>(condition, names);
  if (expression->reads().empty()) fail("a condition reads no parameter", condition);
  return {expression->reads(), [expression, &parameters](const Configuration& configuration) {
            std::vector<const Value*> values(parameters.size(), nullptr);
            for (int p : expression->reads()) {
              const auto at = static_cast<std::size_t>(p);
              values[at] = &parameters[at].values[static_cast<std::size_t>(configuration[at])];
            }
            return expression->holds(values);
          }};
}

}  // namespace

Space::Space(std::vector<Parameter> parameters, const std::vector<std::string>& conditions)
    : parameters_(std::move(parameters)), conditions_(conditions) {
  check(parameters_);
  place_on_scales();
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters_) names.push_back(parameter.name);
  std::vector<Rule> rules;
  for (const std::string& condition : conditions_) rules.push_back(rule_of(condition, parameters_, names));
  diagram_ = Diagram::of_rules(sizes_of(parameters_), rules);
  if (diagram_.count() == 0) fail("no configuration meets all conditions");
}

void Space::place_on_scales() {
  for (const Parameter& parameter : parameters_)
    scale_.push_back(coordinates(parameter)), twos_.push_back(twos(parameter));
}

Space Space::of_list(std::vector<Parameter> parameters, std::vector<Configuration> allowed) {
  Space space;
  space.parameters_ = std::move(parameters);
  check(space.parameters_);
  space.place_on_scales();
  const std::vector<int> sizes = sizes_of(space.parameters_);
  for (const Configuration& configuration : allowed) {
    TAILOR_CHECK(configuration.size() == sizes.size());
    for (std::size_t p = 0; p < sizes.size(); ++p)
      TAILOR_CHECK(configuration[p] >= 0 && configuration[p] < sizes[p]);
  }
  space.diagram_ = Diagram::of_list(sizes, std::move(allowed));
  if (space.count() == 0) fail("no configuration");
  return space;
}

Configuration Space::sample(Random& random) const {
  // next() % count is even enough: counts stay below 2^62, but a bias of up to a quarter would be felt near that.
  const std::uint64_t limit = ~std::uint64_t{0} / count() * count();
  std::uint64_t draw = random.next();
  while (draw >= limit) draw = random.next();
  return diagram_.at(draw % count());
}

std::vector<Configuration> Space::neighbours(const Configuration& configuration) const {
  std::vector<Configuration> found;
  Configuration other = configuration;
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    for (int value = 0; value < static_cast<int>(parameters_[p].values.size()); ++value) {
      if (value == configuration[p]) continue;
      other[p] = value;
      if (allows(other)) found.push_back(other);
    }
    other[p] = configuration[p];
  }
  return found;
}

Configuration Space::cross(const Configuration& a, const Configuration& b, double rate,
                           Random& random) const {
  return diagram_.walk([&](int level, const std::vector<int>& values) {
    const auto at = static_cast<std::size_t>(level);
    const bool swapped = random.below(2) == 1, free = random.uniform() < rate;
    auto possible = [&](int value) { return std::binary_search(values.begin(), values.end(), value); };
    if (!free)
      for (int value : {swapped ? b[at] : a[at], swapped ? a[at] : b[at]})
        if (possible(value)) return value;
    return values[random.below(values.size())];
  });
}

std::vector<double> Space::encode(const Configuration& configuration) const {
  std::vector<double> x;
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const auto value = static_cast<std::size_t>(configuration[p]);
    if (parameters_[p].ordered()) {
      x.push_back(scale_[p][value]);
      if (!twos_[p].empty()) x.push_back(twos_[p][value]);
      continue;
    }
    for (std::size_t v = 0; v < parameters_[p].values.size(); ++v) x.push_back(v == value ? kApart : 0);
  }
  return x;
}

std::string Space::text(const Configuration& configuration) const {
  std::string text;
  for (std::size_t p = 0; p < parameters_.size(); ++p)
    text += fmt::format("{}{}={}", p > 0 ? " " : "", parameters_[p].name,
                        to_string(parameters_[p].values[static_cast<std::size_t>(configuration[p])]));
  return text;
}

std::optional<int> Space::find(std::size_t parameter, const Value& value) const {
  const auto& values = parameters_[parameter].values;
  for (std::size_t v = 0; v < values.size(); ++v) {
    const bool text = std::holds_alternative<std::string>(value);
    const bool same = text || !parameters_[parameter].ordered() ? values[v] == value
                                                                : number_of(values[v]) == number_of(value);
    if (same) return static_cast<int>(v);
  }
  return std::nullopt;
}

}  // namespace tailor::tune

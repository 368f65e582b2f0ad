#include "tailor/tune/replay.h"

#include "tailor/base/error.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace tailor::tune {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool is_text(const Value& value) { return std::holds_alternative<std::string>(value); }

// Numbers by size, then strings by text; whole and real numbers of equal size are the same.
bool before(const Value& a, const Value& b) {
  if (is_text(a) || is_text(b))
    return is_text(a) && is_text(b) ? std::get<std::string>(a) < std::get<std::string>(b) : is_text(b);
  return number_of(a) < number_of(b);
}

std::vector<Parameter> parameters_of(const std::vector<std::string>& names,
                                     const std::vector<MeasuredRow>& rows) {
  std::vector<Parameter> parameters;
  for (std::size_t p = 0; p < names.size(); ++p) {
    Parameter parameter{names[p], {}};
    for (const MeasuredRow& row : rows) parameter.values.push_back(row.values[p]);
    std::sort(parameter.values.begin(), parameter.values.end(), before);
    auto same = [](const Value& a, const Value& b) { return !before(a, b) && !before(b, a); };
    parameter.values.erase(std::unique(parameter.values.begin(), parameter.values.end(), same),
                           parameter.values.end());
    parameters.push_back(std::move(parameter));
  }
  return parameters;
}

Configuration place_of(const std::vector<Parameter>& parameters, const MeasuredRow& row) {
  Configuration configuration;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const auto& values = parameters[p].values;
    auto at = std::lower_bound(values.begin(), values.end(), row.values[p], before);
    configuration.push_back(static_cast<int>(at - values.begin()));
  }
  return configuration;
}

bool better(const Trial& a, const Trial& b) {
  return std::pair(a.outcome != Outcome::ok, a.us) < std::pair(b.outcome != Outcome::ok, b.us);
}

}  // namespace

double MeasuredSpace::best_us() const {
  double best = kInfinity;
  for (const Trial& trial : trials)
    if (trial.outcome == Outcome::ok) best = std::min(best, trial.us);
  return best;
}

MeasuredSpace make_measured_space(const std::vector<std::string>& names,
                                  const std::vector<MeasuredRow>& rows) {
  if (rows.empty()) throw Error(Code::bad_space, "no measured configuration", "configuration space");
  for (const MeasuredRow& row : rows) TAILOR_CHECK(row.values.size() == names.size());
  const std::vector<Parameter> parameters = parameters_of(names, rows);
  std::vector<Configuration> configurations;
  for (const MeasuredRow& row : rows) configurations.push_back(place_of(parameters, row));
  MeasuredSpace measured{Space::of_list(parameters, configurations), {}};
  measured.trials.resize(measured.space.count());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    Trial& known = measured.trials[*measured.space.index_of(configurations[i])];
    Trial trial{configurations[i], rows[i].outcome, rows[i].us};
    if (known.configuration.empty() || better(trial, known)) known = std::move(trial);
  }
  return measured;
}

MeasuredSpace make_measured_space(const RecordGroup& group) {
  std::vector<std::string> names;
  std::vector<MeasuredRow> rows;
  for (const Record& record : group.records) {
    if (record.configuration.size() <= names.size()) continue;
    names.clear();
    for (const auto& [name, value] : record.configuration) names.push_back(name);
  }
  for (const Record& record : group.records) {
    MeasuredRow row{{}, record.outcome, record.outcome == Outcome::ok ? record.time_us() : 0};
    for (std::size_t p = 0; p < record.configuration.size() && p < names.size(); ++p)
      if (record.configuration[p].first == names[p]) row.values.push_back(record.configuration[p].second);
    if (row.values.size() == names.size() && record.configuration.size() == names.size())
      rows.push_back(std::move(row));
  }
  return make_measured_space(names, rows);
}

std::vector<Trial> translate(const MeasuredSpace& from, const Space& space) {
  const auto &theirs = from.space.parameters(), &ours = space.parameters();
  auto place = [](const std::vector<Parameter>& list, const std::string& name) -> std::optional<std::size_t> {
    auto it = std::find_if(list.begin(), list.end(), [&](const Parameter& p) { return p.name == name; });
    return it == list.end() ? std::nullopt : std::optional(static_cast<std::size_t>(it - list.begin()));
  };
  for (const Parameter& parameter : theirs)
    if (!place(ours, parameter.name) && parameter.values.size() > 1) return {};
  std::vector<Trial> translated;
  for (const Trial& trial : from.trials) {
    Configuration configuration;
    for (std::size_t p = 0; p < ours.size(); ++p) {
      std::optional<std::size_t> at = place(theirs, ours[p].name);
      std::optional<int> value;
      if (!at && ours[p].values.size() == 1) value = 0;
      if (at) value = space.find(p, theirs[*at].values[static_cast<std::size_t>(trial.configuration[*at])]);
      if (value) configuration.push_back(*value);
    }
    if (space.allows(configuration)) translated.push_back({configuration, trial.outcome, trial.us});
  }
  return translated;
}

std::vector<double> replay(Searcher& searcher, const MeasuredSpace& measured, int trials) {
  std::vector<double> curve;
  double best = kInfinity;
  for (int i = 0; i < trials; ++i) {
    std::optional<Configuration> configuration = searcher.ask();
    if (!configuration) break;
    const Trial& trial = measured.trial(*configuration);
    if (trial.outcome == Outcome::ok) best = std::min(best, trial.us);
    searcher.tell(trial);
    curve.push_back(best);
  }
  return curve;
}

int first_within(const std::vector<double>& curve, double us) {
  for (std::size_t i = 0; i < curve.size(); ++i)
    if (curve[i] <= us) return static_cast<int>(i) + 1;
  return 0;
}

}  // namespace tailor::tune

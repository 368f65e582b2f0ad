/// \file Searchers tried out on what is already measured: nothing runs, so a hundred seeds take seconds.
#pragma once

#include "tailor/tune/records.h"
#include "tailor/tune/searcher.h"
#include "tailor/tune/space.h"
#include "tailor/tune/trial.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tailor::tune {

/// A space of which every configuration was tried.
struct MeasuredSpace {
  Space space;
  std::vector<Trial> trials;  // trials[i] is of space.at(i)

  const Trial& trial(const Configuration& configuration) const {
    return trials[*space.index_of(configuration)];
  }
  /// The least time; infinite if nothing succeeded.
  double best_us() const;
};

/// Rows of a table: one value per name, and what became of it. Values of a parameter are those that occur; a row
/// given twice counts once, the faster one. @throws Error bad_space
struct MeasuredRow {
  std::vector<Value> values;
  Outcome outcome = Outcome::ok;
  double us = 0;
};
MeasuredSpace make_measured_space(const std::vector<std::string>& names,
                                  const std::vector<MeasuredRow>& rows);
/// The records of one key; the time of a configuration is its least sample. Records that have other
/// parameters than the first of those with most (a library's) are passed over. @throws Error bad_space if there are none
MeasuredSpace make_measured_space(const RecordGroup& group);

/// The trials of `from` as trials of `space`, by names and values of parameters; what is not in it is left out. A
/// parameter that one of the two lacks must have one value only, else nothing is left.
std::vector<Trial> translate(const MeasuredSpace& from, const Space& space);

/// The least time known after each trial, infinite before the first success. Ends early when nothing is left.
std::vector<double> replay(Searcher& searcher, const MeasuredSpace& measured, int trials);
/// Number of the first trial after which a curve is at or below `us`; 0 if it never is.
int first_within(const std::vector<double>& curve, double us);

}  // namespace tailor::tune

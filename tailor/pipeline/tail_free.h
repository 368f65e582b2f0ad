/// \file Widths that somebody else chose, made to fit the hardware: to the edges of their steps, at no more loss.
///
/// Pruners and searches that count arithmetic end up just past the edge of a step of the staircase, or in the middle of
/// one. So each width may move down to the next edge below or up to one above (where more channels cost no time), and
/// the exact planner takes the fastest combination that loses no more than the given widths do (Yu et al.,
/// arXiv:2011.03897, on top of another method's widths).
#pragma once

#include "tailor/pipeline/rounds.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// Group of the original -> width.
using GivenWidths = std::map<int, int>;

/// All names under which a group can be meant: its own, those of the layers that make it, and of what these give.
std::map<std::string, int> names_of_groups(const Subject& subject);

/// Reads a plan of tailor (tailor/plan/1), or an object {"widths": {"layer": 11, ...}} whose names are those of channel
/// groups, of layers that make them, or of what these give. Groups that are not named keep their width.
/// @throws Error file_missing, bad_json; bad_cut for a name that the model has not, a width that the group has not, a
/// group that cannot change, or two widths for one group
GivenWidths read_widths(const std::filesystem::path& path, const Subject& original);

/// The widths to consider around a given one of a group of `full`: the given one, the multiples of 4, 8 and 16 next to
/// it on both sides, and the full one. Increasing. @pre 1 <= given <= full
std::vector<int> widths_near(int given, int full);

struct TailFree {
  Searched found;
  double given_ratio = 1, given_loss = 0;  // the given widths, repaired alike
  int moved_down = 0, moved_up = 0;        // groups
  plan::Certificate certificate;
  int candidates = 0;
  bool better = false;  // faster than the given widths; else `found` is these
};

/// The fastest widths near the given ones that lose no more than these, by the table; carried out, and measured beside
/// the given ones. Of the options: the table's criterion and ridge, repair, threads, timing_rounds, yardstick, say.
/// @throws Error as carry_out
TailFree make_tail_free(runtime::Runner& runner, const Subject& original, const Calibration& calibration,
                        LatencyBook& book, const GivenWidths& given, const RoundOptions& options);

}  // namespace tailor::pipeline

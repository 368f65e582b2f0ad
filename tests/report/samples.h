/// \file One document of each kind that has a page, made without a runtime: values by hand, or modelled.
#pragma once

#include "tailor/base/json.h"

#include <string>
#include <vector>

namespace tailor::testing {

/// Names that try to leave their place: end of script, quotes, markup, 10,000 characters, another direction.
const std::vector<std::string>& hostile_names();

/// Of `layers` layers; their names come from `names`, over and over, or are plain where it is empty.
Json analysis_document(int layers, const std::vector<std::string>& names = {});
/// A small model on a described GPU, with the staircase of one layer.
Json device_document();
/// Of `layers` launches on a GPU that is there, each with a sweep of its own; two operators were left out.
Json gpu_document(int layers, const std::vector<std::string>& names = {});
Json bench_document();
Json verify_document();
Json optimize_document();
/// Widths that were given, on two described devices; the goal is missed, and --free was asked for.
Json devices_document();
Json map_document();
/// Precisions that take turns, over drawn times. @param met whether the goal was
Json turns_document(bool met = true);
Json plan_document();
/// Three operators at three shares; one time is not measured.
Json tune_document();
Json interference_document();

/// Of a network whose second group has `filters` filters, with pictures of `side` pixels; one filter is silent, one
/// layer belongs to no group.
Json patterns_document(int filters = 12, int side = 8);

/// All of the above.
std::vector<Json> all_documents();

}  // namespace tailor::testing

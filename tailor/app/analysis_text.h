/// \file What the two halves of `analyze`, measured and modelled, say in the same words. Private.
#pragma once

#include "tailor/base/table.h"
#include "tailor/pipeline/analyze.h"
#include "tailor/pipeline/base_comparison.h"
#include "tailor/pipeline/free_channels.h"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace tailor::app {

/// Columns of the bars that picture the time of layers.
inline constexpr std::size_t kBar = 6;

/// "16 (-21 us, -19 %)", "-" for none. @param decimals of the microseconds
std::string step_text(const std::optional<pipeline::WidthStep>& step, int decimals);

/// A layer as a row of a table.
struct LayerRow {
  double recoverable_us = 0, us = 0;
  std::vector<std::string> cells;
  std::string note;  // below the row
};
/// The layers by what could be recovered, then by time, both falling: `most` rows with their notes. @pre most <= rows
std::string ranked_table(Table table, std::vector<LayerRow> rows, std::size_t most, std::size_t width);

/// "/stem/Conv 18 -> 16, ..." for the groups past an edge, eight at most; "" if there are none.
std::string edges_text(const std::vector<pipeline::GroupSweep>& sweeps);

/// A table's lines, each row with its note below it, set in and wrapped; "": none. @param notes one per row
std::string with_notes(std::string_view table, const std::vector<std::string>& notes, std::size_t width);

/// Which channels cost nothing on a device, as a table under a line on all of them together.
std::string free_text(const pipeline::FreeChannels& free, std::size_t width);

/// What a network that was made smaller got for it: a line on the whole, a table of at most `rows` layers that did
/// not get their due.
std::string base_text(const pipeline::BaseComparison& base, std::size_t rows, std::size_t width);

/// A picture of a share in characters: "####  " of `most` that fill `columns`; anything above 0 shows.
std::string bar_text(double value, double most, std::size_t columns);

/// "64 > 128", "96 dw"
std::string width_text(const latency::Workload& workload);

}  // namespace tailor::app

/// \file Reads the measured tuning spaces of the autotuning benchmark hub as the test data hold them: one line per
/// configuration that ran, parameters first, then grid and block, then times. For tests and tables; the program does
/// not use them.
#pragma once

#include "bench/neusight.h"
#include "tailor/tune/kernel_tuner.h"
#include "tailor/tune/replay.h"

#include <filesystem>
#include <string>
#include <vector>

namespace tailor::benchmark_hub {

/// "conv_A100" -> the whole measured space; time_ms is the mean of 32 runs.
inline tune::MeasuredSpace read(const std::filesystem::path& data, const std::string& name) {
  const std::vector<std::string> lines =
      neusight::lines_of(data / "gpu" / "benchmark_hub" / (name + ".csv.xz"));
  std::vector<std::string> names;
  std::size_t time = 0;
  const std::vector<std::string> titles = neusight::cells_of(lines.empty() ? "" : lines.front());
  for (std::size_t i = 0; i < titles.size(); ++i) {
    if (titles[i] == "grid_x") names.assign(titles.begin(), titles.begin() + static_cast<std::ptrdiff_t>(i));
    if (titles[i] == "time_ms") time = i;
  }
  std::vector<tune::MeasuredRow> rows;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> cells = neusight::cells_of(lines[i]);
    if (cells.size() != titles.size()) continue;
    tune::MeasuredRow row;
    for (std::size_t p = 0; p < names.size(); ++p)
      row.values.push_back(tune::parse_values("[" + cells[p] + "]").at(0));
    row.us = 1e3 * std::atof(cells[time].c_str());
    rows.push_back(std::move(row));
  }
  return tune::make_measured_space(names, rows);
}

/// A table and the one of another device whose records help with it.
struct Table {
  const char *name, *neighbour;
};
inline const std::vector<Table>& tables() {
  static const std::vector<Table> list = {
      {"conv_A100", "conv_A6000"},           {"conv_A4000", "conv_A6000"},
      {"conv_A6000", "conv_A4000"},          {"conv_MI250X", "conv_W7800"},
      {"conv_W7800", "conv_MI250X"},         {"gemm_RTX_2080_Ti", "gemm_RTX_Titan"},
      {"gemm_RTX_3090", "gemm_RTX_2080_Ti"}, {"gemm_RTX_Titan", "gemm_RTX_2080_Ti"}};
  return list;
}

}  // namespace tailor::benchmark_hub

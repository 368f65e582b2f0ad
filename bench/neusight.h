/// \file Reads the kernel timings published with NeuSight (arXiv:2407.13853): f32 products on five GPUs, each with the
/// name of its kernel, which holds the tile, and its grid. For tests and fits; the program does not use them.
#pragma once

#include "tailor/latency/wave_fit.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tailor::neusight {

/// All lines of an xz file, by the system's xz; empty if there is none.
inline std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::vector<std::string> lines;
  const std::string command = "xz -dc '" + path.string() + "' 2>/dev/null";
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::array<char, 1 << 16> buffer;
  std::string line;
  while (pipe && std::fgets(buffer.data(), buffer.size(), pipe.get())) {
    line += buffer.data();
    if (line.back() != '\n') continue;
    line.pop_back();
    lines.push_back(std::move(line));
    line.clear();
  }
  return lines;
}

/// Cells of a line; quotes keep commas together.
inline std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (char c : line) {
    if (c == '"')
      quoted = !quoted;
    else if (c == ',' && !quoted)
      cells.emplace_back();
    else if (c != '\r')
      cells.back() += c;
  }
  return cells;
}

/// "ampere_sgemm_128x64_tn" -> 128x64.
inline std::optional<latency::Tile> tile_of(const std::string& kernel) {
  const std::size_t at = kernel.find("_sgemm_");
  latency::Tile tile;
  if (at == std::string::npos || std::sscanf(kernel.c_str() + at, "_sgemm_%dx%d", &tile.m, &tile.n) != 2)
    return std::nullopt;
  return tile;
}

/// Launches of one file, by kernel. Columns of shapes: B, M, N (reduction), K (output width); in the linear files the
/// grid's z is the split of the reduction, in the bmm files the batch.
inline std::map<std::string, std::vector<latency::KernelTiming>> read(const std::filesystem::path& path) {
  const std::vector<std::string> lines = lines_of(path);
  std::map<std::string, std::vector<latency::KernelTiming>> timings;
  if (lines.empty()) return timings;
  std::map<std::string, std::size_t> column;
  const std::vector<std::string> titles = cells_of(lines.front());
  for (std::size_t i = 0; i < titles.size(); ++i) column[titles[i]] = i;
  const bool linear = path.filename().string().find("linear") != std::string::npos;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> cells = cells_of(lines[i]);
    if (cells.size() != titles.size()) continue;
    auto number = [&](const char* name) { return std::atoll(cells[column.at(name)].c_str()); };
    const std::string kernel = cells[column.at("Kernel Name")];
    const std::optional<latency::Tile> tile = tile_of(kernel);
    if (!tile) continue;
    const std::int64_t b = number("B"), m = number("M"), n = number("N"), k = number("K");
    const std::int64_t split = linear ? number("Grid z") : 1;
    timings[kernel].push_back({*tile, number("Grid x") * number("Grid y") * number("Grid z"),
                               (n + split - 1) / split, 4 * b * (m * n + n * k + m * k),
                               1e3 * std::atof(cells[column.at("Latency")].c_str())});
  }
  return timings;
}

/// Where the data lie: $TAILOR_SHARED_DATA, as the tests'.
inline std::filesystem::path file(const std::filesystem::path& data, const std::string& op,
                                  const std::string& gpu) {
  return data / "gpu" / "neusight" / ("train_" + op + "__" + gpu + ".csv.xz");
}

/// Our names of the GPUs and theirs.
inline const std::vector<std::pair<std::string, std::string>>& gpus() {
  static const std::vector<std::pair<std::string, std::string>> list = {{"p4", "Tesla_P4"},
                                                                        {"p100", "Tesla_P100-PCIE-16GB"},
                                                                        {"v100", "Tesla_V100-PCIE-32GB"},
                                                                        {"t4", "Tesla_T4"},
                                                                        {"a100", "NVIDIA_A100-PCIE-40GB"}};
  return list;
}

}  // namespace tailor::neusight

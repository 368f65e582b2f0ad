/// \file Aligned text tables for terminals and logs.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tailor {

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
  bool shortens = false;  // cells may lose their middle where the table is too wide
};

/// Rows of cells under titles, columns two spaces apart. Widths are counted in terminal columns, not bytes.
/// Line breaks and other control characters in cells become spaces: a name out of a model cannot break the
/// layout.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// Missing cells are empty. @pre no more cells than columns
  void row(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  /// All lines, each with a line break and without blanks at its end. The titles are left out if all are
  /// empty. Columns that shorten do so, the widest first and never below 12, until lines take at most
  /// `width`.
  std::string text(const std::string& indent = {}, std::size_t width = std::string::npos) const;

 private:
  std::vector<std::size_t> widths() const;
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace tailor

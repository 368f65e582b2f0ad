#include "tailor/base/table.h"

#include "tailor/base/error.h"
#include "tailor/base/text.h"

#include <algorithm>

namespace tailor {
namespace {

std::string cleaned(std::string cell) {
  std::replace_if(
      cell.begin(), cell.end(), [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; }, ' ');
  return cell;
}

std::string line(const std::vector<Column>& columns, const std::vector<std::size_t>& widths,
                 const std::vector<std::string>& cells, const std::string& indent) {
  std::string text = indent;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::string blanks(widths[i] - display_width(cells[i]), ' ');
    if (i > 0) text += "  ";
    text += columns[i].align == Align::right ? blanks + cells[i] : cells[i] + blanks;
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

}  // namespace

void Table::row(std::vector<std::string> cells) {
  TAILOR_CHECK(cells.size() <= columns_.size());
  cells.resize(columns_.size());
  std::transform(cells.begin(), cells.end(), cells.begin(), cleaned);
  rows_.push_back(std::move(cells));
}

std::string Table::text(const std::string& indent) const {
  std::vector<std::string> titles;
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) {
    titles.push_back(column.title);
    widths.push_back(display_width(column.title));
  }
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  bool titled =
      std::any_of(titles.begin(), titles.end(), [](const std::string& title) { return !title.empty(); });
  std::string text = titled ? line(columns_, widths, titles, indent) : "";
  for (const auto& row : rows_) text += line(columns_, widths, row, indent);
  return text;
}

}  // namespace tailor

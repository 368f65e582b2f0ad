#include "tailor/base/table.h"

#include "tailor/base/error.h"
#include "tailor/base/text.h"

#include <algorithm>
#include <numeric>

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
    std::string cell = columns[i].shortens ? shortened(cells[i], widths[i]) : cells[i];
    std::string blanks(widths[i] - display_width(cell), ' ');
    if (i > 0) text += "  ";
    text += columns[i].align == Align::right ? blanks + cell : cell + blanks;
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

void fit(const std::vector<Column>& columns, std::vector<std::size_t>& widths, std::size_t width) {
  constexpr std::size_t kLeast = 12;
  auto total = [&] { return std::accumulate(widths.begin(), widths.end(), 2 * (widths.size() - 1)); };
  while (width != std::string::npos && total() > width) {
    std::size_t widest = widths.size();
    for (std::size_t i = 0; i < widths.size(); ++i)
      if (columns[i].shortens && widths[i] > kLeast &&
          (widest == widths.size() || widths[i] > widths[widest]))
        widest = i;
    if (widest == widths.size()) return;
    --widths[widest];
  }
}

}  // namespace

void Table::row(std::vector<std::string> cells) {
  TAILOR_CHECK(cells.size() <= columns_.size());
  cells.resize(columns_.size());
  std::transform(cells.begin(), cells.end(), cells.begin(), cleaned);
  rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) widths.push_back(display_width(column.title));
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  return widths;
}

std::string Table::text(const std::string& indent, std::size_t width) const {
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  std::vector<std::size_t> fitting = widths();
  fit(columns_, fitting, width);
  bool titled =
      std::any_of(titles.begin(), titles.end(), [](const std::string& title) { return !title.empty(); });
  std::string text = titled ? line(columns_, fitting, titles, indent) : "";
  for (const auto& row : rows_) text += line(columns_, fitting, row, indent);
  return text;
}

}  // namespace tailor

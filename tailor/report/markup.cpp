#include "tailor/report/markup.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace tailor::report {
namespace {

// The shortest decimal text that reads back as the same number.
std::string exactly(double value) { return Json(value).dump(); }

constexpr std::size_t kSentence = 40;  // letters, beyond which a cell may be broken into lines

// @param flush whether the column is one of numbers, so that "-" stands below them too
std::string cell_html(const Cell& cell, const char* tag, bool flush) {
  std::string attributes;
  if (cell.value && std::isfinite(*cell.value))
    attributes += fmt::format(" class=\"n\" data-v=\"{}\"", exactly(*cell.value));
  else if (cell.name)
    attributes += " class=\"name\"";
  else if (cell.text.size() > kSentence)
    attributes += " class=\"words\"";
  else if (flush)
    attributes += " class=\"n\"";
  if (std::string_view(tag) == "th") attributes += " scope=\"row\"";
  const std::string text = cell.name ? fmt::format("<bdi>{}</bdi>", escaped(cell.text)) : escaped(cell.text);
  return fmt::format("<{0}{1}>{2}</{0}>", tag, attributes, text);
}

std::string head_html(const std::vector<Column>& columns) {
  std::string cells;
  for (const Column& column : columns)
    cells += fmt::format("<th scope=\"col\"{}{}>{}</th>", column.number ? " class=\"n\"" : "",
                         column.hint.empty() ? "" : fmt::format(" title=\"{}\"", escaped(column.hint)),
                         escaped(column.title));
  return "<thead><tr>" + cells + "</tr></thead>\n";
}

std::string row_html(const Row& row, const std::vector<Column>& columns) {
  std::string text = row.layer ? fmt::format("<tr data-layer=\"{}\">", *row.layer) : "<tr>";
  for (std::size_t i = 0; i < row.cells.size(); ++i)
    text += cell_html(row.cells[i], i == 0 ? "th" : "td", i < columns.size() && columns[i].number);
  return text + "</tr>\n";
}

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

std::string picture_html(const Picture& picture) {
  std::string bytes = picture.png;
  std::erase_if(bytes, [](char c) { return kBase64.find(c) == std::string_view::npos; });
  const std::string says = escaped(picture.says);
  return fmt::format(
      "<li{}><img alt=\"{}\" title=\"{}\" src=\"data:image/png;base64,{}\"><span>{}</span></li>\n",
      picture.gone ? " class=\"gone\"" : "", says, says, bytes, escaped(picture.caption));
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (char c : text) switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += static_cast<unsigned char>(c) < 32 || c == 127 ? ' ' : c;
    }
  return result;
}

std::string for_script(const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view three = std::string_view(text).substr(i, 3);
    if (text[i] == '<') {
      result += "\\u003c";
    } else if (three == "\xE2\x80\xA8" || three == "\xE2\x80\xA9") {  // U+2028 and U+2029
      result += three[2] == '\xA8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string shell_word(const std::string& word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string html(const Table& table) {
  constexpr std::size_t kLong = 300;  // rows, beyond which a browser lays out only what is seen
  std::string text = fmt::format("<div class=\"scroll{}\"><table>\n<caption>{}</caption>\n",
                                 table.rows.size() > kLong ? " long" : "", escaped(table.caption));
  text += head_html(table.columns) + "<tbody>\n";
  for (const Row& row : table.rows) text += row_html(row, table.columns);
  return text + "</tbody>\n</table></div>\n";
}

std::string html(const Strip& strip) {
  std::string text = fmt::format("<h3>{}</h3>\n<ul class=\"pictures\">\n", escaped(strip.title));
  for (const Picture& picture : strip.pictures) text += picture_html(picture);
  return text + "</ul>\n";
}

Cell number_cell(double value, int decimals, std::string_view unit) {
  return {fmt::format("{:.{}f}{}{}", value, decimals, unit.empty() ? "" : " ", unit), value};
}

Cell name_cell(std::string name) { return {std::move(name), {}, true}; }

}  // namespace tailor::report

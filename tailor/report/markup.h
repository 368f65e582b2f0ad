/// \file HTML as text. Everything that comes from outside (names out of models, paths, reasons) passes through here and
/// becomes inert: escaped in elements and attributes, without '<' in data for scripts.
#pragma once

#include "tailor/base/json.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::report {

/// For the content of elements and for attributes in double quotes. Control characters become blanks.
std::string escaped(std::string_view text);
/// For <script type="application/json">: neither '<' nor a line separator of JavaScript appears in it, so that no
/// string can end the element. Bytes that are no UTF-8 become U+FFFD.
std::string for_script(const Json& json);
/// A word of a command line that can be pasted into a shell, in single quotes where it needs them.
std::string shell_word(const std::string& word);

struct Column {
  std::string title;
  bool number = false;    // set flush right, sorted by its value
  std::string hint = {};  // what it means, shown with the pointer on the title
};
struct Cell {
  std::string text;
  std::optional<double> value = {};  // the document's number, exactly; what the column is sorted by
  bool name = false;                 // of a layer or a file: may be long, may be written in any direction
};
struct Row {
  std::vector<Cell> cells;
  std::optional<std::size_t> layer = {};  // index of what it selects on the page
};
struct Table {
  std::string caption;
  std::vector<Column> columns;
  std::vector<Row> rows;
};
/// One <table> with caption, scopes and the exact numbers as data-v. O(size)
std::string html(const Table& table);

/// One small picture with a number below it.
struct Picture {
  std::string png;      // the file's bytes in Base64; nothing else passes as one
  std::string caption;  // short: a number
  std::string says;     // what it shows, for those who do not see it and with the pointer on it
  bool gone = false;    // drawn faint, its caption struck through
};
/// Pictures that belong together.
struct Strip {
  std::string title;
  std::vector<Picture> pictures;
};
/// A list of images whose bytes are in the page. Letters that Base64 does not have are left out. O(size)
std::string html(const Strip& strip);

/// A cell with its number rounded for reading and kept exactly.
Cell number_cell(double value, int decimals, std::string_view unit = {});
Cell name_cell(std::string name);

}  // namespace tailor::report

/// \file Words for people: near names and the width of text on a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tailor {

/// " (did you mean 'x'?)" or " (did you mean 'x' or 'y'?)" for the candidates nearest to `name`, at most
/// three; "" if none is near. Near: at most a third of the name's letters differ, insertions, deletions and
/// swaps of neighbours counting one, or one begins with the other.
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`. O(|a| |b|).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// Columns that UTF-8 text takes on a terminal: wide East Asian characters 2, combining ones 0, damaged bytes
/// 1 each.
std::size_t display_width(std::string_view text);

/// At most `width` columns: what is too long loses its middle, "/blocks/bl...onv1/Conv". @pre width >= 4
std::string shortened(std::string_view text, std::size_t width);

/// Lines broken at blanks so that they take at most `width` columns, as far as their words allow; what
/// follows a break is set in by `indent` blanks.
std::string wrapped(std::string_view text, std::size_t width, std::size_t indent);

}  // namespace tailor

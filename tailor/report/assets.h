/// \file What the build puts into the program for pages: the stylesheet, and the bundled script where Node was there.
/// Private.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor::report {

/// Texts of page/*.css, embedded by the build.
const std::vector<std::pair<std::string_view, std::string_view>>& stylesheets();
/// The script, cut into pieces that every compiler takes as literals; none in a build without the chart library.
const std::vector<std::string_view>& script_pieces();

}  // namespace tailor::report

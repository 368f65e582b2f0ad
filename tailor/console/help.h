/// \file What --help, the manual page and docs/options.md say of a verb beside its options: the texts of help/*.txt.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor::console {

/// All texts by the name of their file, "plan-show"; embedded by the build.
const std::vector<std::pair<std::string_view, std::string_view>>& help_texts();

/// A text in two.
struct HelpText {
  std::string about;     // what the verb does and for whom
  std::string examples;  // from the line "Examples:" to the end
};
/// @param path the verb as it is called, "tailor plan show". Both halves are empty where there is no text.
HelpText help_text(const std::string& path);

}  // namespace tailor::console

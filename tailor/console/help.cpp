#include "tailor/console/help.h"

#include <algorithm>

namespace tailor::console {
namespace {

// "tailor plan show" -> "plan-show"; the program itself keeps its name.
std::string file_of(const std::string& path) {
  const std::size_t blank = path.find(' ');
  std::string name = blank == std::string::npos ? path : path.substr(blank + 1);
  std::replace(name.begin(), name.end(), ' ', '-');
  return name;
}

}  // namespace

HelpText help_text(const std::string& path) {
  constexpr std::string_view kMark = "Examples:\n";
  for (const auto& [name, text] : help_texts()) {
    if (name != file_of(path)) continue;
    const std::size_t at = std::min(text.find(kMark), text.size());
    std::string about(text.substr(0, at));
    while (about.ends_with("\n\n")) about.pop_back();
    return {about, std::string(text.substr(at))};
  }
  return {};
}

}  // namespace tailor::console

/// \file A command line as a value, and what is made of it besides --help: completion for shells, a manual page.
#pragma once

#include <string>
#include <vector>

namespace tailor::console {

struct OptionOutline {
  std::vector<std::string> names;  // with dashes
  std::string help;
  bool takes_value = false;
  std::vector<std::string> values = {};  // what it may be, if that is a list
};

struct VerbOutline {
  std::string name, help;
  std::string operands = {};  // "MODELS..."
  std::vector<OptionOutline> options = {};
  std::vector<VerbOutline> verbs = {};  // second words
};

/// Shells that completion_script knows: bash, fish, zsh.
const std::vector<std::string>& completed_shells();
/// A script that completes verbs, options, listed values, and files everywhere else. @throws Error unknown_name
std::string completion_script(const VerbOutline& program, const std::string& shell);

/// The manual page (section 1) in the macros of man(7). @param footer printed as EXIT STATUS
std::string manual_page(const VerbOutline& program, const std::string& version, const std::string& footer);

}  // namespace tailor::console

/// \file A command line as a value, and what is made of it besides --help: completion for shells, a manual page, and the
/// same as Markdown.
#pragma once

#include "tailor/console/help.h"

#include <functional>
#include <string>
#include <vector>

namespace tailor::console {

struct OptionOutline {
  std::vector<std::string> names;  // with dashes
  std::string help;
  std::string value = {};                // what it takes, "FILE"; "" for a flag
  std::vector<std::string> values = {};  // what that may be, if it is a list
};

struct VerbOutline {
  std::string name = {}, help = {};
  HelpText text = {};
  std::string operands = {};            // "MODELS..."
  std::vector<std::string> words = {};  // what an operand may be, if it is a list
  std::vector<OptionOutline> options = {};
  std::vector<VerbOutline> verbs = {};  // second words
};

/// Calls with the path "tailor plan show" of every verb, the program first. @param before path of what `verb` belongs to
void each_verb(const VerbOutline& verb, const std::string& before,
               const std::function<void(const std::string&, const VerbOutline&)>& act);

/// Shells that completion_script knows: bash, fish, zsh.
const std::vector<std::string>& completed_shells();
/// A script that completes verbs, options, listed values, and files everywhere else. @throws Error unknown_name
std::string completion_script(const VerbOutline& program, const std::string& shell);

/// The manual page (section 1) in the macros of man(7). @param footer printed as EXIT STATUS
std::string manual_page(const VerbOutline& program, const std::string& version, const std::string& footer);
/// The same in Markdown: docs/options.md.
std::string manual_markdown(const VerbOutline& program, const std::string& footer);

}  // namespace tailor::console

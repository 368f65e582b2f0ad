/// \file What the command lines of the programs share, in CLI11's words: options of every verb, names that are guessed,
/// complaints as Errors.
#pragma once

#include "tailor/console/console.h"
#include "tailor/console/outline.h"

#include <string>
#include <utility>
#include <vector>

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace tailor::console {

/// --help as help.h has it, for the program and every verb that is added after this.
void use_help(CLI::App& app);

/// Headings of --help, each with the names that stand below it.
using Headings = std::vector<std::pair<std::string, std::vector<std::string>>>;
/// For verbs of the program; second words stand below "Verbs". @pre the names exist
void head_verbs(CLI::App& app, const Headings& headings);
/// For options of a verb, by their long names; the others stay below "Options". @pre the names exist
void head_options(CLI::App& app, const std::string& verb, const Headings& headings);

/// --json, -v, -q, --color, --progress
void add_voice(CLI::App& app, Voice& voice);
/// --mean, --std, --scale, --resize, --bgr
void add_preparation(CLI::App& sub, PreparationArguments& preparation);

/// Unknown verbs and options, before CLI11 finds something less helpful to complain about.
/// @throws Error unknown_name with near names
void check_names(const CLI::App& app, int count, char** arguments);

/// The first argument that is neither an option of `app` nor the value of one; "" if there is none.
std::string first_word(const CLI::App& app, int count, char** arguments);

/// The command line as a value: verbs, options, what they may be.
VerbOutline outline_of(const CLI::App& app);

/// CLI11's complaint as ours. @throws Error usage, bad_value
[[noreturn]] void rethrow(const CLI::App& app, const CLI::ParseError& error);

}  // namespace tailor::console

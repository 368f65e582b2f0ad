/// \file What the command lines of the programs share, in CLI11's words: options of every verb, names that are guessed,
/// complaints as Errors.
#pragma once

#include "tailor/console/console.h"
#include "tailor/console/outline.h"

namespace CLI {
class App;
class ParseError;
}  // namespace CLI

namespace tailor::console {

/// --json, -v, -q, --color, --progress
void add_voice(CLI::App& app, Voice& voice);
/// --mean, --std, --scale, --resize, --bgr
void add_preparation(CLI::App& sub, PreparationArguments& preparation);

/// Unknown verbs and long options, before CLI11 finds something less helpful to complain about.
/// @throws Error unknown_name with near names
void check_names(const CLI::App& app, int count, char** arguments);

/// The first argument that is neither an option of `app` nor the value of one; "" if there is none.
std::string first_word(const CLI::App& app, int count, char** arguments);

/// The command line as a value: verbs, options, what they may be.
VerbOutline outline_of(const CLI::App& app);

/// CLI11's complaint as ours. @throws Error usage, bad_value
[[noreturn]] void rethrow(const CLI::App& app, const CLI::ParseError& error);

}  // namespace tailor::console

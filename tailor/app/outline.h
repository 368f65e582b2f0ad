/// \file What the command line's outline has beyond what CLI11 knows: headings of --help, names that options take. Private.
#pragma once

#include "tailor/console/command_line.h"

namespace tailor::app {

/// Verbs and the options of optimize under headings.
void add_headings(CLI::App& app);
/// The command line as a value, with the names of devices and platforms that options take.
console::VerbOutline outline_of(const CLI::App& app);

}  // namespace tailor::app

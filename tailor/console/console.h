/// \file How the programs speak to people: results to stdout, everything else to stderr; quantities as people write and
/// read them; what their command lines share.
#pragma once

#include "tailor/base/error.h"
#include "tailor/base/json.h"
#include "tailor/data/dataset.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::console {

/// What every verb obeys.
struct Voice {
  bool json = false;              // one JSON document on stdout instead of text
  int verbosity = 0;              // -v, -vv
  bool quiet = false;             // no progress, no remarks
  std::string color = "auto";     // auto | always | never: of stderr
  std::string progress = "auto";  // auto | plain | none
};

/// Prints `error[E3009]: ...` on stderr and, with --json, a document on stdout. Returns the exit code.
int report(const Voice& voice, const Error& error);
/// The stderr half: for outcomes that have a result document of their own.
void print_error(const Voice& voice, const Error& error);
/// A line on stderr if -v was given `level` times, and no -q.
void say(const Voice& voice, int level, const std::string& line);
/// --quiet and --progress take effect, for the whole program.
void apply(const Voice& voice);
/// What is said about errors before the command line is understood: --json and --color=... wherever they stand.
Voice first_look(int count, char** arguments);

/// Text to stdout, flushed. @throws Error write_failed (full disk, closed pipe)
void print(const std::string& text);
/// Columns of the terminal that stdout is; 120 if it is none.
std::size_t output_width();
/// The one document of --json. @throws Error write_failed
void print_document(const Json& json);
/// A target that cannot be written is found before the work, not after it. @throws Error write_failed
void check_target(const std::filesystem::path& target);

/// "3", "3s", "500ms", "2m" -> seconds. @throws Error bad_value naming `option`
double parse_seconds(const std::string& text, const char* option);
/// "2%" or "0.02" -> 0.02. @throws Error bad_value
double parse_share(const std::string& text, const char* option);
/// "1.3x" or "1.3" -> 1.3. @throws Error bad_value
double parse_factor(const std::string& text, const char* option);
/// "0.5" or "0.5%" -> 0.5 points. @throws Error bad_value
double parse_points(const std::string& text, const char* option);
/// "10uJ", "0.5mJ" -> microjoules. @throws Error bad_value
double parse_energy(const std::string& text, const char* option);

/// "127.0 M", "300.0 k", "12"
std::string engineering(double number);
/// "914.2 us", "1.562 ms", "2.31 s"
std::string duration(double us);

/// How samples become inputs, as it is written on the command line.
struct PreparationArguments {
  std::vector<double> mean, std;
  double scale = 0;    // 0: as the data is
  std::string resize;  // "": refuse
  bool bgr = false;
};
/// @throws Error bad_value, unknown_name
data::Preparation preparation_of(const PreparationArguments& arguments);

}  // namespace tailor::console

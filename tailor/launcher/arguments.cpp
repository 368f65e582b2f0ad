// The command line of tailor-farm: options of `tailor tune` where they mean the same.
#include "tailor/console/command_line.h"
#include "tailor/launcher/launcher.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>

// As in tailor's arguments.cpp: a specialisation must be the same wherever it is used.
template <>
constexpr const char* CLI::detail::type_name<std::filesystem::path>() {
  return "FILE";
}

namespace tailor::launcher {
namespace {

void add_search(CLI::App& app, FarmArguments& a) {
  app.add_option("--shape", a.shapes, "fixes a free dimension: NAME:1x3x224x224")->allow_extra_args(false);
  app.add_option("--share", a.share, "shares of the device in per cent, 25,50,100")->capture_default_str();
  app.add_option("--threads", a.threads,
                 "what the whole device is (default: the cores of the first rank's machine)");
  app.add_option("--time", a.time, "how long; the finals may take longer")->capture_default_str();
  app.add_option("--trials", a.trials,
                 "at most so many per operator and share, those in the file among them; 0: no limit")
      ->capture_default_str();
  app.add_option("--gain", a.gain, "stop an operator when one more trial is expected to save less")
      ->capture_default_str();
  app.add_option("--searcher", a.searcher, "model, evolution, random or exhaustive")->capture_default_str();
  app.add_option("--samples", a.samples, "of each trial")->capture_default_str();
  app.add_option("--seed", a.seed, "of the searchers")->capture_default_str();
  app.add_flag("--no-library", a.no_library, "do not time oneDNN's kernels beside the finalists");
  app.add_option("--onednn", a.onednn, "oneDNN's library (default: libdnnl.so.2, as the system finds it)");
}

void add_sharing(CLI::App& app, FarmArguments& a) {
  app.add_option("--shard", a.shard, "without MPI: this part of the work, 3/16 is the third of sixteen");
  app.add_option("--jobs", a.jobs, "of a shard: operators measured at once, each on a core of its own")
      ->capture_default_str();
  app.add_option("--silence", a.silence, "a rank that measures for longer without an answer is given up")
      ->capture_default_str();
}

}  // namespace

bool read_arguments(int count, char** words, Voice& voice, FarmArguments& arguments) {
  CLI::App app("Tunes the operators of a model on many machines (MPI), or a part of them (--shard).",
               "tailor-farm");
  console::use_help(app);
  console::add_voice(app, voice);
  app.add_option("MODEL", arguments.model, "ONNX file; the first rank reads it")->required();
  app.add_option("--db", arguments.db, "record file: appended to, gone on from; the first rank keeps it")
      ->required();
  add_search(app, arguments);
  add_sharing(app, arguments);
  console::check_names(app, count, words);
  try {
    app.parse(count, words);
  } catch (const CLI::CallForHelp&) {
    return console::print(app.help()), false;
  } catch (const CLI::ParseError& error) {
    console::rethrow(app, error);
  }
  console::apply(voice);
  return true;
}

}  // namespace tailor::launcher

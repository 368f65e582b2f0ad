// Shared parts of the command lines. CLI11's exit codes and messages are turned into tailor's.
#include "tailor/console/command_line.h"

#include "tailor/base/text.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace tailor::console {
namespace {

// Long and short names of all options, with their dashes, and how many values each takes (0: a flag).
std::vector<std::pair<std::string, int>> options_of(const CLI::App& app) {
  std::vector<std::pair<std::string, int>> names;
  for (const CLI::Option* option : app.get_options()) {
    int values = option->get_items_expected_max();
    for (const std::string& name : option->get_lnames()) names.emplace_back("--" + name, values);
    for (const std::string& name : option->get_snames()) names.emplace_back("-" + name, values);
  }
  return names;
}

[[noreturn]] void unknown(const char* what, const std::string& name, const std::vector<std::string>& known,
                          const std::string& help) {
  throw Error(Code::unknown_name, fmt::format("there is no {} '{}'{}", what, name, did_you_mean(name, known)),
              "command line", help);
}

std::vector<std::string> verbs_of(const CLI::App& app) {
  std::vector<std::string> verbs;
  for (const CLI::App* sub : app.get_subcommands({})) verbs.push_back(sub->get_name());
  return verbs;
}

// A verb that takes words of its own beside its verbs: tailor tune MODEL, tailor tune show FILE.
bool takes_words(const CLI::App* verb) {
  if (!verb) return false;
  const std::vector<const CLI::Option*> options = verb->get_options();
  return std::any_of(options.begin(), options.end(),
                     [](const CLI::Option* o) { return o->get_positional(); });
}

const char* help_line(const CLI::App& app) {
  return app.get_subcommands().empty() ? "tailor --help" : "tailor VERB --help lists the options";
}

// The list that CLI11 shows for a checked option, "TEXT:{auto,always,never}".
std::vector<std::string> listed_values(const std::string& type) {
  const std::size_t open = type.find('{'), close = type.find('}');
  std::vector<std::string> values;
  if (open == std::string::npos || close == std::string::npos || close < open) return values;
  for (std::size_t at = open + 1; at <= close;) {
    const std::size_t end = std::min(type.find(',', at), close);
    values.push_back(type.substr(at, end - at));
    at = end + 1;
  }
  return values;
}

OptionOutline option_outline(const CLI::Option& option) {
  OptionOutline outline{{},
                        option.get_description(),
                        option.get_items_expected_max() > 0,
                        listed_values(option.get_type_name())};
  for (const std::string& name : option.get_snames()) outline.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) outline.names.push_back("--" + name);
  return outline;
}

}  // namespace

VerbOutline outline_of(const CLI::App& app) {
  VerbOutline outline{app.get_name(), app.get_description()};
  for (const CLI::Option* option : app.get_options()) {
    if (!option->nonpositional())
      outline.operands += (outline.operands.empty() ? "" : " ") + option->get_name(true);
    else
      outline.options.push_back(option_outline(*option));
  }
  for (const CLI::App* verb : app.get_subcommands({})) outline.verbs.push_back(outline_of(*verb));
  return outline;
}

void add_voice(CLI::App& app, Voice& voice) {
  app.add_flag("--json", voice.json, "print exactly one JSON document (tailor schema lists the schemas)");
  app.add_flag("-v,--verbose", voice.verbosity, "say more on stderr; twice: still more");
  app.add_flag("-q,--quiet", voice.quiet, "no progress and no remarks");
  app.add_option("--color", voice.color, "auto, always or never")
      ->check(CLI::IsMember({"auto", "always", "never"}));
  app.add_option("--progress", voice.progress, "auto, plain or none")
      ->check(CLI::IsMember({"auto", "plain", "none"}));
}

void add_preparation(CLI::App& sub, PreparationArguments& p) {
  sub.add_option("--mean", p.mean, "per channel, after scaling: 0.485,0.456,0.406")
      ->delimiter(',')
      ->allow_extra_args(false);
  sub.add_option("--std", p.std, "per channel: 0.229,0.224,0.225")->delimiter(',')->allow_extra_args(false);
  sub.add_option("--scale", p.scale, "values are divided by it (default: 255 for images, 1 for arrays)");
  sub.add_option("--resize", p.resize,
                 "images of a folder to the size of the input: stretch, or crop (scaled, then the middle)");
  sub.add_flag("--bgr", p.bgr, "the model takes blue first");
}

void check_names(const CLI::App& app, int count, char** arguments) {
  const CLI::App* verb = nullptr;
  std::string path;  // "plan show "
  for (int i = 1; i < count; ++i) {
    std::string token = arguments[i], name = token.substr(0, token.find('='));
    if (token == "--") return;
    auto known = options_of(app), more = verb ? options_of(*verb) : decltype(known){};
    known.insert(known.end(), more.begin(), more.end());
    auto it =
        std::find_if(known.begin(), known.end(), [&](const auto& entry) { return entry.first == name; });
    if (it != known.end()) {
      if (it->second > 0 && name == token) ++i;  // its value
    } else if (token.starts_with("--")) {
      std::vector<std::string> names;
      for (const auto& entry : known) names.push_back(entry.first);
      unknown("option", name, names, fmt::format("{} {}--help lists them", app.get_name(), path));
    } else if (std::vector<std::string> verbs = verbs_of(verb ? *verb : app);
               !verbs.empty() && !token.starts_with('-')) {
      const bool is_verb = std::find(verbs.begin(), verbs.end(), token) != verbs.end();
      if (!is_verb && takes_words(verb)) continue;
      if (!is_verb) unknown("verb", token, verbs, fmt::format("verbs: {}", fmt::join(verbs, ", ")));
      verb = (verb ? *verb : app).get_subcommand(token), path += token + " ";
    }
  }
}

void rethrow(const CLI::App& app, const CLI::ParseError& error) {
  std::string message = error.what();
  std::replace(message.begin(), message.end(), '\n', ' ');
  bool value =
      dynamic_cast<const CLI::ConversionError*>(&error) || dynamic_cast<const CLI::ValidationError*>(&error);
  for (const CLI::App* verb : app.get_subcommands())  // "plan" without "show", for instance
    if (verb->get_require_subcommand_min() > 0 && verb->get_subcommands().empty())
      throw Error(Code::usage, fmt::format("'{}' wants a second word", verb->get_name()), "command line",
                  fmt::format("one of {}", fmt::join(verbs_of(*verb), ", ")));
  throw Error(value ? Code::bad_value : Code::usage, message, "command line", help_line(app));
}

std::string first_word(const CLI::App& app, int count, char** arguments) {
  auto known = options_of(app);
  for (int i = 1; i < count; ++i) {
    std::string token = arguments[i];
    if (!token.starts_with('-')) return token;
    auto it =
        std::find_if(known.begin(), known.end(), [&](const auto& entry) { return entry.first == token; });
    if (it != known.end() && it->second > 0) ++i;  // its value
  }
  return {};
}

}  // namespace tailor::console

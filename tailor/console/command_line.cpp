// Shared parts of the command lines. CLI11's exit codes, messages and --help are turned into tailor's.
#include "tailor/console/command_line.h"

#include "tailor/base/text.h"
#include "tailor/console/help.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <memory>

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

// One dash and a letter that is no option's; or a long option's name with one dash, of which CLI11 would take the
// first letter for an option and the rest for its value.
bool wrong_short(const std::string& name, const std::vector<std::pair<std::string, int>>& known) {
  if (name.size() < 2 || name[0] != '-' || std::isalpha(static_cast<unsigned char>(name[1])) == 0)
    return false;
  auto is = [&](const std::string& wanted) {
    return std::any_of(known.begin(), known.end(), [&](const auto& entry) { return entry.first == wanted; });
  };
  return !is(name.substr(0, 2)) || (name.size() > 2 && is("-" + name));
}

// What may have been meant: of one letter the same in the other case, for letters are no misspelling of each other.
std::vector<std::string> near_options(const std::string& name,
                                      const std::vector<std::pair<std::string, int>>& known) {
  std::vector<std::string> names;
  for (const auto& entry : known)
    if (name.size() > 2 || CLI::detail::to_lower(entry.first) == CLI::detail::to_lower(name))
      names.push_back(entry.first);
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

// "tailor plan show": the verb as it is called.
std::string path_of(const CLI::App& app) {
  return app.get_parent() ? path_of(*app.get_parent()) + " " + app.get_name() : app.get_name();
}

// The innermost verb that was understood; the program if none was.
const CLI::App& spoken(const CLI::App& app) {
  const std::vector<CLI::App*> verbs = app.get_subcommands();
  return verbs.empty() ? app : spoken(*verbs.front());
}

std::string operands_of(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : app.get_options())
    if (option->get_positional()) text += " " + option->get_name(true);
  return text;
}

std::string help_line(const CLI::App& app) {
  const CLI::App& verb = spoken(app);
  if (&verb == &app && !verbs_of(app).empty()) return app.get_name() + " --help lists the verbs";
  return fmt::format("{0}{1} [OPTIONS]; {0} --help has examples", path_of(verb), operands_of(verb));
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

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

// "FILE", "N", "auto|always|never": what stands behind an option, as people write it.
std::string value_name(const CLI::Option& option) {
  if (!takes_value(option)) return {};
  if (!option.get_option_text().empty()) return option.get_option_text();
  const std::string type = option.get_type_name();
  if (const std::vector<std::string> values = listed_values(type); !values.empty())
    return fmt::format("{}", fmt::join(values, "|"));
  if (type.starts_with("TEXT")) return "VALUE";
  return type == "FILE" ? type : "N";
}

// With what holds where the option is not given, unless the text says it.
std::string explained(const CLI::Option& option) {
  std::string text = option.get_description(), standard = option.get_default_str();
  if (standard.starts_with('[') && standard.ends_with(']'))
    standard = standard.substr(1, standard.size() - 2);
  if (takes_value(option) && !standard.empty() && text.find("default") == std::string::npos)
    text += fmt::format(" (default: {})", standard);
  return option.get_required() && option.nonpositional() ? text + " (required)" : text;
}

constexpr std::size_t kNames = 28, kWidest = 100;  // columns

// Names, then their text, wrapped beside them; below them where they are long.
std::string entry(const std::string& names, const std::string& text) {
  const std::size_t width = std::max<std::size_t>(kNames + 30, std::min(output_width(), kWidest));
  std::string line = "  " + names;
  line.append(line.size() + 2 <= kNames ? kNames - line.size() : 0, ' ');
  if (line.size() > kNames || line.back() != ' ') line += "\n" + std::string(kNames, ' ');
  for (char c : wrapped(text, width - kNames, 0)) {
    line += c;
    if (c == '\n') line.append(kNames, ' ');
  }
  return line + "\n";
}

// CLI11's help with the texts of help/*.txt around it, wrapped to the terminal.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_description(const CLI::App* app) const override {
    const std::string about = help_text(path_of(*app)).about;
    return CLI::Formatter::make_description(app) + (about.empty() ? "" : "\n" + about) + "\n";
  }
  std::string make_option(const CLI::Option* option, bool positional) const override {
    const std::string value = positional ? std::string() : value_name(*option);
    return entry(make_option_name(option, positional) + (value.empty() ? "" : " " + value),
                 explained(*option));
  }
  std::string make_subcommand(const CLI::App* verb) const override {
    return entry(verb->get_name(), verb->get_description());
  }
  std::string make_footer(const CLI::App* app) const override {
    const std::string examples = help_text(path_of(*app)).examples;
    const std::string rest = app->get_parent()
                                 ? "Options of every verb (--json, --quiet, ...) and all exit codes: tailor "
                                   "--help\n"
                                 : CLI::Formatter::make_footer(app);
    return examples + (examples.empty() ? "" : "\n") + rest;
  }
};

OptionOutline option_outline(const CLI::Option& option) {
  OptionOutline outline{{}, explained(option), value_name(option), listed_values(option.get_type_name())};
  for (const std::string& name : option.get_snames()) outline.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) outline.names.push_back("--" + name);
  return outline;
}

}  // namespace

void use_help(CLI::App& app) {
  auto formatter = std::make_shared<HelpFormatter>();
  formatter->label("SUBCOMMAND", "VERB");
  formatter->label("Positionals", "Operands");
  app.formatter(formatter);
  app.set_help_flag("-h,--help", "this text");
}

void head_verbs(CLI::App& app, const Headings& headings) {
  for (const auto& [heading, names] : headings)
    for (const std::string& name : names) app.get_subcommand(name)->group(heading);
  const std::function<bool(CLI::App*)> all;
  for (CLI::App* verb : app.get_subcommands(all))
    for (CLI::App* word : verb->get_subcommands(all)) word->group("Verbs");
}

void head_options(CLI::App& app, const std::string& verb, const Headings& headings) {
  for (const auto& [heading, names] : headings)
    for (const std::string& name : names) app.get_subcommand(verb)->get_option(name)->group(heading);
}

VerbOutline outline_of(const CLI::App& app) {
  VerbOutline outline{app.get_name(), app.get_description(), help_text(path_of(app))};
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
    } else if (token.starts_with("--") || wrong_short(name, known)) {
      unknown("option", name, near_options(name, known),
              fmt::format("{} {}--help lists them", app.get_name(), path));
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

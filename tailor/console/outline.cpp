// Completion: one generator per shell, each a fixed frame around lists of words.
#include "tailor/console/outline.h"

#include "tailor/base/error.h"
#include "tailor/base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

namespace tailor::console {
namespace {

// In single quotes, as POSIX shells and fish read them.
std::string quoted(const std::string& text) {
  std::string result = "'";
  for (char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

// Every word once, in the order of its first appearance.
std::string words_of(const VerbOutline& verb, const VerbOutline& program) {
  std::vector<std::string> words = verb.words;
  auto add = [&](const std::string& word) {
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
  };
  for (const VerbOutline& inner : verb.verbs) add(inner.name);
  for (const VerbOutline* of : {&verb, &program})
    for (const OptionOutline& option : of->options)
      for (const std::string& name : option.names) add(name);
  return fmt::format("{}", fmt::join(words, " "));
}

// Patterns of all paths below the program, for `case`.
std::string paths_pattern(const VerbOutline& program) {
  std::vector<std::string> paths;
  each_verb(program, "", [&](const std::string& path, const VerbOutline& verb) {
    if (&verb != &program) paths.push_back("\"" + path + "\"");
  });
  return fmt::format("{}", fmt::join(paths, "|"));
}

// Options with a list of values, every one once.
std::string value_cases(const VerbOutline& program,
                        const std::function<std::string(const OptionOutline&)>& act) {
  std::string text;
  std::vector<std::string> seen;
  each_verb(program, "", [&](const std::string&, const VerbOutline& verb) {
    for (const OptionOutline& option : verb.options) {
      const std::string names = fmt::format("{}", fmt::join(option.names, "|"));
      if (option.values.empty() || std::find(seen.begin(), seen.end(), names) != seen.end()) continue;
      seen.push_back(names);
      text += act(option);
    }
  });
  return text;
}

std::string bash(const VerbOutline& program) {
  std::string words;
  each_verb(program, "", [&](const std::string& path, const VerbOutline& verb) {
    words += fmt::format("    \"{}\") words={} ;;\n", path, quoted(words_of(verb, program)));
  });
  const std::string values = value_cases(program, [](const OptionOutline& option) {
    return fmt::format("    {}) words={}; values=1 ;;\n", fmt::join(option.names, "|"),
                       quoted(fmt::format("{}", fmt::join(option.values, " "))));
  });
  return fmt::format(
      R"(# Completion of {0} for bash: source it, or put it where bash-completion looks for {0}.
_{0}() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} place={0} words= values= i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$place ${{COMP_WORDS[i]}}" in
    {1}) place="$place ${{COMP_WORDS[i]}}" ;;
    esac
  done
  case "$place" in
{2}  esac
  case "$previous" in
{3}  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ $current != -* && -z $values ]]; then
    local IFS=$'\n'
    COMPREPLY+=($(compgen -f -- "$current"))
  fi
}}
complete -o filenames -F _{0} {0}
)",
      program.name, paths_pattern(program), words, values);
}

std::string zsh_words(const VerbOutline& verb) {
  std::string text;
  auto add = [&](const std::string& word, const std::string& help) {
    std::string escaped;
    for (char c : word) escaped += c == ':' ? std::string("\\:") : std::string(1, c);
    text += " " + quoted(escaped + ":" + help);
  };
  for (const std::string& word : verb.words) add(word, "");
  for (const VerbOutline& inner : verb.verbs) add(inner.name, inner.help);
  for (const OptionOutline& option : verb.options)
    for (const std::string& name : option.names) add(name, option.help);
  return text;
}

std::string zsh(const VerbOutline& program) {
  std::string words;
  each_verb(program, "", [&](const std::string& path, const VerbOutline& verb) {
    words += fmt::format("    \"{}\") choices=({} ) ;;\n", path, zsh_words(verb));
  });
  const std::string values = value_cases(program, [](const OptionOutline& option) {
    return fmt::format("    {}) compadd -- {}; return ;;\n", fmt::join(option.names, "|"),
                       fmt::join(option.values, " "));
  });
  return fmt::format(R"(#compdef {0}
# Completion of {0} for zsh: put it as _{0} into a folder of $fpath.
_{0}() {{
  local place={0}
  local -a choices general
  integer i
  for ((i = 2; i < CURRENT; ++i)); do
    case "$place $words[i]" in
    {1}) place="$place $words[i]" ;;
    esac
  done
  case "$words[CURRENT-1]" in
{3}  esac
  case "$place" in
{2}  esac
  general=({4} )
  _describe -t words 'verb or option' choices
  if [[ $PREFIX == -* && $place != {0} ]]; then _describe -t general 'option' general; fi
  if [[ $PREFIX != -* ]]; then _files; fi
}}
if [[ $funcstack[1] == _{0} ]]; then _{0} "$@"; else compdef _{0} {0}; fi
)",
                     program.name, paths_pattern(program), words, values,
                     zsh_words({.options = program.options}));
}

std::string fish_option(const OptionOutline& option, const std::string& program,
                        const std::string& condition) {
  std::string line = fmt::format("complete -c {}{}", program, condition);
  for (const std::string& name : option.names)
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (!option.value.empty())
    line += option.values.empty()
                ? " -r"
                : fmt::format(" -x -a {}", quoted(fmt::format("{}", fmt::join(option.values, " "))));
  return line + " -d " + quoted(option.help) + "\n";
}

std::string fish_words(const VerbOutline& verb, const std::string& program, const std::string& condition) {
  return verb.words.empty() ? std::string()
                            : fmt::format("complete -c {}{} -a {}\n", program, condition,
                                          quoted(fmt::format("{}", fmt::join(verb.words, " "))));
}

std::string fish(const VerbOutline& program) {
  std::string text = fmt::format(
      "# Completion of {0} for fish: put it as {0}.fish into ~/.config/fish/completions.\n", program.name);
  for (const OptionOutline& option : program.options) text += fish_option(option, program.name, "");
  for (const VerbOutline& verb : program.verbs) {
    text += fmt::format("complete -c {} -n __fish_use_subcommand -a {} -d {}\n", program.name, verb.name,
                        quoted(verb.help));
    const std::string condition = fmt::format(" -n '__fish_seen_subcommand_from {}'", verb.name);
    text += fish_words(verb, program.name, condition);
    for (const OptionOutline& option : verb.options) text += fish_option(option, program.name, condition);
    for (const VerbOutline& inner : verb.verbs) {
      text += fmt::format("complete -c {}{} -a {} -d {}\n", program.name, condition, inner.name,
                          quoted(inner.help));
      const std::string both = fmt::format(
          " -n '__fish_seen_subcommand_from {}; and __fish_seen_subcommand_from {}'", verb.name, inner.name);
      text += fish_words(inner, program.name, both);
      for (const OptionOutline& option : inner.options) text += fish_option(option, program.name, both);
    }
  }
  return text;
}

}  // namespace

void each_verb(const VerbOutline& verb, const std::string& before,
               const std::function<void(const std::string&, const VerbOutline&)>& act) {
  const std::string path = before.empty() ? verb.name : before + " " + verb.name;
  act(path, verb);
  for (const VerbOutline& inner : verb.verbs) each_verb(inner, path, act);
}

const std::vector<std::string>& completed_shells() {
  static const std::vector<std::string> shells = {"bash", "fish", "zsh"};
  return shells;
}

std::string completion_script(const VerbOutline& program, const std::string& shell) {
  if (shell == "bash") return bash(program);
  if (shell == "fish") return fish(program);
  if (shell == "zsh") return zsh(program);
  throw Error(
      Code::unknown_name,
      fmt::format("there is no completion for '{}'{}", shell, did_you_mean(shell, completed_shells())),
      "command line", fmt::format("one of {}", fmt::join(completed_shells(), ", ")));
}

}  // namespace tailor::console

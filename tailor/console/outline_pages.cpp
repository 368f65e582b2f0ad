// The manual page in the macros of man(7), and the same in Markdown.
#include "tailor/console/outline.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::console {
namespace {

// Text of a manual page: no line may begin with a dot or a quote, backslashes and dashes are spelled.
std::string roff(const std::string& text) {
  std::string result;
  for (char c : text) {
    if (c == '\\')
      result += "\\e";
    else if (c == '-')
      result += "\\-";
    else if ((c == '.' || c == '\'') && (result.empty() || result.back() == '\n'))
      result += std::string("\\&") + c;
    else
      result += c;
  }
  return result;
}

std::string manual_options(const std::vector<OptionOutline>& options) {
  std::string text;
  for (const OptionOutline& option : options) {
    text += fmt::format(".TP\n\\fB{}\\fR{}\n{}", roff(fmt::format("{}", fmt::join(option.names, ", "))),
                        option.value.empty() ? "" : " \\fI" + roff(option.value) + "\\fR", roff(option.help));
    if (!option.values.empty() && option.value == "VALUE")
      text += roff(fmt::format(": {}", fmt::join(option.values, ", ")));
    text += "\n";
  }
  return text;
}

// Every verb has --help; it is only worth a line among the options of the program.
std::vector<OptionOutline> own_options(const VerbOutline& verb) {
  std::vector<OptionOutline> options = verb.options;
  std::erase_if(options, [](const OptionOutline& option) { return option.names.back() == "--help"; });
  return options;
}

// Lines as they are, in a block that is not filled.
std::string manual_block(const std::string& text) {
  return text.empty() ? text : ".nf\n" + roff(text) + ".fi\n";
}

std::string manual_verb(const std::string& path, const VerbOutline& verb) {
  return fmt::format(".SS {}{}{}\n{}.\n", roff(path), verb.operands.empty() ? "" : " ", roff(verb.operands),
                     roff(verb.help)) +
         (verb.text.about.empty() ? "" : ".PP\n" + roff(verb.text.about)) +
         manual_options(own_options(verb)) +
         (verb.text.examples.empty() ? "" : ".PP\n" + manual_block(verb.text.examples));
}

// Inside a cell of a table.
std::string cell(const std::string& text) {
  std::string result;
  for (char c : text) result += c == '|' ? std::string("\\|") : std::string(1, c);
  return result;
}

std::string markdown_options(const std::vector<OptionOutline>& options) {
  if (options.empty()) return {};
  std::string text = "| option | |\n|---|---|\n";
  for (const OptionOutline& option : options)
    text += fmt::format("| `{}{}` | {} |\n", fmt::join(option.names, "`, `"),
                        option.value.empty() ? "" : " " + cell(option.value), cell(option.help));
  return text + "\n";
}

std::string markdown_verb(const std::string& path, const VerbOutline& verb) {
  std::string text = fmt::format("## {}\n`{}{}{}`: {}.\n\n", path, path, verb.operands.empty() ? "" : " ",
                                 verb.operands, verb.help);
  if (!verb.text.about.empty()) text += verb.text.about + "\n";
  text += markdown_options(own_options(verb));
  const std::size_t end = std::min(verb.text.examples.find("\n\n"), verb.text.examples.size());
  if (end > 0) text += "```\n" + verb.text.examples.substr(0, end) + "\n```\n";
  return text + (end < verb.text.examples.size() ? verb.text.examples.substr(end + 1) : "") + "\n";
}

}  // namespace

std::string manual_page(const VerbOutline& program, const std::string& version, const std::string& footer) {
  std::string upper;
  for (char c : program.name) upper += static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  std::string text = fmt::format(
      ".TH {} 1 \"\" \"{} {}\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n\\fB{}\\fR \\fIVERB\\fR "
      "[\\fIOPTIONS\\fR]\n",
      upper, program.name, version, program.name, roff(program.help), program.name);
  text += manual_block(program.text.examples);
  text += ".SH OPTIONS OF EVERY VERB\n" + manual_options(program.options) + ".SH VERBS\n";
  each_verb(program, "", [&](const std::string& path, const VerbOutline& verb) {
    if (&verb != &program) text += manual_verb(path, verb);
  });
  return text + ".SH EXIT STATUS\n" + roff(footer) + "\n";
}

std::string manual_markdown(const VerbOutline& program, const std::string& footer) {
  std::string text = fmt::format(
      "# Every verb and option\nWritten by `{} man --markdown` from what `--help` prints; "
      "[verbs.md](verbs.md) has "
      "a run of each verb.\n\n## Options of every verb\n{}",
      program.name, markdown_options(program.options));
  each_verb(program, "", [&](const std::string& path, const VerbOutline& verb) {
    if (&verb != &program) text += markdown_verb(path, verb);
  });
  return text + "## Exit codes\n" + footer + "\n";
}

}  // namespace tailor::console

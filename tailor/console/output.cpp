// Where text goes: results to stdout, everything else to stderr.
#include "tailor/base/progress.h"
#include "tailor/console/console.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tailor::console {
namespace {

// Control characters of names out of files must not reach the terminal. Line breaks stay.
std::string printable(std::string text) {
  for (char& c : text)
    if ((static_cast<unsigned char>(c) < 32 && c != '\n') || c == 127) c = ' ';
  return text;
}

bool coloured(const Voice& voice) {
  if (voice.color != "auto") return voice.color == "always";
  return progress_style().colour;
}

std::string painted(const Voice& voice, const char* code, const std::string& text) {
  return coloured(voice) ? fmt::format("\033[{}m{}\033[0m", code, text) : text;
}

// Lines behind the first are set in by two.
std::string indented(const std::string& text) {
  std::string result;
  for (char c : text) result += c == '\n' ? std::string("\n  ") : std::string(1, c);
  return result;
}

}  // namespace

void print(const std::string& text) {
  std::size_t written = std::fwrite(text.data(), 1, text.size(), stdout);
  if (written == text.size() && std::fflush(stdout) == 0) return;
  throw Error(Code::write_failed, fmt::format("the result cannot be written: {}", std::strerror(errno)),
              "stdout");
}

std::size_t output_width() {
  struct winsize size {};
  bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? std::max<std::size_t>(size.ws_col, 40) : 120;
}

void print_document(const Json& json) {
  print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void print_error(const Voice& voice, const Error& error) {
  if (error.code() == Code::interrupted) {
    std::string text = printable(error.what()) + "\n";
    if (!error.help().empty())
      text += "  --> " + printable(error.place()) + "\n  help: " + printable(error.help()) + "\n";
    std::fputs(text.c_str(), stderr);
    return;
  }
  std::string text = painted(voice, "1;31", fmt::format("error[{}]", spelling(error.code()))) + ": " +
                     indented(printable(error.what())) + "\n";
  if (!error.place().empty()) text += "  --> " + printable(error.place()) + "\n";
  if (!error.help().empty()) text += "  help: " + indented(printable(error.help())) + "\n";
  if (error.code() == Code::bug)
    text += "  this is a fault of tailor: please report it together with the command line\n";
  std::fputs(text.c_str(), stderr);
}

int report(const Voice& voice, const Error& error) {
  print_error(voice, error);
  if (!voice.json) return exit_code(error.code());
  try {
    print_document({{"schema", "tailor/error/1"},
                    {"code", spelling(error.code())},
                    {"exit", exit_code(error.code())},
                    {"message", error.what()},
                    {"place", error.place()},
                    {"help", error.help()}});
  } catch (const Error&) {  // stdout is what failed
  }
  return exit_code(error.code());
}

void say(const Voice& voice, int level, const std::string& line) {
  if (!voice.quiet && voice.verbosity >= level) std::fputs((printable(line) + "\n").c_str(), stderr);
}

void apply(const Voice& voice) {
  set_quiet(voice.quiet || voice.progress == "none");
  if (voice.progress == "plain") ::setenv("TERM", "dumb", 1);  // a dumb terminal gets plain lines
}

Voice first_look(int count, char** arguments) {
  Voice voice;
  for (int i = 1; i < count; ++i) {
    std::string_view token = arguments[i];
    if (token == "--") break;
    if (token == "--json") voice.json = true;
    if (token == "--color=always") voice.color = "always";
    if (token == "--color=never") voice.color = "never";
  }
  return voice;
}

void check_target(const std::filesystem::path& target) {
  std::filesystem::path folder = target.has_parent_path() ? target.parent_path() : ".";
  if (std::filesystem::is_directory(target) || ::access(folder.c_str(), W_OK | X_OK) != 0)
    throw Error(Code::write_failed, "cannot write there", target.string(),
                "give a file in a folder that exists and that you may write to");
}

}  // namespace tailor::console

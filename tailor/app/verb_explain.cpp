// tailor explain CODE, tailor schema [NAME], tailor --version
#include "tailor/app/app.h"
#include "tailor/app/version.h"
#include "tailor/base/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::app {
namespace {

std::vector<std::string> schema_names() {
  std::vector<std::string> names;
  for (const auto& [name, text] : schemas()) names.emplace_back(name);
  return names;
}

int list_schemas(const Global& global) {
  std::vector<std::string> names = schema_names();
  if (global.json) return print_document(Json(names)), 0;
  return print(fmt::format("{}\n", fmt::join(names, "\n"))), 0;
}

}  // namespace

int explain_code(const Global& global, const std::string& code) {
  const CodeText* text = find_code(code);
  if (!text)
    throw Error(Code::unknown_name, fmt::format("there is no error code '{}'", code), "command line",
                "codes look like E3009; an error message begins with its own");
  int exit = exit_code(text->code);
  if (global.json) {
    print_document({{"code", spelling(text->code)},
                    {"exit", exit},
                    {"title", text->title},
                    {"explanation", text->explanation}});
    return 0;
  }
  print(
      fmt::format("{}: {} (exit code {})\n{}\n", spelling(text->code), text->title, exit, text->explanation));
  return 0;
}

int print_schema(const Global& global, const std::string& name) {
  if (name.empty()) return list_schemas(global);
  for (const auto& [known, text] : schemas())
    if (known == name) return print(std::string(text)), 0;
  throw Error(Code::unknown_name,
              fmt::format("there is no schema '{}'{}", name, did_you_mean(name, schema_names())),
              "command line", fmt::format("schemas: {}", fmt::join(schema_names(), ", ")));
}

int print_version(const Global& global) {
  std::string runtime = "none found (tailor doctor says what to do)";
  Json found;
  try {
    runtime::Runner runner(global.runner);
    const runtime::Hello& hello = runner.hello();
    runtime = fmt::format("{} {} ({})", hello.runtime, hello.version, hello.library);
    found = {{"name", hello.runtime}, {"version", hello.version}, {"library", hello.library}};
  } catch (const Error& error) {
    if (error.code() == Code::interrupted) throw;
  }
  if (global.json)
    print_document({{"tailor", kVersion}, {"compiler", kCompiler}, {"runtime", found}});
  else
    print(fmt::format("tailor {}\ncompiler  {}\nruntime   {}\n", kVersion, kCompiler, runtime));
  return 0;
}

}  // namespace tailor::app

/// \file What the files that describe the command line share. Private.
#pragma once

#include "tailor/app/app.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace CLI {
class App;
}

namespace tailor::app {

/// What the command line asked for.
struct Invocation {
  std::string verb;
  std::function<int(const Global&)> call;
};

inline constexpr const char* kShapeHelp = "size of an input, NAME:1x3x224x224; may be given several times";

/// A verb; `call` is what was asked for once it is named.
CLI::App* add_verb(CLI::App& app, Invocation& invocation, const char* name, const char* help,
                   std::function<int(const Global&)> call);

/// The same with options that live as long as the parser does; `act` is called with them afterwards.
template <class Options>
std::pair<CLI::App*, std::shared_ptr<Options>> verb(CLI::App& app, Invocation& invocation, const char* name,
                                                    const char* help,
                                                    int (*act)(const Global&, const Options&)) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = add_verb(app, invocation, name, help,
                           [act, options](const Global& global) { return act(global, *options); });
  return {sub, options};
}

/// --report.
void add_page(CLI::App& sub, PageArguments& page);
/// devices and its verbs, in arguments_devices.cpp.
void add_devices(CLI::App& app, Invocation& invocation);
/// platform and its verbs, in arguments_platform.cpp.
void add_platform(CLI::App& app, Invocation& invocation);
/// tune and its verbs, in arguments_tune.cpp.
void add_tune(CLI::App& app, Invocation& invocation);

}  // namespace tailor::app

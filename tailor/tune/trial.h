/// \file What became of one configuration that was tried. A failed trial is data, not an error.
#pragma once

#include "tailor/tune/diagram.h"

#include <optional>
#include <string_view>

namespace tailor::tune {

enum class Outcome {
  ok,
  compile,       // the compiler refused it
  invalid,       // it could not be run: a crash, a signal, a refused launch
  timeout,       // compiler or kernel took too long
  device_limit,  // more registers, memory or threads than the device has
  wrong_result   // it ran, and computed something else than the reference
};
inline constexpr Outcome kOutcomes[] = {Outcome::ok,      Outcome::compile,      Outcome::invalid,
                                        Outcome::timeout, Outcome::device_limit, Outcome::wrong_result};
/// "ok", "compile", "invalid", "timeout", "device_limit", "wrong_result"
const char* name(Outcome outcome);
/// Nothing if there is no outcome of that name.
std::optional<Outcome> find_outcome(std::string_view name);

struct Trial {
  Configuration configuration;
  Outcome outcome = Outcome::ok;
  double us = 0;  // of ok ones: > 0; of others without meaning
};

}  // namespace tailor::tune

/// \file toml++ for this module's sources, with its assertions as errors. Private.
///
/// The parser (version 3.3) asserts on some broken texts that it should refuse, and without assertions takes for granted
/// what they say: here they throw std::logic_error. That needs the parser compiled in, not the system's shared library.
#pragma once

#include <stdexcept>

namespace tailor::device {
inline void broken_syntax() { throw std::logic_error("the syntax is broken"); }
}  // namespace tailor::device
#define TOML_ASSERT(condition) ((condition) ? static_cast<void>(0) : ::tailor::device::broken_syntax())
#undef NDEBUG  // with it the parser would take its assertions for granted
#include <toml++/toml.h>

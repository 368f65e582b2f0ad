/// \file Version of the program and the compiler that built it. Private.
#pragma once

namespace tailor::app {

inline constexpr const char* kVersion = TAILOR_VERSION;
#if defined(__clang__)
inline constexpr const char* kCompiler = "clang " __clang_version__;
#else
inline constexpr const char* kCompiler = "g++ " __VERSION__;
#endif

}  // namespace tailor::app

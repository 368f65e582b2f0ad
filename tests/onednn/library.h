/// \file oneDNN for the tests that need it.
#pragma once

#include "runners/onednn/library.h"
#include "tailor/base/error.h"

#include <cstdio>
#include <memory>

namespace tailor::onednn {

/// nullptr where it is not installed.
inline const Library* library() {
  static const std::unique_ptr<Library> found = []() -> std::unique_ptr<Library> {
    try {
      return std::make_unique<Library>("");
    } catch (const Error& error) {
      std::fprintf(stderr, "no oneDNN: %s\n", error.what());
      return nullptr;
    }
  }();
  return found.get();
}

#define TAILOR_NEEDS_LIBRARY() \
  if (!library()) GTEST_SKIP() << "oneDNN 2 is missing (Debian: libdnnl2)"

}  // namespace tailor::onednn

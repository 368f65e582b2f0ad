/// \file The built program as its users start it: arguments and environment in; exit code, stdout, stderr
/// out.
#pragma once

#include "tailor/base/file.h"
#include "tailor/base/json.h"

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace tailor::testing {

struct Finished {
  int exit = -1;  // 128 + n if it died of signal n, as a shell says it
  std::string out, err;
};

struct Start {
  std::vector<std::pair<std::string, std::string>> environment = {};
  std::string stdout_file = {};  // "": a file of the test's own
  long file_limit = 0;           // bytes; 0: none
  double interrupt_after_s = 0;  // 0: never; else SIGINT is sent then
  double kill_after_s = 0;       // 0: never; else SIGKILL is sent then
};

/// Runs `tailor` with `arguments` until it ends. Temporary files go to a folder of its own, which must be
/// empty afterwards: if not, `err` holds "LEFT BEHIND". A program that hangs for two minutes is killed.
Finished run(const std::vector<std::string>& arguments, const Start& start = {});

/// stdout as the one document that it must be. Fails the test and returns null if it is not.
Json document(const Finished& finished);

/// True if ONNX Runtime is there.
bool runtime_found();

}  // namespace tailor::testing

/// Skips the test, visibly, where no ONNX Runtime is.
#define TAILOR_NEEDS_RUNTIME() \
  if (!::tailor::testing::runtime_found()) GTEST_SKIP() << "no ONNX Runtime: run scripts/get-onnxruntime"

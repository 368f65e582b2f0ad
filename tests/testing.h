/// \file What tests share: where the real models lie, and small models made on the spot.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace tailor::testing {

/// The folder of test data that is not part of the repository: $TAILOR_SHARED_DATA or ../shared/data.
inline std::filesystem::path shared_data() {
  if (const char* folder = std::getenv("TAILOR_SHARED_DATA")) return folder;
  return std::filesystem::path(TAILOR_SOURCE_DIR) / ".." / "shared" / "data";
}

/// Path of a real model, "resnet20_cifar10" or "resnet20_cifar10.onnx". It may not exist: see TAILOR_NEEDS.
inline std::filesystem::path real_model(std::string name) {
  if (!name.ends_with(".onnx")) name += ".onnx";
  return shared_data() / "onnx" / name;
}

/// All real models by name, sorted; empty where the data is missing.
inline std::vector<std::filesystem::path> real_models() {
  std::vector<std::filesystem::path> paths;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(shared_data() / "onnx", none))
    if (entry.path().extension() == ".onnx") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace tailor::testing

/// Skips the test, visibly, if `path` is not there.
#define TAILOR_NEEDS(path)                                                                        \
  do {                                                                                            \
    if (!std::filesystem::exists(path))                                                           \
      GTEST_SKIP() << (path) << " is missing: set TAILOR_SHARED_DATA to the folder of test data"; \
  } while (false)

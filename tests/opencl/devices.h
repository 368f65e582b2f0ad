/// \file Descriptions of OpenCL devices for tests, and the one that is there.
#pragma once

#include "tailor/base/error.h"
#include "tailor/tune/backend.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <optional>

namespace tailor::testing {

inline tune::OpenClDevice processor(int vector_floats) {
  tune::OpenClDevice device;
  device.name = "a processor", device.platform = "p", device.version = "OpenCL 3.0", device.driver = "1";
  device.processor = device.by_counts = true, device.units = 4, device.vector_floats = vector_floats;
  device.local_bytes = 1 << 18, device.group = 64;
  return device;
}
inline tune::OpenClDevice gpu() {
  tune::OpenClDevice device = processor(1);
  device.name = "a GPU", device.processor = device.by_counts = false, device.local_bytes = 49152;
  return device;
}

/// The first device of OpenCL; nothing where there is none.
inline const std::optional<tune::OpenClPlace>& opencl_here() {
  static const std::optional<tune::OpenClPlace> found = []() -> std::optional<tune::OpenClPlace> {
    try {
      return tune::find_opencl(0, "", "exec " TAILOR_BINARY_DIR "/bin/tailor-runner-opencl");
    } catch (const Error& error) {
      std::fprintf(stderr, "no OpenCL: %s\n", error.what());
      return std::nullopt;
    }
  }();
  return found;
}

}  // namespace tailor::testing

/// Skips the test, visibly, where no OpenCL is.
#define TAILOR_NEEDS_OPENCL()            \
  if (!::tailor::testing::opencl_here()) \
  GTEST_SKIP() << "no OpenCL device (Debian: pocl-opencl-icd, ocl-icd-libopencl1)"

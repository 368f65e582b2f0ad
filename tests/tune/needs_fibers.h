/// \file Tests that run kernels through emulated_gpu.h begin with NEEDS_FIBERS().
#pragma once

#include <gtest/gtest.h>

#ifdef TAILOR_SANITIZED
#define NEEDS_FIBERS() GTEST_SKIP() << "threads of the emulation are fibers, which sanitizers do not follow"
#else
#define NEEDS_FIBERS() static_cast<void>(0)
#endif

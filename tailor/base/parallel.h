/// \file Work in independent parts, on all cores.
#pragma once

#include <functional>

namespace tailor {

/// Cores to compute on: the machine's, at most 8.
int cores();

/// Calls part(0) ... part(count - 1), each once, on up to cores() threads, and returns when all have ended. If parts
/// throw, the first exception is thrown again then, and parts that have not begun are left out.
void in_parallel(int count, const std::function<void(int)>& part);

}  // namespace tailor

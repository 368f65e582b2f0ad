/// \file Processor time of all threads of this process, since a driver for processors computes on threads of its own.
#pragma once

#include <map>

namespace tailor::opencl {

/// Microseconds of processor time by thread number. O(threads)
using ThreadTimes = std::map<int, double>;
ThreadTimes thread_times();

/// The thread that took most between two looks, and how much; one that came in between began with nothing.
struct Busiest {
  int thread = 0;
  double us = 0;
};
Busiest busiest(const ThreadTimes& before, const ThreadTimes& after);

/// Microseconds on a clock that goes on, of all processes alike.
double wall_us();

}  // namespace tailor::opencl

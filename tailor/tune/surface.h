/// \file From one share of a device to the others: what a kernel that was timed on one thread takes on several.
///
/// Blocks of rows and columns are dealt to the threads in turn, so time follows the one who gets most (arXiv:2011.03897's
/// tail, here of threads instead of multiprocessors). One measurement per configuration ranks all shares; a few
/// measurements at each share then decide.
#pragma once

#include "tailor/latency/workload.h"
#include "tailor/tune/kernel_source.h"

#include <vector>

namespace tailor::tune {

/// The largest part of the work that one of `workers` threads gets, at least 1 / workers and at most 1. O(blocks)
/// @pre `configuration` is of kernel_space(workload, unit); workers >= 1
double largest_load(const latency::Workload& workload, const VectorUnit& unit, const Space& space,
                    const Configuration& configuration, int workers);

/// A configuration that is seldom bad, for operators without a record: a tile of registers with many products per load,
/// blocks of the usual sizes, cut so that every thread gets work. The best of `tries` drawn evenly from the space by that
/// rule; the same for the same arguments. Chosen by a rule, not measured. @pre workers >= 1
Configuration usual_configuration(const latency::Workload& workload, const VectorUnit& unit,
                                  const Space& space, int workers, int tries = 400);

/// A configuration and its time on one thread.
struct OneThread {
  Configuration configuration;
  double us = 0;
};
/// Their order at `workers` threads by the model us x largest_load, fastest first; of equals the one that is also
/// faster on one thread. Modelled, not measured.
std::vector<OneThread> rank_at(const latency::Workload& workload, const VectorUnit& unit, const Space& space,
                               std::vector<OneThread> measured, int workers);

}  // namespace tailor::tune

/// \file The schedule surface: which configuration an operator should have, and what it will take, for sizes that were
/// never measured.
///
/// Operators are of one family where they differ in batch and widths only (rows, depth and columns of a product).
/// Inside a family the time of a configuration is work, padded to whole tiles, over speed. The speed is that of the best
/// at the nearest shapes, times how the configuration compares with the best where it was tried; both are interpolated
/// by inverse squared distance in the logarithms of the sizes (Shepard 1968). How wrong that is
/// follows from leaving each measured shape out and asking the others for it. What cannot be answered so falls back to
/// less, and says why.
#pragma once

#include "tailor/latency/workload.h"
#include "tailor/tune/kernel_source.h"
#include "tailor/tune/records.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tailor::tune {

/// How an answer came to be, from the best to the least.
enum class Ground {
  measured,      // there are records of just this operator and share
  interpolated,  // between measured shapes of its family, with an error
  nearest,       // the configuration of the nearest measured shape: no time is promised
  rule           // usual_configuration: nothing is known of its family here
};
const char* name(Ground ground);  // "measured", "interpolated", "nearest", "rule"

/// A measured shape that an answer rests on.
struct Neighbour {
  std::string op;
  double distance = 0;  // of the logarithms of the sizes; log 2 = twice as wide
  double us = 0;        // of the chosen configuration there; 0 if it was not measured there
};

struct SurfaceAnswer {
  Ground ground = Ground::rule;
  std::vector<std::pair<std::string, Value>> configuration;
  bool library = false;      // the configuration is a library's, and so it is no kernel of ours that is best
  std::optional<double> us;  // measured: the least sample; interpolated: expected; else none
  std::optional<double> lo_us, hi_us;  // interpolated: us over and times 1 + error
  std::string reason;                  // why it is not better grounded; "" of measured ones
  std::vector<Neighbour> neighbours;   // nearest first; of measured and rule none
};

/// Each measured shape of the family asked of the others.
struct SurfaceError {
  int shapes = 0;  // left out that the others could answer
  /// Of the expected time over the time of the chosen configuration there, or of the best one where the chosen one was
  /// not measured there: the greater over the smaller, less 1.
  double median = 0, largest = 0;
  /// Of the configuration that was chosen without it: its time over the best there, less 1, where it was measured there.
  std::optional<double> largest_regret;
};

struct SurfaceOptions {
  double most_error = 0.25;  // of the left-out shapes (largest); above it no time is promised
  double reach = 2;          // factor beyond the measured sizes of the family that is still answered
  int nearest = 3;           // shapes that are interpolated between
  int candidates = 5;        // best configurations of each of them that are considered
};

/// What is measured of one device and share, by family.
class ScheduleSurface {
 public:
  /// @param records those of other keys than `here` (but for operator and layout) and failed trials are passed over, and
  /// operators that no generated kernel computes
  /// @param unit the vectors of the device that was measured @param workers threads that the share is
  ScheduleSurface(const std::vector<Record>& records, const RecordKey& here, const VectorUnit& unit,
                  int workers, SurfaceOptions options = {});

  /// @pre no_kernel(workload) == "" O(shapes^2 x candidates)
  SurfaceAnswer ask(const latency::Workload& workload) const;
  /// Of the family that `workload` belongs to, without itself where it is measured.
  SurfaceError error_of(const latency::Workload& workload) const;

 private:
  struct Shape {
    latency::Workload workload;
    Space space;
    std::vector<Standing> own;        // kernels of ours, best first
    std::optional<Standing> library;  // the best of them
  };
  using Family = std::vector<const Shape*>;
  struct Guess {
    Configuration configuration;
    double us = 0;
  };
  Family family_of(const latency::Workload& workload) const;
  SurfaceAnswer measured(const Shape& shape) const;
  SurfaceAnswer by_rule(const latency::Workload& workload, std::string reason) const;
  std::string beyond(const latency::Workload& workload, const Family& family) const;
  std::optional<Guess> guess(const latency::Workload& workload, const Space& space,
                             const Family& family) const;
  double log_speed(const Shape& shape, const Standing& standing) const;
  double work(const latency::Workload& workload, const Space& space,
              const Configuration& configuration) const;

  std::vector<Shape> shapes_;
  VectorUnit unit_;
  int workers_;
  SurfaceOptions options_;
};

/// Devices and shares that records are of, as keys without operator and layout, sorted; each once.
std::vector<RecordKey> surfaces_in(const std::vector<Record>& records);
/// The vectors of the device that a key names ("AMD EPYC, avx512"); nothing if it names none.
std::optional<VectorUnit> unit_of(const RecordKey& key);

}  // namespace tailor::tune

/// \file A Gaussian process: what a time will be, and how sure that is.
///
/// Matern 5/2 kernel with a length scale per coordinate (Rasmussen, Williams 2006, ch. 4 and 5); the scales and the
/// share of noise are those of greatest marginal likelihood found by coordinate steps on a logarithmic grid, under a
/// log-normal prior that keeps scales near 1 while there are few points. The process variance is integrated into the
/// estimate with an inverse-gamma prior.
#pragma once

#include <optional>
#include <vector>

namespace tailor::tune {

using Points = std::vector<std::vector<double>>;

struct SurrogateOptions {
  double usual_sd = 0.3;  // of the values, as expected before any is seen
  double weight = 3;      // how many points that expectation is worth
  int sweeps = 1;         // coordinate steps over all scales, per fit; 0: the scales stay as they are
};

class Surrogate {
 public:
  /// @param points of equal dimension, at least one @param values one per point, around zero
  /// @param start scales to begin with, one per coordinate and then the noise; empty: 1 and 1e-3
  /// @throws Error bug if sizes contradict each other. O(sweeps x coordinates x points^3)
  Surrogate(Points points, std::vector<double> values, const SurrogateOptions& options = {},
            std::vector<double> start = {});

  struct Prediction {
    double mean = 0, sd = 0;
  };
  /// Of the function itself, without the noise of a measurement. O(points^2)
  Prediction predict(const std::vector<double>& point) const;

  /// The scales, then the noise's share of the variance: where the next fit can begin.
  const std::vector<double>& scales() const { return fit_.scales; }
  /// Logarithm of the marginal likelihood of the values, without constants and with the prior of the scales.
  double evidence() const { return fit_.evidence; }

 private:
  struct Fit {
    std::vector<double> scales;
    std::vector<double> lower;  // Cholesky factor, row by row
    std::vector<double> alpha;  // solution of K alpha = values
    double variance = 1, evidence = 0;
  };
  std::optional<Fit> factorise(std::vector<double> scales) const;
  void improve(int sweeps);

  Points points_;
  std::vector<double> values_;
  SurrogateOptions options_;
  Fit fit_;
};

}  // namespace tailor::tune

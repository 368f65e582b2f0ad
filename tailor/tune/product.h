/// \file A layer as a product of matrices, and what texts of kernels have in common.
#pragma once

#include "tailor/latency/workload.h"
#include "tailor/tune/space.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::tune {

/// m x k times k x n, `images` times. A convolution is its weights times the unrolled image (Chetlur et al.,
/// arXiv:1410.0759), a product its activations times the weights.
struct Product {
  std::int64_t m = 0, n = 0, k = 0, images = 1;
};
Product product_of(const latency::Workload& workload);

/// A name of kernels' texts and its value for a layer.
struct Constant {
  std::string name;
  std::int64_t value = 0;
};
/// M, N, K, IMAGES, CONV, sizes, window, and what is fused.
std::vector<Constant> constants_of(const latency::Workload& workload);
/// "#define M 64L" and so on, with `suffix` behind each number.
std::string defines(const std::vector<Constant>& constants, std::string_view suffix);

/// Those of `sizes` below `whole`, and `whole` itself: values of a parameter.
std::vector<Value> sizes_up_to(const std::vector<std::int64_t>& sizes, std::int64_t whole);

/// The value of an integer parameter; `missing` if the space has none of that name.
std::int64_t setting(const Space& space, const Configuration& configuration, std::string_view name,
                     std::int64_t missing = 0);

}  // namespace tailor::tune

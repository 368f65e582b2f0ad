#include "tailor/tune/kernel_source.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/latency/post.h"
#include "tailor/tune/product.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::tune {

using latency::Kind;
using latency::Workload;

namespace {

std::vector<Constant> blocks_in(const Space& space, const Configuration& configuration) {
  return {{"KC", setting(space, configuration, "kc")},
          {"MC", setting(space, configuration, "mc")},
          {"NC", setting(space, configuration, "nc")}};
}

// What even a kernel for any shape knows, and the text behind it.
std::string tile_text(const VectorUnit& unit, const Space& space, const Configuration& configuration) {
  const std::vector<Constant> tile = {{"MR", setting(space, configuration, "mr")},
                                      {"NV", setting(space, configuration, "nv")},
                                      {"PACK_LEFT", setting(space, configuration, "pack")}};
  return defines(tile, "L") +
         fmt::format("#define VL {}\n#define UNROLL_ALL _Pragma(\"GCC unroll 16\")\n", unit.floats) +
         fmt::format("#define UNROLL_DEPTH _Pragma(\"GCC unroll {}\")\n",
                     setting(space, configuration, "unroll")) +
         std::string(kernel_texts().front().second);
}

}  // namespace

VectorUnit vector_unit() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {16, 32, "avx512"};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {8, 16, "avx2"};
  return {4, 16, "sse"};
#else
  return {4, 32, "128 bit"};
#endif
}

std::string no_kernel(const Workload& w) {
  if (w.kind == Kind::conv_transpose) return "transposed convolution";
  if (w.type != graph::DataType::f32) return "not f32";
  if (w.kind == Kind::conv && w.g != 1) return "grouped convolution";
  for (const std::string& word : latency::post_words(w.post))
    if (word != "bias" && word != "bn" && word != "add" && word != "relu" && word != "clip")
      return fmt::format("followed by '{}'", word);
  const Product p = product_of(w);
  if (p.m < 1 || p.n < 1 || p.k < 1 || p.images < 1) return "an empty product";
  constexpr std::int64_t kMost = std::int64_t{1} << 28;  // elements of an operand: 1 GiB
  if (p.m > kMost / p.k || p.n > kMost / p.k || p.m > kMost / p.n) return "operands of more than 1 GiB";
  return {};
}

Space kernel_space(const Workload& workload, const VectorUnit& unit) {
  TAILOR_CHECK(no_kernel(workload).empty());
  const Product p = product_of(workload);
  auto numbers = [](const std::vector<std::int64_t>& list) {
    return std::vector<Value>(list.begin(), list.end());
  };
  std::vector<Parameter> parameters = {{"mr", numbers({1, 2, 3, 4, 5, 6, 8, 10, 12, 14})},
                                       {"nv", numbers({1, 2, 3, 4, 6})},
                                       {"unroll", numbers({1, 2, 4})},
                                       {"kc", sizes_up_to({64, 128, 192, 256, 384, 512}, p.k)},
                                       {"mc", sizes_up_to({24, 48, 96, 192, 384}, p.m)},
                                       {"nc", sizes_up_to({48, 96, 192, 384, 768, 1536}, p.n)}};
  if (workload.kind == Kind::gemm) parameters.push_back({"pack", numbers({0, 1})});
  const std::int64_t m = p.m, n = p.n;
  return Space(
      std::move(parameters),
      std::vector<std::string>{fmt::format("mr * nv + nv + 1 <= {}",
                                           unit.registers),  // accumulators, one row of right, one of left
                               fmt::format("mr == 1 or mr <= {}", m),
                               fmt::format("nv == 1 or (nv - 1) * {} < {}", unit.floats, n),
                               "mc >= mr or mc == " + std::to_string(m),
                               fmt::format("nc >= nv * {} or nc == {}", unit.floats, n)});
}

std::string kernel_source(const Workload& workload, const VectorUnit& unit, const Space& space,
                          const Configuration& configuration) {
  return defines(constants_of(workload), "L") + defines(blocks_in(space, configuration), "L") +
         tile_text(unit, space, configuration);
}

ShapelessKernel shapeless_kernel(const Workload& workload, const VectorUnit& unit, const Space& space,
                                 const Configuration& configuration) {
  const bool unpacked = workload.kind == Kind::gemm && setting(space, configuration, "pack") == 0;
  ShapelessKernel kernel;
  std::string names, places;
  for (const std::vector<Constant>& list : {constants_of(workload), blocks_in(space, configuration)})
    for (const Constant& c : list) {
      // Rows that lie K apart are addressed by constants, or else take the tile's registers.
      if (c.name == "CONV" || (c.name == "K" && unpacked)) {
        kernel.text += defines({c}, "L");
        continue;
      }
      kernel.shape.push_back(c.value);
      names += (names.empty() ? "" : ", ") + c.name, places += (places.empty() ? "&" : ", &") + c.name;
    }
  kernel.text += fmt::format("#define ANY_SHAPE {}\n#define ANY_SHAPE_PLACES {}\n", names, places) +
                 tile_text(unit, space, configuration);
  return kernel;
}

Blocks blocks_of(const Workload& workload, const VectorUnit& unit, const Space& space,
                 const Configuration& configuration) {
  const Product p = product_of(workload);
  auto up = [](std::int64_t number, std::int64_t step) { return (number + step - 1) / step * step; };
  const std::int64_t mr = setting(space, configuration, "mr"),
                     nr = setting(space, configuration, "nv") * unit.floats;
  return {p.images,
          p.m,
          p.n,
          up(std::min(setting(space, configuration, "mc"), up(p.m, mr)), mr),
          up(std::min(setting(space, configuration, "nc"), up(p.n, nr)), nr),
          mr,
          nr};
}

std::string kernel_hash() { return sha256(kernel_texts().front().second); }

}  // namespace tailor::tune

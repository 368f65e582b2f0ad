// no_cuda_kernel: what the text can do. cuda_space: parameters and conditions. cuda_launch: the sizes that follow from a
// configuration. cuda_source: first line, constants, text.
#include "tailor/tune/cuda_source.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/json.h"
#include "tailor/latency/post.h"
#include "tailor/latency/wave_model.h"
#include "tailor/tune/kernel_source.h"
#include "tailor/tune/product.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::tune {

using latency::Kind;
using latency::Workload;

namespace {

constexpr std::int64_t kMostElements = std::int64_t{1} << 30;  // indices are of 32 bits
constexpr int kFinishThreads = 256;                            // as kernels/product.cu

std::int64_t up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit; }

// The product of sizes that are at least one, or one more than the limit.
std::int64_t bounded_product(std::initializer_list<std::int64_t> sizes) {
  std::int64_t product = 1;
  for (std::int64_t size : sizes) {
    if (product > kMostElements / size) return kMostElements + 1;
    product *= size;
  }
  return product;
}

// Windows begin inside the padded image and end inside it.
bool windows_fit(const Workload& w) {
  return (w.oh - 1) * w.sh + (w.kh - 1) * w.dh < w.ih + w.pt + w.pb &&
         (w.ow - 1) * w.sw + (w.kw - 1) * w.dw < w.iw + w.pl + w.pr;
}

// Elements that are moved at a time: the most, up to 16 bytes, that divide a row.
int grain(std::int64_t row) {
  for (int elements : {8, 4, 2})
    if (row % elements == 0) return elements;
  return 1;
}

std::vector<Value> numbers(const std::vector<std::int64_t>& list) {
  return std::vector<Value>(list.begin(), list.end());
}

Json launches(const CudaLaunch& l) {
  Json json = {{"workspace", l.split > 1 ? l.split * l.m * l.n : 0},
               {"persistent", l.persistent},
               {"run",
                {{{"kernel", "product"},
                  {"grid", Json::array({l.blocks()})},
                  {"block", Json::array({l.threads})},
                  {"shared", l.dynamic_bytes()}}}}};
  if (l.split > 1)
    json["run"].push_back({{"kernel", "finish"},
                           {"grid", Json::array({up(l.m * l.n, kFinishThreads)})},
                           {"block", Json::array({kFinishThreads})},
                           {"shared", 0}});
  return json;
}

std::vector<Constant> layer_constants(const Workload& w, const CudaLaunch& l) {
  const std::vector<std::string> words = latency::post_words(w.post);
  auto has = [&](const char* word) { return std::find(words.begin(), words.end(), word) != words.end(); };
  return {{"M", l.m},
          {"N", l.n},
          {"K", l.k},
          {"IC", w.ic},
          {"IH", w.ih},
          {"IW", w.iw},
          {"OH", w.oh},
          {"OW", w.ow},
          {"KH", w.kh},
          {"KW", w.kw},
          {"SH", w.sh},
          {"SW", w.sw},
          {"DH", w.dh},
          {"DW", w.dw},
          {"PT", w.pt},
          {"PL", w.pl},
          {"PB", w.pb},
          {"PR", w.pr},
          {"BIAS", has("bias") || has("bn")},
          {"RESIDUAL", has("add")},
          {"RELU", has("relu")},
          {"CLIP", has("clip")},
          {"LEFT_GRAIN", l.left_grain},
          {"RIGHT_GRAIN", l.right_grain}};
}

std::vector<Constant> kernel_constants(const CudaLaunch& l) {
  return {{"BM", l.bm},
          {"BN", l.bn},
          {"BK", l.bk},
          {"STAGES", l.stages},
          {"WM", l.wm},
          {"WN", l.wn},
          {"SPLIT", l.split},
          {"RASTER", l.raster},
          {"SHARED_BYTES", l.shared_bytes},
          {"PERSISTENT", l.persistent}};
}

}  // namespace

std::string no_cuda_kernel(const Workload& w) {
  if (w.type != graph::DataType::f16) return "not f16";
  const bool large = bounded_product({w.mb, w.ic, w.ih, w.iw}) > kMostElements ||
                     bounded_product({w.mb, w.oc, w.oh, w.ow}) > kMostElements ||
                     bounded_product({w.kh, w.kw, w.ic, w.oc}) > kMostElements ||
                     bounded_product({w.ih + w.pt + w.pb, w.iw + w.pl + w.pr, w.ic}) > kMostElements;
  if (large) return "tensors of more than 2^30 elements";
  Workload as_f32 = w;
  as_f32.type = graph::DataType::f32;
  // Its limit on operands is of unrolled images, which are nowhere here.
  if (std::string reason = no_kernel(as_f32); !reason.empty() && !reason.starts_with("operands"))
    return reason;
  return windows_fit(w) ? "" : "windows beyond the image";
}

std::string cuda_architecture(const device::Device& device) {
  const auto [major, minor] = device.capability();
  if (major < 7 || (major == 7 && minor < 5))
    throw Error(
        Code::bad_value,
        fmt::format("{} ({}) has no tensor cores that these kernels know", device.title, device.architecture),
        "--device", "NVIDIA devices of compute capability 7.5 or newer have: tailor devices list");
  return fmt::format("sm_{}{}{}", major, minor, major == 9 ? "a" : "");
}

Space cuda_space(const Workload& workload, const device::Device& device) {
  TAILOR_CHECK(no_cuda_kernel(workload).empty());
  const latency::Product p = latency::product_of(workload);
  std::vector<Parameter> parameters = {{"bm", numbers({16, 32, 64, 128, 192, 256})},
                                       {"bn", numbers({32, 64, 128, 256})},
                                       {"bk", numbers({32, 64, 128})},
                                       {"stages", numbers({2, 3, 4, 5, 6})},
                                       {"wm", numbers({1, 2, 4, 8})},
                                       {"wn", numbers({1, 2, 4, 8})},
                                       {"split_k", numbers({1, 2, 4, 8})},
                                       {"raster", numbers({1, 2, 4, 8})},
                                       {"persistent", numbers({0, 1})}};
  return Space(std::move(parameters),
               std::vector<std::string>{
                   "wm * wn == 4 or wm * wn == 8", "bm % (16 * wm) == 0", "bn % (16 * wn) == 0",
                   "bm * bn <= 4096 * wm * wn",  // 128 sums of each thread
                   fmt::format("2 * (bm + bn) * bk * stages <= {}", device.sm.shared_bytes_per_block),
                   fmt::format("bm <= 32 or bm < {}", 2 * p.m), fmt::format("bn <= 64 or bn < {}", 2 * p.n),
                   fmt::format("bk == 32 or bk < {}", 2 * p.k),
                   fmt::format("stages == 2 or (stages - 2) * bk < {}", p.k),
                   fmt::format("split_k == 1 or (split_k - 1) * bk < {}", p.k),
                   fmt::format("raster == 1 or (raster - 1) * bm < {}", p.m),
                   fmt::format("persistent == 0 or (({} + bm) // bm) * (({} + bn) // bn) * split_k > {}",
                               p.m - 1, p.n - 1, device.sm.count)});
}

CudaLaunch cuda_launch(const Workload& workload, const Space& space, const Configuration& configuration) {
  auto chosen = [&](std::string_view name) { return static_cast<int>(setting(space, configuration, name)); };
  const latency::Product p = latency::product_of(workload);
  CudaLaunch l;
  l.m = p.m, l.n = p.n, l.k = p.k;
  l.bm = chosen("bm"), l.bn = chosen("bn"), l.bk = chosen("bk"), l.stages = chosen("stages");
  l.wm = chosen("wm"), l.wn = chosen("wn"), l.split = chosen("split_k"), l.raster = chosen("raster");
  l.persistent = chosen("persistent") == 1;
  l.threads = 32 * l.wm * l.wn;
  l.shared_bytes = std::int64_t{2} * (l.bm + l.bn) * l.bk * l.stages;
  l.tiles_m = up(l.m, l.bm), l.tiles_n = up(l.n, l.bn);
  l.left_grain = grain(workload.ic), l.right_grain = grain(l.n);
  return l;
}

std::string cuda_source(const Workload& workload, const Space& space, const Configuration& configuration) {
  const CudaLaunch launch = cuda_launch(workload, space, configuration);
  return "// tailor " + to_line(launches(launch)) + "\n" + defines(layer_constants(workload, launch), "") +
         defines(kernel_constants(launch), "") + std::string(cuda_texts().front().second);
}

std::string cuda_hash() { return sha256(cuda_texts().front().second); }

namespace {

// The configuration of these values; nothing if the space has it not.
std::optional<Configuration> find_configuration(const Space& space, const std::vector<std::int64_t>& values) {
  Configuration configuration;
  for (std::size_t p = 0; p < values.size(); ++p) {
    const std::optional<int> at = space.find(p, Value(values[p]));
    if (!at) return std::nullopt;
    configuration.push_back(*at);
  }
  return space.allows(configuration) ? std::optional(configuration) : std::nullopt;
}

struct TileShape {
  std::int64_t bm, bn, wm, wn;
};
constexpr TileShape kUsualTiles[] = {{128, 128, 2, 4}, {128, 64, 4, 2}, {64, 128, 2, 4}, {64, 64, 2, 2},
                                     {32, 64, 2, 2},   {64, 32, 2, 2},  {32, 32, 2, 2},  {16, 64, 1, 4}};

}  // namespace

Configuration usual_cuda_configuration(const Workload& workload, const Space& space,
                                       const device::Device& device) {
  const latency::Product p = latency::product_of(workload);
  std::optional<Configuration> smallest;
  for (const TileShape& tile : kUsualTiles)
    for (const std::int64_t bk : {64, 32})
      for (const std::int64_t stages : {3, 2}) {
        const auto found =
            find_configuration(space, {tile.bm, tile.bn, bk, stages, tile.wm, tile.wn, 1, 1, 0});
        if (!found) continue;
        if (up(p.m, tile.bm) * up(p.n, tile.bn) >= device.sm.count) return *found;
        smallest = found;
      }
  return smallest ? *smallest : space.at(0);
}

}  // namespace tailor::tune

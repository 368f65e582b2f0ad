// product_of -> plausible_kernels -> model_layer for each -> the fastest. model_layer: Sizes (blocks, padding), then
// one function per term of the latency.
#include "tailor/latency/wave_model.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace tailor::latency {
namespace {

using device::Device;
using Path = GpuKernel::Path;

// Constants of the form, the same for every device (docs/results.md says what they were fitted on).
constexpr WaveForm kForm;
constexpr double kL2BytesPerClock = 64;  // of each multiprocessor
constexpr std::int64_t kReduction = 8;   // reductions are worked through in steps of so many
constexpr double kDirect = 4;        // a thread per output keeps no operand in registers: assumed, not fitted
constexpr Tile kThreadEach{256, 1};  // outputs of a block with a thread for each
constexpr Tile kWarpEach{8, 1};      // with a warp for each, which reads along the reduction
constexpr std::int64_t kFewRows = 16;  // products with fewer are also done output by output

constexpr std::array<Tile, 9> kVectorTiles = {
    {{128, 128}, {128, 64}, {64, 128}, {64, 64}, {128, 32}, {32, 128}, {64, 32}, {32, 64}, {32, 32}}};
constexpr std::array<Tile, 8> kMatrixTiles = {
    {{256, 128}, {128, 256}, {128, 128}, {256, 64}, {64, 256}, {128, 64}, {64, 128}, {64, 64}}};
constexpr std::array<int, 5> kSplits = {1, 2, 4, 8, 16};
constexpr std::int64_t kLeastPart = 64;  // of a split reduction
constexpr double kPartBytes = 4;         // parts are f32

std::int64_t rounded_up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit * unit; }

std::int64_t element_bytes(const std::string& precision) {
  return precision == "i8" ? 1 : precision == "f16" || precision == "bf16" ? 2 : 4;
}

// Channels of 16 bytes.
std::int64_t alignment(const std::string& precision) { return 16 / element_bytes(precision); }

bool has_matrix_units(const Device& d, const std::string& precision) {
  return precision != "f32" && (d.vendor == "amd" || d.capability().first >= 7);
}

// Persistent kernels that share out the last waves: CUTLASS 3's, from compute capability 9 on.
bool shares_tails(const Device& d, const GpuKernel& kernel) {
  return kernel.path == Path::matrix && kernel.split == 1 && d.capability().first >= 9;
}

double peak(const Device& d, const GpuKernel& kernel, const std::string& precision) {
  auto found = d.peak_tflops.find(kernel.path == Path::matrix ? precision : "f32");
  if (kernel.path != Path::matrix && precision != "f32")  // lanes that know half precision themselves
    if (auto own = d.peak_tflops.find(precision);
        own != d.peak_tflops.end() && !has_matrix_units(d, precision))
      found = own;
  return found->second;
}

double work(const Device& d, const std::string& precision) {
  auto found = d.work.find(precision);
  return found == d.work.end() ? 1 : found->second;
}

bool direct(const Product& p) { return p.groups > 1 && (p.n < 8 || p.k < 8); }

// A product as a kernel sees it.
struct Sizes {
  std::int64_t m = 1, n = 1, k = 1;  // of one block's part: k of a split
  std::int64_t blocks = 1;
};

Sizes sizes(const Product& p, const GpuKernel& kernel, std::int64_t aligned_to) {
  if (kernel.path == Path::direct) return {p.m, p.n, p.k, tiles(p.groups * p.m * p.n, 1, kernel.tile)};
  const std::int64_t n = rounded_up(p.n, aligned_to), k = rounded_up(p.k, aligned_to);
  const std::int64_t part = rounded_up((k + kernel.split - 1) / kernel.split, kReduction);
  return {p.m, n, part, p.groups * tiles(p.m, n, kernel.tile) * kernel.split};
}

double rounds_of(const Device& d, const GpuKernel& kernel, const Sizes& s) {
  const auto whole = static_cast<double>(serial_rounds(s.blocks, d.sm.count));
  const bool shared = kernel.shares && stream_k_persistent(s.blocks, s.k / 64, d.sm.count) > 0;
  return shared ? std::max(1.0, static_cast<double>(s.blocks) / d.sm.count) : whole;
}

// Floating point operations of one block.
double block_work(const GpuKernel& kernel, const Sizes& s) {
  return 2.0 * kernel.tile.m * kernel.tile.n * static_cast<double>(s.k);
}

double tile_perimeter(Tile tile) { return 1.0 / tile.m + 1.0 / tile.n; }

double compute_us(const Device& d, const GpuKernel& kernel, const Sizes& s, const std::string& precision) {
  const double of_one =
      peak(d, kernel, precision) * 1e6 / d.sm.count;  // operations per us of a multiprocessor
  double factor = work(d, kernel.path == Path::matrix ? precision : "f32");
  if (kernel.path == Path::vector) factor += kForm.operands * tile_perimeter(kernel.tile);
  if (kernel.path == Path::direct) factor *= kDirect;
  return rounds_of(d, kernel, s) * block_work(kernel, s) / of_one * factor;
}

// What the tiles of all blocks read of their operands comes from the L2.
double operand_us(const Device& d, const GpuKernel& kernel, const Sizes& s, std::int64_t bytes) {
  if (kernel.path != Path::matrix) return 0;
  const double read =
      rounds_of(d, kernel, s) * (kernel.tile.m + kernel.tile.n) * static_cast<double>(s.k * bytes);
  return read / (kL2BytesPerClock * d.clock_mhz);
}

double memory_us(const Device& d, const Workload& w, const Product& p, const GpuKernel& kernel,
                 std::int64_t bytes, bool aligned) {
  const std::int64_t elements = latency::bytes(w) / static_cast<std::int64_t>(graph::element_size(w.type));
  auto moved = static_cast<double>(elements * bytes);
  if (!aligned)
    moved += 2 * static_cast<double>(p.groups * p.m * p.k * bytes) / static_cast<double>(w.kh * w.kw);
  if (kernel.split > 1) moved += kPartBytes * kernel.split * static_cast<double>(p.groups * p.m * p.n);
  return kForm.memory * moved / (d.gbytes_per_s * 1e3);
}

// The parts of split reductions are read and added by a kernel of their own.
double adding_us(const Device& d, const Product& p, const GpuKernel& kernel, std::int64_t bytes) {
  if (kernel.split == 1) return 0;
  const auto outputs = static_cast<double>(p.groups * p.m * p.n);
  return d.launch_us + kForm.memory * outputs * (kPartBytes * kernel.split + static_cast<double>(bytes)) /
                           (d.gbytes_per_s * 1e3);
}

double joined(double a, double b, double c, double exponent = kForm.exponent) {
  return std::pow(std::pow(a, exponent) + std::pow(b, exponent) + std::pow(c, exponent), 1 / exponent);
}

}  // namespace

Product product_of(const Workload& w) {
  if (w.kind == Kind::gemm) return {1, w.mb, w.oc, w.ic};
  const std::int64_t taps = w.kh * w.kw;
  if (w.kind == Kind::conv_transpose) return {w.g, w.mb * w.ih * w.iw, w.oc / w.g * taps, w.ic / w.g};
  return {w.g, w.mb * w.oh * w.ow, w.oc / w.g, w.ic / w.g * taps};
}

std::string to_string(const GpuKernel& kernel) {
  if (kernel.path == Path::direct) return "direct";
  std::string text = fmt::format("{}x{}", kernel.tile.m, kernel.tile.n);
  if (kernel.split > 1) text += fmt::format(" split {}", kernel.split);
  return kernel.shares ? text + " stream-K" : text;
}

void check_precision(const Device& d, const std::string& precision) {
  if (d.peak_tflops.contains(precision)) return;
  std::vector<std::string> known;
  for (const auto& [name, tflops] : d.peak_tflops) known.push_back(name);
  throw Error(Code::bad_value, fmt::format("{} has no arithmetic in '{}'", d.title, precision), "--precision",
              fmt::format("one of {}", fmt::join(known, ", ")));
}

std::vector<GpuKernel> plausible_kernels(const Device& d, const Workload& w, const std::string& precision) {
  const Product p = product_of(w);
  if (direct(p)) return {{Path::direct, kThreadEach, 1, false}};
  const bool matrix = has_matrix_units(d, precision);
  std::vector<GpuKernel> kernels;
  if (p.m < kFewRows) kernels.push_back({Path::direct, kWarpEach, 1, false});
  for (Tile tile : matrix ? std::vector<Tile>(kMatrixTiles.begin(), kMatrixTiles.end())
                          : std::vector<Tile>(kVectorTiles.begin(), kVectorTiles.end()))
    for (int split : kSplits)
      if (split == 1 || p.k / split >= kLeastPart) {
        GpuKernel kernel{matrix ? Path::matrix : Path::vector, tile, split, false};
        kernel.shares = shares_tails(d, kernel);
        kernels.push_back(kernel);
      }
  return kernels;
}

ModelledLayer model_layer(const Device& d, const Workload& w, const std::string& precision,
                          const GpuKernel& kernel) {
  const Product p = product_of(w);
  const std::int64_t bytes = element_bytes(precision);
  const std::int64_t aligned_to = kernel.path == Path::matrix ? alignment(precision) : 1;
  const Sizes s = sizes(p, kernel, aligned_to);
  ModelledLayer layer{kernel, {s.blocks, d.sm.count}, serial_rounds(s.blocks, d.sm.count)};
  layer.aligned = s.n == p.n && (w.ic / w.g) % aligned_to == 0;
  if (kernel.path != Path::direct) layer.tile_efficiency = tile_efficiency(p.m, p.n, kernel.tile);
  layer.paid_rounds = rounds_of(d, kernel, s);
  layer.launch_us = d.launch_us;
  layer.adding_us = adding_us(d, p, kernel, bytes);
  layer.compute_us = compute_us(d, kernel, s, precision);
  layer.operand_us = operand_us(d, kernel, s, bytes);
  layer.memory_us = memory_us(d, w, p, kernel, bytes, layer.aligned);
  layer.us = layer.launch_us + layer.adding_us + joined(layer.compute_us, layer.operand_us, layer.memory_us);
  return layer;
}

ModelledLayer model_layer(const Device& d, const Workload& w, const std::string& precision) {
  std::vector<GpuKernel> kernels = plausible_kernels(d, w, precision);
  ModelledLayer best = model_layer(d, w, precision, kernels.front());
  for (std::size_t i = 1; i < kernels.size(); ++i)
    if (ModelledLayer layer = model_layer(d, w, precision, kernels[i]); layer.us < best.us) best = layer;
  return best;
}

double vector_launch_us(const Device& d, Tile tile, std::int64_t blocks, std::int64_t k, std::int64_t bytes,
                        double work, const WaveForm& form) {
  const double of_one = d.peak_tflops.at("f32") * 1e6 / d.sm.count;
  const double of_block = 2.0 * tile.m * tile.n * static_cast<double>(rounded_up(k, kReduction));
  const double compute = static_cast<double>(serial_rounds(blocks, d.sm.count)) * of_block / of_one *
                         (work + form.operands * tile_perimeter(tile));
  return joined(compute, 0, form.memory * static_cast<double>(bytes) / (d.gbytes_per_s * 1e3), form.exponent);
}

WaveModel::WaveModel(Device device, std::string precision)
    : device_(std::move(device)), precision_(std::move(precision)) {
  check_precision(device_, precision_);
}

std::vector<Estimate> WaveModel::evaluate(std::span<const Workload> workloads) {
  std::vector<Estimate> estimates;
  const auto known = device_.error.find(precision_);
  const double error = known == device_.error.end() ? 0 : known->second;
  for (const Workload& w : workloads) {
    ModelledLayer layer = model_layer(device_, w, precision_);
    estimates.push_back({{layer.us},
                         {layer.us * (1 - error)},
                         {layer.us * (1 + error)},
                         How::modelled,
                         to_string(layer.kernel)});
  }
  return estimates;
}

Context WaveModel::context() const { return {"wave model", "1", precision_, device_.title, 1, "modelled"}; }

}  // namespace tailor::latency

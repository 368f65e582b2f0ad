// estimate_cuda: occupancy and waves, then the clocks of a wave, the bytes of memory, and their sum. rank_cuda: choose,
// compile, estimate with what the compiler said, sort.
#include "tailor/tune/cuda_rank.h"

#include "tailor/base/error.h"
#include "tailor/latency/wave_model.h"
#include "tailor/latency/waves.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <map>
#include <tuple>

namespace tailor::tune {
namespace {

using device::Device;
using latency::Workload;

constexpr double kMmaShareFrom9 = 0.629;      // of the peak, by mma.sync on Hopper (arXiv:2402.13499)
constexpr double kSharedBytesPerClock = 128;  // of a multiprocessor
constexpr double kL2BytesPerClock = 64;       // of a multiprocessor; assumed
constexpr double kPiecesPerClock = 8;         // of a multiprocessor; assumed
constexpr double kLatencyClocks = 700;        // from memory to shared memory; assumed
constexpr double kL2Share = 0.5;              // of the L2 that operands can count on; assumed
constexpr double kHalf = 2, kPart = 4;        // bytes of an element, and of a sum
constexpr latency::WaveForm kForm;

double real(std::int64_t number) { return static_cast<double>(number); }
std::int64_t up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit; }

bool has(const Workload& w, const char* word) {
  return ("+" + w.post + "+").find(fmt::format("+{}+", word)) != std::string::npos;
}

// Operations of one clock of one multiprocessor.
double mma_rate(const Device& d) {
  const auto peak = d.peak_tflops.find("f16");
  if (peak == d.peak_tflops.end())
    throw Error(Code::bad_value, fmt::format("{} states no peak for f16", d.title), "peak_tflops",
                "add it to the description: tailor devices show");
  const double share = d.capability().first >= 9 ? kMmaShareFrom9 : 1;
  return share * peak->second * 1e6 / (d.clock_mhz * d.sm.count);
}

// As the wave model joins what overlaps: little more than the longest, unless another is about as long.
template <std::size_t Count>
double joined(const std::array<double, Count>& parts) {
  double sum = 0;
  for (const double part : parts) sum += std::pow(part, kForm.exponent);
  return std::pow(sum, 1 / kForm.exponent);
}

struct Step {
  double clocks = 0;
  Pace pace = Pace::mma;
};
// One step of `c` blocks on a multiprocessor.
Step step_of(const Device& d, const CudaLaunch& l, std::int64_t c) {
  const double tiles = real(l.bm + l.bn) * l.bk * kHalf;
  const double read = real(l.wm * l.wn) * (real(l.bm / l.wm) + real(l.bn / l.wn)) * l.bk * kHalf;
  const double pieces = real(l.bm) * l.bk / l.left_grain + real(l.bn) * l.bk / l.right_grain;
  const std::array<double, 5> clocks = {real(c) * 2 * real(l.bm) * l.bn * l.bk / mma_rate(d),
                                        real(c) * read / kSharedBytesPerClock,
                                        real(c) * tiles / kL2BytesPerClock,
                                        real(c) * pieces / kPiecesPerClock, kLatencyClocks / (l.stages - 1)};
  const auto longest = std::max_element(clocks.begin(), clocks.end());
  return {joined(clocks), static_cast<Pace>(longest - clocks.begin())};
}

double wave_clocks(const Device& d, const CudaLaunch& l, std::int64_t c) {
  const double written = real(l.bm) * l.bn * (l.split > 1 ? kPart : kHalf);
  return kLatencyClocks + real(up(l.steps(), l.split)) * step_of(d, l, c).clocks +
         real(c) * written / kL2BytesPerClock;
}

// Operands from memory: once, or where the L2 does not hold them what each wave touches.
double operand_bytes(const Device& d, const Workload& w, const CudaLaunch& l, const CudaEstimate& e) {
  const double left = kHalf * real(w.mb * w.ic * w.ih * w.iw), right = kHalf * real(l.k * l.n);
  if (left + right <= kL2Share * d.l2_mbytes * 1e6) return left + right;
  const std::int64_t at_once = std::min(e.capacity, l.tiles_m * l.tiles_n);
  const std::int64_t high = std::min<std::int64_t>(l.raster, l.tiles_m), wide = up(at_once, high);
  const std::int64_t columns = std::min(wide, l.tiles_n), bands = up(wide, l.tiles_n);
  const double rows = real(std::min(high * bands, l.tiles_m));
  const double of_wave = (left * rows / real(l.tiles_m) + right * real(columns) / real(l.tiles_n)) / l.split;
  return std::max(left + right, real(e.waves) * of_wave);
}

double us_of_bytes(const Device& d, double bytes) { return kForm.memory * bytes / (d.gbytes_per_s * 1e3); }

double memory_us(const Device& d, const Workload& w, const CudaLaunch& l, const CudaEstimate& e) {
  const double outputs = real(l.m * l.n);
  const double written = l.split > 1 ? kPart * l.split * outputs : kHalf * outputs * (has(w, "add") ? 2 : 1);
  return us_of_bytes(d, operand_bytes(d, w, l, e) + written);
}

double finish_us(const Device& d, const Workload& w, const CudaLaunch& l) {
  if (l.split == 1) return 0;
  const double outputs = real(l.m * l.n);
  return d.launch_us + us_of_bytes(d, outputs * (kPart * l.split + kHalf * (has(w, "add") ? 2 : 1)));
}

void check_share(const Device& d, int multiprocessors) {
  if (multiprocessors < 1 || multiprocessors > d.sm.count)
    throw Error(Code::bad_value, fmt::format("{} multiprocessors of {}", multiprocessors, d.sm.count),
                "--sms", fmt::format("{} has 1 to {}", d.title, d.sm.count));
}

// Ranks of what became of a variant: the lower ones first.
int standing(const CudaVariant& v) {
  if (v.build.outcome != Outcome::ok) return 3;
  if (v.estimate.occupancy.blocks == 0) return 2;
  const CudaKernelFacts* product = v.build.find("product");
  return product && product->spills() ? 1 : 0;
}

// One text for each chosen configuration.
std::vector<std::string> choose(const Workload& workload, const Device& device, int most,
                                CudaRanking& ranking) {
  const Space space = cuda_space(workload, device);
  ranking.space = space.count();
  std::vector<std::string> texts;
  for (Configuration& configuration :
       chosen_to_compile(workload, space, device, ranking.multiprocessors, most)) {
    texts.push_back(cuda_source(workload, space, configuration));
    CudaVariant variant;
    variant.launch = cuda_launch(workload, space, configuration);
    variant.configuration = std::move(configuration);
    ranking.variants.push_back(std::move(variant));
  }
  return texts;
}

void require_one(const CudaRanking& ranking) {
  for (const CudaVariant& v : ranking.variants)
    if (v.build.outcome == Outcome::ok) return;
  const CudaBuild& first = ranking.variants.front().build;
  throw Error(Code::runtime_refused,
              fmt::format("none of {} variants compiled, the first one: {}: {}", ranking.variants.size(),
                          name(first.outcome), first.message),
              latency::to_string(ranking.workload),
              "tailor doctor says which NVRTC is used; try another one");
}

void take(CudaBuild&& build, const Workload& workload, const Device& device, CudaRanking& ranking,
          CudaVariant& v) {
  v.build = std::move(build);
  ranking.compile_s += v.build.seconds;
  const CudaKernelFacts* product = v.build.find("product");
  const int registers = product ? product->registers : guessed_registers(v.launch);
  v.estimate = estimate_cuda(device, workload, v.launch, registers, ranking.multiprocessors);
}

}  // namespace

const char* name(Pace pace) {
  constexpr std::array names = {"mma", "shared", "operands", "pieces", "latency"};
  return names[static_cast<std::size_t>(pace)];
}

int guessed_registers(const CudaLaunch& l) {
  const int rows = l.bm / l.wm / 16, columns = l.bn / l.wn / 8;
  const int places = std::min(8, l.bm * l.bk / 8 / l.threads);
  return std::min(255, rows * columns * 4 + rows * 4 + columns * 2 + places * 3 + 40);
}

CudaEstimate estimate_cuda(const Device& d, const Workload& w, const CudaLaunch& l, int registers,
                           int multiprocessors) {
  check_share(d, multiprocessors);
  mma_rate(d);
  CudaEstimate e;
  e.occupancy = device::occupancy(d, {l.threads, registers, l.shared_bytes});
  e.blocks = l.blocks();
  e.tile_efficiency = real(l.m * l.n) / (real(l.tiles_m * l.bm) * real(l.tiles_n * l.bn));
  if (e.occupancy.blocks == 0) return e;
  e.capacity = std::int64_t{multiprocessors} * e.occupancy.blocks;
  const latency::Waves waves{e.blocks, e.capacity};
  e.waves = waves.paid(), e.tail = 1 - waves.efficiency();
  const std::int64_t last = e.blocks - (e.waves - 1) * e.capacity;
  const std::int64_t together = e.waves > 1 ? e.occupancy.blocks : up(last, multiprocessors);
  e.pace = step_of(d, l, together).pace;
  const double clocks = real(e.waves - 1) * wave_clocks(d, l, e.occupancy.blocks) +
                        wave_clocks(d, l, up(last, multiprocessors));
  e.compute_us = clocks / d.clock_mhz;
  e.memory_us = memory_us(d, w, l, e), e.finish_us = finish_us(d, w, l);
  const double joined = std::pow(
      std::pow(e.compute_us, kForm.exponent) + std::pow(e.memory_us, kForm.exponent), 1 / kForm.exponent);
  e.us = d.launch_us + joined + e.finish_us;
  return e;
}

std::vector<Configuration> chosen_to_compile(const Workload& workload, const Space& space,
                                             const Device& device, int multiprocessors, int most) {
  struct Guess {
    double us;
    std::uint64_t index;
  };
  constexpr std::size_t kBody = 7;  // parameters in front of raster and persistent
  std::map<Configuration, Guess> best;
  for (std::uint64_t i = 0; i < space.count(); ++i) {
    const Configuration configuration = space.at(i);
    const CudaLaunch launch = cuda_launch(workload, space, configuration);
    const CudaEstimate e =
        estimate_cuda(device, workload, launch, guessed_registers(launch), multiprocessors);
    const Guess guess{e.us > 0 ? e.us : HUGE_VAL, i};
    Configuration key = configuration;
    if (most > 0) key.resize(kBody);
    const auto [at, fresh] = best.emplace(key, guess);
    if (!fresh && guess.us < at->second.us) at->second = guess;
  }
  std::vector<Guess> order;
  for (const auto& [key, guess] : best) order.push_back(guess);
  std::sort(order.begin(), order.end(),
            [](const Guess& a, const Guess& b) { return std::tie(a.us, a.index) < std::tie(b.us, b.index); });
  std::vector<Configuration> chosen;
  const Configuration usual = usual_cuda_configuration(workload, space, device);
  if (most > 0) chosen.push_back(usual);
  for (const Guess& guess : order)
    if (most == 0 || chosen.size() < static_cast<std::size_t>(most))
      if (const Configuration c = space.at(guess.index); most == 0 || c != usual) chosen.push_back(c);
  return chosen;
}

CudaRanking rank_cuda(const Workload& workload, const Device& device, const CudaCompiler& compiler,
                      const CudaRankOptions& options) {
  if (const std::string reason = no_cuda_kernel(workload); !reason.empty())
    throw Error(Code::nothing_to_tune, reason, latency::to_string(workload),
                "dense convolutions and products in f16 have a kernel");
  CudaRanking ranking;
  ranking.workload = workload, ranking.architecture = cuda_architecture(device);
  ranking.multiprocessors = options.multiprocessors > 0 ? options.multiprocessors : device.sm.count;
  check_share(device, ranking.multiprocessors);
  const std::vector<std::string> texts = choose(workload, device, options.variants, ranking);
  const auto start = std::chrono::steady_clock::now();
  std::vector<CudaBuild> builds =
      compile_cuda(texts, ranking.architecture, compiler, options.jobs, [&](int done) {
        if (options.on_progress) options.on_progress(done, static_cast<int>(texts.size()));
      });
  ranking.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (std::size_t i = 0; i < builds.size(); ++i)
    take(std::move(builds[i]), workload, device, ranking, ranking.variants[i]);
  require_one(ranking);
  std::sort(ranking.variants.begin(), ranking.variants.end(), [](const CudaVariant& a, const CudaVariant& b) {
    return std::tuple(standing(a), a.estimate.us, a.configuration) <
           std::tuple(standing(b), b.estimate.us, b.configuration);
  });
  return ranking;
}

}  // namespace tailor::tune

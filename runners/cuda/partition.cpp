// The split, one context and stream per share, the probe kernel, and layers beside each other.
#include "runners/cuda/partition.h"

#include "runners/cuda/operation.h"
#include "runners/cuda/stream_clock.h"
#include "tailor/base/error.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace tailor::cuda {
namespace {

constexpr unsigned kMostShares = 64, kProbeThreads = 32;
constexpr std::uint64_t kProbeCycles = 200000;
constexpr int kRuns = 20, kRounds = 5;

const GreenFunctions& green_of(Gpu& gpu) {
  if (const GreenFunctions* green = gpu.libraries().green()) return *green;
  throw Error(Code::runtime_missing, "the driver has no green contexts", gpu.libraries().file_of("libcuda"),
              "they came with CUDA 12.4: a newer driver is needed");
}

// A layer with memory of its own, to run beside others.
struct Tenant {
  Tenant(Gpu& gpu, const Layer& layer) : operation(prepare(gpu, layer)) {
    const OperandSizes& s = operation.sizes;
    auto make = [&](std::size_t bytes) {
      Buffer& buffer = buffers.emplace_back(gpu, bytes);
      fill(gpu, buffer, buffers.size());
      return buffer.address();
    };
    operands = {make(s.x), make(s.weights), make(s.bias), make(s.residual), make(s.y)};
  }
  Operation operation;
  std::vector<Buffer> buffers;
  Operands operands;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Time of kRuns runs of each of `who`, at the same time, each on its share's stream.
std::vector<double> run_together(Gpu& gpu, const Partitions& shares, std::vector<Tenant>& tenants,
                                 const std::vector<std::size_t>& who) {
  StreamClock clock(gpu, who.size());
  for (std::size_t i = 0; i < who.size(); ++i) clock.mark(i, false, shares.stream(who[i]));
  for (int run = 0; run < kRuns; ++run)
    for (std::size_t tenant : who) {
      const Gpu::OnStream here(gpu, shares.stream(tenant));
      tenants[tenant].operation.enqueue(tenants[tenant].operands);
    }
  for (std::size_t i = 0; i < who.size(); ++i) clock.mark(i, true, shares.stream(who[i]));
  gpu.synchronize();
  std::vector<double> us;
  for (std::size_t i = 0; i < who.size(); ++i) us.push_back(clock.us(i) / kRuns);
  return us;
}

Json slowdowns(Gpu& gpu, const Partitions& shares, const std::vector<Layer>& layers) {
  std::vector<Tenant> tenants;
  tenants.reserve(layers.size());
  std::vector<std::size_t> all;
  std::vector<std::string> lines;
  for (const Layer& layer : layers) {
    if (tenants.size() == shares.size()) break;
    tenants.emplace_back(gpu, layer);
    // Scratch memory is one for all streams: tenants that need it would write over each other.
    if (tenants.back().operation.workspace > 0) {
      tenants.pop_back();
      continue;
    }
    all.push_back(all.size()), lines.push_back(layer.line);
  }
  std::vector<std::vector<double>> alone(tenants.size()), beside(tenants.size());
  for (int round = 0; round < kRounds && !all.empty(); ++round) {
    for (std::size_t i : all) alone[i].push_back(run_together(gpu, shares, tenants, {i})[0]);
    const std::vector<double> us = run_together(gpu, shares, tenants, all);
    for (std::size_t i : all) beside[i].push_back(us[i]);
  }
  Json list = Json::array();
  for (std::size_t i : all)
    list.push_back({{"layer", lines[i]},
                    {"multiprocessors", shares.multiprocessors(i)},
                    {"alone_us", median(alone[i])},
                    {"beside_us", median(beside[i])}});
  return list;
}

std::set<std::uint64_t> multiprocessors_of(const std::vector<SpinNote>& notes) {
  std::set<std::uint64_t> seen;
  for (const SpinNote& note : notes) seen.insert(note.multiprocessor);
  return seen;
}

int seen_twice(const std::vector<std::vector<SpinNote>>& notes) {
  std::map<std::uint64_t, int> shares;
  for (const auto& share : notes)
    for (std::uint64_t sm : multiprocessors_of(share)) ++shares[sm];
  return static_cast<int>(
      std::count_if(shares.begin(), shares.end(), [](const auto& s) { return s.second > 1; }));
}

// The most shares that ran at one time: counted at the moment when each begins.
int most_at_once(const std::vector<std::vector<SpinNote>>& notes) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> spans;
  for (const auto& share : notes) {
    std::uint64_t begin = ~std::uint64_t{0}, end = 0;
    for (const SpinNote& note : share)
      begin = std::min(begin, note.begin_ns), end = std::max(end, note.end_ns);
    spans.emplace_back(begin, end);
  }
  int most = 0;
  for (const auto& [begin, unused] : spans)
    most = std::max(most,
                    static_cast<int>(std::count_if(spans.begin(), spans.end(), [at = begin](const auto& s) {
                      return s.first <= at && at < s.second;
                    })));
  return most;
}

}  // namespace

Partitions::Partitions(Gpu& gpu, int least) : gpu_(gpu) {
  const GreenFunctions& green = green_of(gpu);
  Libraries& libraries = gpu.libraries();
  DeviceResource all, rest;
  libraries.check(green.resource(gpu.device(), &all, kResourceSm), "cuDeviceGetDevResource");
  std::vector<DeviceResource> groups(kMostShares);
  unsigned count = kMostShares;
  libraries.check(
      green.split(groups.data(), &count, &all, &rest, 0, static_cast<unsigned>(std::max(1, least))),
      "cuDevSmResourceSplitByCount");
  try {
    for (unsigned i = 0; i < std::min(count, kMostShares); ++i) add(groups[i], false);
    if (rest.type == kResourceSm && rest.sm.count > 0) add(rest, true);
  } catch (...) {
    release();
    throw;
  }
}

Partitions::~Partitions() { release(); }

void Partitions::add(DeviceResource resource, bool remainder) {
  const GreenFunctions& green = green_of(gpu_);
  Libraries& libraries = gpu_.libraries();
  ResourceText text = nullptr;
  Share share{nullptr, nullptr, static_cast<int>(resource.sm.count), remainder};
  libraries.check(green.describe(&text, &resource, 1), "cuDevResourceGenerateDesc");
  libraries.check(green.create(&share.context, text, gpu_.device(), kGreenDefaultStream), "cuGreenCtxCreate");
  shares_.push_back(share);
  // What the driver provisioned, which may be another number than what the split promised.
  libraries.check(green.resource_of(share.context, &resource, kResourceSm), "cuGreenCtxGetDevResource");
  shares_.back().multiprocessors = static_cast<int>(resource.sm.count);
  libraries.check(green.create_stream(&shares_.back().stream, share.context, kNonBlockingStream, 0),
                  "cuGreenCtxStreamCreate");
}

void Partitions::release() {
  for (Share& share : shares_) {
    if (share.stream) gpu_.libraries().driver().destroy_stream(share.stream);
    if (share.context) gpu_.libraries().green()->destroy(share.context);
  }
  shares_.clear();
}

void enqueue_spin(Gpu& gpu, Address notes, unsigned blocks, std::uint64_t cycles, Stream stream) {
  Libraries& libraries = gpu.libraries();
  unsigned long long clocks = cycles;
  std::array<void*, 2> arguments = {&notes, &clocks};
  libraries.check(libraries.driver().launch(gpu.kernel("tailor_spin"), blocks, 1, 1, kProbeThreads, 1, 1, 0,
                                            stream, arguments.data(), nullptr),
                  "cuLaunchKernel");
}

std::vector<std::vector<SpinNote>> spin(Gpu& gpu, const std::vector<Stream>& streams, unsigned blocks,
                                        std::uint64_t cycles) {
  Libraries& libraries = gpu.libraries();
  const std::size_t each = std::size_t{4} * blocks;
  const Buffer notes(gpu, streams.size() * each * sizeof(std::uint64_t));
  for (std::size_t i = 0; i < streams.size(); ++i)
    enqueue_spin(gpu, notes.address() + i * each * sizeof(std::uint64_t), blocks, cycles, streams[i]);
  gpu.synchronize();
  std::vector<std::uint64_t> raw(streams.size() * each);
  libraries.check(libraries.driver().to_host(raw.data(), notes.address(), notes.size()), "cuMemcpyDtoH");
  std::vector<std::vector<SpinNote>> all(streams.size());
  for (std::size_t i = 0; i < raw.size(); i += 4) all[i / each].push_back({raw[i], raw[i + 1], raw[i + 2]});
  return all;
}

int multiprocessors_shared(Gpu& gpu, const Partitions& shares) {
  std::vector<Stream> streams;
  for (std::size_t i = 0; i < shares.size(); ++i) streams.push_back(shares.stream(i));
  return seen_twice(spin(gpu, streams, static_cast<unsigned>(4 * gpu.facts().multiprocessors), kProbeCycles));
}

Json probe_partitions(Gpu& gpu, int least, const std::vector<Layer>& layers) {
  const Partitions shares(gpu, least);
  std::vector<Stream> streams;
  for (std::size_t i = 0; i < shares.size(); ++i) streams.push_back(shares.stream(i));
  const auto blocks = static_cast<unsigned>(4 * gpu.facts().multiprocessors);
  const auto notes = spin(gpu, streams, blocks, kProbeCycles);
  Json list = Json::array();
  for (std::size_t i = 0; i < shares.size(); ++i)
    list.push_back({{"multiprocessors", shares.multiprocessors(i)},
                    {"remainder", shares.remainder(i)},
                    {"seen", multiprocessors_of(notes[i]).size()}});
  return {{"asked", least},
          {"shares", std::move(list)},
          {"in_several_shares", seen_twice(notes)},
          {"at_once", most_at_once(notes)},
          {"beside", slowdowns(gpu, shares, layers)}};
}

}  // namespace tailor::cuda

// tailor tune rank: kernels in CUDA C++ for layers, compiled by NVRTC and ranked by arithmetic for a GPU that is only
// described. Nothing runs on a GPU.
#include "tailor/app/tune.h"
#include "tailor/base/parallel.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/latency/extract.h"
#include "tailor/onnx/onnx.h"
#include "tailor/tune/cuda_rank.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace tailor::app {
namespace {

using tune::CudaRanking;
using tune::CudaVariant;

struct Layers {
  std::vector<std::pair<latency::Workload, int>>
      chosen;                           // with how many there are, those with most work first
  std::map<std::string, int> left_out;  // by reason
  bool retyped = false;                 // layers of the model are of another type than f16
};

Layers layers_of_model(const TuneRankArguments& a) {
  const graph::Model model = onnx::read(a.layers.front());
  const graph::Shapes shapes = graph::infer_shapes(model, graph::parse_shape_overrides(a.shapes));
  Layers layers;
  std::map<latency::Workload, int> counted;
  for (const latency::LayerWorkload& layer : latency::extract_workloads(model, shapes)) {
    latency::Workload w = layer.workload;
    layers.retyped = layers.retyped || w.type != graph::DataType::f16;
    if (w.type == graph::DataType::f32) w.type = graph::DataType::f16;
    if (const std::string reason = tune::no_cuda_kernel(w); !reason.empty())
      ++layers.left_out[reason];
    else
      ++counted[w];
  }
  if (counted.empty())
    throw Error(Code::nothing_to_tune, "no layer that has a kernel to rank", a.layers.front(),
                "dense convolutions and products have one");
  layers.chosen.assign(counted.begin(), counted.end());
  auto work = [](const auto& layer) {
    return static_cast<double>(latency::macs(layer.first)) * layer.second;
  };
  std::stable_sort(layers.chosen.begin(), layers.chosen.end(),
                   [&](const auto& x, const auto& y) { return work(x) > work(y); });
  for (; layers.chosen.size() > static_cast<std::size_t>(a.most); layers.chosen.pop_back())
    layers.left_out["not among the --most with most work"] += layers.chosen.back().second;
  return layers;
}

Layers layers_of(const TuneRankArguments& a) {
  if (a.layers.size() == 1 && a.layers.front().ends_with(".onnx")) return layers_of_model(a);
  Layers layers;
  for (const std::string& text : a.layers) {
    const latency::Workload w = latency::parse_workload(text);
    if (const std::string reason = tune::no_cuda_kernel(w); !reason.empty())
      throw Error(Code::nothing_to_tune, reason, text,
                  "dense convolutions and products in f16 have a kernel");
    const auto known = std::find_if(layers.chosen.begin(), layers.chosen.end(),
                                    [&](const auto& layer) { return layer.first == w; });
    if (known == layers.chosen.end())
      layers.chosen.emplace_back(w, 1);
    else
      ++known->second;
  }
  return layers;
}

tune::CudaRankOptions options_of(const TuneRankArguments& a, const device::Device& device) {
  auto require = [](bool good, const char* option, const std::string& range) {
    if (!good) throw Error(Code::bad_value, fmt::format("{} must be {}", option, range), option);
  };
  require(a.multiprocessors >= 0 && a.multiprocessors <= device.sm.count, "--sms",
          fmt::format("1 to {}, what {} has", device.sm.count, device.title));
  require(a.variants >= 0 && a.variants <= 1 << 20, "--variants", "1 to 1048576, or 0 for all");
  require(a.jobs >= 0 && a.jobs <= 32, "--jobs", "1 to 32, or 0 for the cores of this machine");
  require(a.top >= 1 && a.top <= 1 << 20, "--top", "1 to 1048576");
  require(a.most >= 1 && a.most <= 1000, "--most", "1 to 1000");
  tune::CudaRankOptions options;
  options.multiprocessors = a.multiprocessors, options.variants = a.variants;
  options.jobs = a.jobs > 0 ? a.jobs : cores();
  return options;
}

struct Found {
  const TuneRankArguments& arguments;
  device::Device device = {};
  tune::CudaCompiler compiler = {};
  Layers layers = {};
  std::vector<CudaRanking> rankings = {};
};

// The parts of `launch` that are parameters, by their names in the space.
Json configuration_json(const tune::CudaLaunch& l) {
  return {{"bm", l.bm},         {"bn", l.bn},         {"bk", l.bk},
          {"stages", l.stages}, {"wm", l.wm},         {"wn", l.wn},
          {"split_k", l.split}, {"raster", l.raster}, {"persistent", l.persistent ? 1 : 0}};
}

Json compiled_json(const CudaVariant& v) {
  const tune::CudaKernelFacts* product = v.build.find("product");
  Json json = {{"outcome", name(v.build.outcome)},
               {"message", v.build.message.empty() ? Json(nullptr) : Json(v.build.message)},
               {"compile_s", v.build.seconds},
               {"registers", nullptr}};
  if (!product) return json;
  json["registers"] = product->registers;
  json["stack_bytes"] = product->stack_bytes;
  json["spill_stores"] = product->spill_stores, json["spill_loads"] = product->spill_loads;
  json["cubin_bytes"] = v.build.cubin_bytes;
  return json;
}

Json limits_json(const device::Occupancy& occupancy) {
  Json list = Json::array();
  for (const device::Limit limit : occupancy.limits) list.push_back(device::name(limit));
  return list;
}

Json variant_json(const CudaVariant& v, double best_us) {
  const tune::CudaEstimate& e = v.estimate;
  Json json = {{"configuration", configuration_json(v.launch)}};
  json.update(compiled_json(v));
  json["threads"] = v.launch.threads, json["shared_bytes"] = v.launch.shared_bytes;
  json["blocks_per_multiprocessor"] = e.occupancy.blocks, json["limits"] = limits_json(e.occupancy);
  json["blocks"] = e.blocks, json["waves"] = e.waves, json["tail"] = e.tail;
  json["tile_efficiency"] = e.tile_efficiency, json["pace"] = name(e.pace);
  const bool runs = v.build.outcome == tune::Outcome::ok && e.us > 0;
  json["us"] = runs ? Json(e.us) : Json(nullptr);
  json["relative"] = runs && best_us > 0 ? Json(e.us / best_us) : Json(nullptr);
  return json;
}

struct Counts {
  int failed = 0, spilling = 0;
};
Counts counts_of(const CudaRanking& ranking) {
  Counts counts;
  for (const CudaVariant& v : ranking.variants) {
    const tune::CudaKernelFacts* product = v.build.find("product");
    counts.failed += v.build.outcome != tune::Outcome::ok;
    counts.spilling += product && product->spills();
  }
  return counts;
}

double best_us(const CudaRanking& ranking) {
  return ranking.variants.empty() ? 0 : ranking.variants.front().estimate.us;
}

Json ranking_json(const CudaRanking& r, int layers, int top) {
  const Counts counts = counts_of(r);
  Json json = {{"op", latency::to_string(r.workload)},
               {"layers", layers},
               {"configurations", r.space},
               {"compiled", r.variants.size()},
               {"failed", counts.failed},
               {"spilling", counts.spilling},
               {"compile_s", r.compile_s},
               {"seconds", r.seconds},
               {"variants", Json::array()}};
  for (const CudaVariant& v : r.variants)
    if (json["variants"].size() < static_cast<std::size_t>(top))
      json["variants"].push_back(variant_json(v, best_us(r)));
  return json;
}

Json to_json(const Found& found) {
  Json left_out = Json::array(), operators = Json::array();
  for (const auto& [reason, count] : found.layers.left_out)
    left_out.push_back({{"reason", reason}, {"layers", count}});
  for (std::size_t i = 0; i < found.rankings.size(); ++i)
    operators.push_back(ranking_json(found.rankings[i], found.layers.chosen[i].second, found.arguments.top));
  return {{"schema", "tailor/tune-rank/1"},
          {"layers", found.arguments.layers},
          {"device", found.device.name},
          {"architecture", found.rankings.front().architecture},
          {"multiprocessors", found.rankings.front().multiprocessors},
          {"compiler",
           {{"name", "NVRTC"}, {"version", found.compiler.version}, {"library", found.compiler.library}}},
          {"how", "modelled"},
          {"retyped", found.layers.retyped},
          {"left_out", std::move(left_out)},
          {"operators", std::move(operators)}};
}

std::vector<std::string> row_of(const CudaVariant& v, std::size_t rank, double best_us) {
  const tune::CudaLaunch& l = v.launch;
  const tune::CudaEstimate& e = v.estimate;
  const tune::CudaKernelFacts* product = v.build.find("product");
  std::vector<std::string> row = {
      std::to_string(rank),     fmt::format("{}x{}x{}", l.bm, l.bn, l.bk),
      std::to_string(l.stages), fmt::format("{}x{}", l.wm, l.wn),
      std::to_string(l.split),  fmt::format("{}{}", l.raster, l.persistent ? " persistent" : "")};
  if (!product) return row.push_back(name(v.build.outcome)), row;
  row.push_back(fmt::format("{}{}", product->registers, product->spills() ? " spill" : ""));
  row.push_back(fmt::format("{:.0f} KiB", static_cast<double>(l.shared_bytes) / 1024));
  row.push_back(std::to_string(e.occupancy.blocks));
  if (e.us <= 0) return row;  // it does not fit
  for (std::string cell : {std::to_string(e.waves), fmt::format("{:.0f} %", 100 * e.tail),
                           std::string(name(e.pace)), duration(e.us), fmt::format("{:.2f}x", e.us / best_us)})
    row.push_back(std::move(cell));
  return row;
}

std::string ranking_text(const CudaRanking& r, int layers, int top) {
  const Counts counts = counts_of(r);
  std::string text = fmt::format(
      "\n{}, {} layer{}: {} of {} configurations compiled in {:.1f} s ({:.2f} s each), {} refused, {} spill "
      "registers\n",
      latency::to_string(r.workload), layers, layers == 1 ? "" : "s", r.variants.size(), r.space, r.seconds,
      r.compile_s / static_cast<double>(std::max<std::size_t>(1, r.variants.size())), counts.failed,
      counts.spilling);
  Table table({{"", Align::right},
               {"tile"},
               {"stages", Align::right},
               {"warps", Align::right},
               {"split", Align::right},
               {"raster"},
               {"registers", Align::right},
               {"shared", Align::right},
               {"per SM", Align::right},
               {"waves", Align::right},
               {"tail", Align::right},
               {"pace"},
               {"modelled", Align::right},
               {"relative", Align::right}});
  for (std::size_t i = 0; i < r.variants.size() && i < static_cast<std::size_t>(top); ++i)
    table.row(row_of(r.variants[i], i + 1, best_us(r)));
  return text + table.text({}, output_width());
}

std::string rank_text(const Found& found) {
  std::string text = fmt::format(
      "{}, {}, {} of {} multiprocessors; NVRTC {}. Ranked by a model of what the compiler says: not measured "
      "on hardware\n",
      found.device.title, found.rankings.front().architecture, found.rankings.front().multiprocessors,
      found.device.sm.count, found.compiler.version);
  if (found.layers.retyped) text += "the model's layers are ranked as if they were in f16\n";
  for (const auto& [reason, count] : found.layers.left_out)
    text += fmt::format("left out: {} layer{} ({})\n", count, count == 1 ? "" : "s", reason);
  for (std::size_t i = 0; i < found.rankings.size(); ++i)
    text += ranking_text(found.rankings[i], found.layers.chosen[i].second, found.arguments.top);
  return text;
}

}  // namespace

int tune_rank(const Global& global, const TuneRankArguments& arguments) {
  const device::Device device = device::find_device(arguments.device);
  tune::CudaRankOptions options = options_of(arguments, device);
  tune::cuda_architecture(device);  // refused before the model is read
  Found found{arguments};
  found.device = device, found.layers = layers_of(arguments);
  found.compiler = tune::find_cuda_compiler(global.runner.command);
  Progress progress("compile");
  const std::size_t count = found.layers.chosen.size();
  for (const auto& [workload, layers] : found.layers.chosen) {
    const std::string item =
        fmt::format("{}/{} {}", found.rankings.size() + 1, count, latency::to_string(workload));
    options.on_progress = [&](int done, int of) { progress.update(done, of, item); };
    found.rankings.push_back(tune::rank_cuda(workload, device, found.compiler, options));
  }
  if (global.json)
    print_document(to_json(found));
  else
    print(rank_text(found));
  return 0;
}

}  // namespace tailor::app

#include "tests/report/samples.h"

#include "tailor/base/base64.h"
#include "tailor/base/file.h"
#include "tailor/base/random.h"
#include "tailor/data/picture.h"
#include "tailor/pipeline/analyze.h"
#include "tailor/pipeline/device_analysis.h"
#include "tailor/pipeline/gpu_analysis.h"
#include "tailor/pipeline/map_model.h"
#include "tailor/pipeline/optimize.h"
#include "tailor/pipeline/tune_model.h"
#include "tests/app/models.h"

#include <nlohmann/json.hpp>

namespace tailor::testing {
namespace {

using pipeline::Analysis;
using pipeline::AnalyzedLayer;
using pipeline::GroupSweep;
using pipeline::LayerVerdict;

std::string layer_name(const std::vector<std::string>& names, int i) {
  if (names.empty()) return "/blocks/" + std::to_string(i) + "/conv/Conv";
  return names[static_cast<std::size_t>(i) % names.size()];
}

// A sweep whose time jumps behind every multiple of 16.
GroupSweep sweep_of(int index, int width, const std::string& name) {
  GroupSweep sweep{index, name, width, {}, {}, {}, {}, {index}, {}, {}, {}, {}};
  for (int w = width - 16; w <= width + 16; w += 2) {
    const double us = 10.25 * ((w + 15) / 16);
    sweep.widths.push_back(w), sweep.us.push_back(us);
    sweep.lo.push_back(us * 0.98), sweep.hi.push_back(us * 1.03);
  }
  pipeline::find_steps(sweep);
  return sweep;
}

AnalyzedLayer layer_of(int i, const std::string& name, const GroupSweep& sweep) {
  AnalyzedLayer layer;
  layer.name = layer.out_group = name, layer.op = "Conv";
  layer.workload.ic = 32, layer.workload.oc = sweep.width, layer.workload.ih = layer.workload.iw = 14;
  layer.workload.oh = layer.workload.ow = 14, layer.workload.kh = layer.workload.kw = 3;
  layer.workload.pt = layer.workload.pl = layer.workload.pb = layer.workload.pr = 1;
  layer.in_place = true, layer.us = sweep.us_at(sweep.width) + 0.1 * (i % 7), layer.alone_us = layer.us;
  layer.gflops = 40 + i % 60, layer.gbytes = 3 + i % 9;
  layer.verdict =
      std::array{LayerVerdict::ok, LayerVerdict::pad, LayerVerdict::fallback, LayerVerdict::memory}[i % 4];
  layer.why = i % 4 == 1 ? "34 channels lie just past 32" : "";
  layer.down = sweep.down, layer.up = sweep.up;
  layer.recoverable_us = sweep.edge ? sweep.edge->saved_us : 0;
  return layer;
}

// Every layer was half as wide again; one in three got something for it.
pipeline::BaseComparison base_of(const std::vector<AnalyzedLayer>& layers) {
  pipeline::BaseComparison base{"bigger.onnx", std::string(64, 'c'), How::measured, 0.93, 0.7};
  for (std::size_t i = 0; i < layers.size(); ++i) {
    pipeline::BaseLayer layer;
    layer.layer = static_cast<int>(i), layer.name = layers[i].name;
    layer.before = layer.after = layers[i].workload;
    layer.before.oc += layer.before.oc / 2;
    layer.after_us.value = {layers[i].us}, layer.before_us.value = {layers[i].us * (i % 3 ? 1.01 : 1.4)};
    layer.gained = i % 3 ? pipeline::Gained::nothing : pipeline::Gained::paid;
    if (i % 3) layer.step = pipeline::WidthRange{33, 48, 32, 0.2};
    layer.why =
        i % 3 ? "33 % fewer multiply-accumulates, 1 % less time: still on the step from 33 to 48 outputs"
              : "33 % fewer multiply-accumulates, 29 % less time";
    base.layers.push_back(std::move(layer));
  }
  base.unpaired = 2;
  return base;
}

pipeline::BenchModel timed(const std::string& path, double us, double ratio) {
  pipeline::BenchModel model;
  model.path = path, model.inputs = {{"x", {1, 3, 32, 32}}};
  for (int i = 0; i < 40; ++i) model.us.push_back(us * (1 + 0.002 * (i * 7 % 11)));
  model.summary = runtime::summarize(model.us);
  model.own = {1, 0.998, 1.002, runtime::Verdict::same};
  model.to_first = {ratio, ratio * 0.997, ratio * 1.004,
                    ratio < 1 ? runtime::Verdict::faster : runtime::Verdict::same};
  return model;
}

pipeline::BenchResult speed() {
  pipeline::BenchResult result{"onnxruntime", "1.30.0", "avx2", "a processor", "thread cpu", 1, 1, 0.02, {}};
  result.models = {timed("original.onnx", 400, 1), timed("faster.onnx", 280, 0.7)};
  return result;
}

pipeline::Verification verification() {
  pipeline::Agreement agreement;
  agreement.source = "test.bin", agreement.samples = 500, agreement.max_difference = 0.31,
  agreement.cosine = 0.9987, agreement.mean_divergence = 0.004;
  agreement.score = {500, 490, 500, 461, 459, 7, 5, 0.1, 0.2};
  return {"original.onnx",
          "faster.onnx",
          {agreement},
          speed(),
          {{"min-speedup", ">= 1.3x", "1.43x [1.42, 1.44]", pipeline::Outcome::pass}}};
}

pipeline::RoundReport round_of(double goal, double loss) {
  pipeline::RoundReport round;
  round.goal = goal, round.predicted = goal * 0.999, round.measured = goal * 1.001,
  round.base_loss = loss / 3;
  round.table_loss = loss, round.certificate.optimal = true, round.variables = 9, round.candidates = 52;
  for (int i = 0; i < 20; ++i) round.front.emplace_back(goal * (0.8 + 0.01 * i), loss * (3 - 0.1 * i));
  return round;
}

}  // namespace

const std::vector<std::string>& hostile_names() {
  static const std::vector<std::string> names = {"</script><script>document.title='taken'</script>",
                                                 "\"><img src=x onerror=\"document.title='taken'\">",
                                                 "' onmouseover='document.title=1' x='",
                                                 std::string(10000, 'x'),
                                                 "<!--<script>",
                                                 "back\\slash\nnew line\ttab\x01",
                                                 "\xE2\x80\xAEright to left",
                                                 "{{template}} ${literal} %n &lt;"};
  return names;
}

Json analysis_document(int layers, const std::vector<std::string>& names) {
  Analysis a;
  a.runtime = "onnxruntime", a.version = "1.30.0", a.isa = "avx2", a.processor = "a processor";
  a.model = names.empty() ? "network.onnx" : names.front() + ".onnx", a.sha256 = std::string(64, 'a');
  a.streaming_gbytes = 41, a.measured = 120, a.known = 7;
  for (int i = 0; i < layers; ++i) {
    const std::string name = layer_name(names, i);
    a.groups.push_back(sweep_of(i, i % 3 ? 34 : 32, name));
    a.layers.push_back(layer_of(i, name, a.groups.back()));
    a.in_place.nodes.push_back(
        {name, "Conv", "layer", a.layers.back().us + 0.4, a.layers.back().us, i, "name", "[]"});
    a.in_place.sum_us += a.layers.back().us;
  }
  a.in_place.network_us = a.in_place.sum_us * 1.01, a.in_place.reported_us = a.in_place.sum_us * 1.05;
  a.in_place.runs = 80, a.in_place.unprofiled_runs = 81;
  for (AnalyzedLayer& layer : a.layers) layer.share = layer.us / a.in_place.network_us;
  a.base = base_of(a.layers);
  return to_json(a);
}

namespace {

// What --free finds: every third group can grow, beside the others a little less.
pipeline::FreeChannels free_of(const std::vector<GroupSweep>& groups, How how) {
  pipeline::FreeChannels free;
  free.asked = static_cast<int>(groups.size()), free.stuck = 1, free.how = how;
  for (const GroupSweep& group : groups) {
    free.us += group.us_at(group.width), free.together_us += 1.004 * group.us_at(group.width);
    if (group.group % 3 == 0)
      free.groups.push_back({group.group, group.name, group.width, group.width + 14, group.width + 6, 2,
                             group.us_at(group.width), 1.003 * group.us_at(group.width)});
  }
  return free;
}

}  // namespace

Json gpu_document(int layers, const std::vector<std::string>& names) {
  pipeline::GpuAnalysis a;
  a.device = "a GPU", a.version = "driver 13000, cuDNN 91300", a.isa = "sm_90", a.precision = "f16";
  a.model = names.empty() ? "network.onnx" : names.front() + ".onnx", a.sha256 = std::string(64, 'a');
  a.measured = 31, a.known = 5, a.left_out = {{"Softmax", 2}, {"Concat", 1}};
  constexpr pipeline::DeviceVerdict kVerdicts[] = {
      pipeline::DeviceVerdict::tail, pipeline::DeviceVerdict::sub_wave, pipeline::DeviceVerdict::memory};
  for (int i = 0; i < layers; ++i) {
    const std::string name = layer_name(names, i);
    const GroupSweep sweep = sweep_of(i, i % 3 ? 34 : 32, name);
    a.layers.push_back({name, "conv mb=1 oc=34", i, 30.5 + i, 0, "fprop_64x64 16x2x1 blocks", 0.5 * i,
                        kVerdicts[i % 3], name, sweep.down, sweep.up, i % 3 ? 10.25 : 0});
    a.groups.push_back(sweep), a.kernels_us += a.layers.back().us;
  }
  a.network_us = a.kernels_us * 1.1;
  for (pipeline::GpuLayer& layer : a.layers) layer.share = layer.us / a.network_us;
  a.free = free_of(a.groups, How::measured);
  return to_json(a);
}

Json device_document() {
  pipeline::DeviceAnalysisOptions options;
  options.precision = "f16", options.layer = "second", options.free = true;
  const pipeline::Subject subject =
      pipeline::make_subject(with_free_batch(small_model(130)), {{"x", {64, 3, 32, 32}}});
  pipeline::DeviceAnalysis analysis = pipeline::analyze_on(subject, device::find_device("v100"), options);
  analysis.model = "network.onnx";
  return to_json(analysis);
}

Json bench_document() { return to_json(speed()); }

Json verify_document() { return to_json(verification()); }

namespace {

// A search that changed something of every kind.
pipeline::OptimizeResult searched() {
  pipeline::OptimizeResult result;
  result.plan.model = "original.onnx", result.plan.sha256 = std::string(64, 'b'),
  result.plan.runtime = "onnxruntime";
  result.plan.goal = "at most 0.7 of the latency", result.plan.measured_ratio = 0.7;
  for (int i = 0; i < 8; ++i)
    result.plan.groups.push_back({i,
                                  "/blocks/" + std::to_string(i) + "/conv/Conv",
                                  34 + 2 * i,
                                  32,
                                  {},
                                  i == 3 ? 4 : 0,
                                  "2 channels go, the readers are refitted",
                                  {}});
  result.plan.groups[5].heirs = {{3, 7, 0.02}, {9, 7, 0.11}};
  result.plan.dropped = {"/blocks/9/Add"}, result.plan.folded = {{"/blocks/10/Add", 3}};
  result.plan.kernels = {{"/blocks/11/conv/Conv", 3, 3, {.top = 0, .left = 1, .kh = 3, .kw = 1}}};
  result.plan.shortcuts = {"/blocks/12/Pad"};
  result.plan.loss = 0.004, result.plan.cut_loss = 0.09, result.plan.certificate.optimal = true;
  result.plan.rounds = 3, result.plan.candidates = 156;
  result.rounds = {round_of(0.9, 0.001), round_of(0.8, 0.004), round_of(0.7, 0.011)};
  result.proof = verification(), result.goal_met = true;
  result.together = {
      {"/blocks/1/Add", 0.031, 0.012}, {"/blocks/2/Add", 0.044, 0.044}, {"/fc/Gemm", 0.21, 0.17}};
  result.known = 12, result.measured = 340, result.timed_on = "onnxruntime 1.30.0, 1 thread, a processor";
  result.written = "faster.onnx", result.plan_written = "faster.plan.json", result.journal = "profile.jsonl";
  return result;
}

}  // namespace

Json optimize_document() { return to_json(searched()); }

Json devices_document() {
  pipeline::OptimizeResult result = searched();
  result.plan.how = How::modelled,
  result.plan.goal = "faster than the widths of widths.json, at no more loss";
  result.devices = {{"t4", "a small GPU", 812.5, 560.25, 0.031}, {"h200", "a large GPU", 240.5, 201.75, 0}};
  result.given = {0.82, 0.006, 3, 2};
  result.goal_met = false, result.why_not = "0.690 of the latency was reached, 0.650 was asked for";
  std::vector<GroupSweep> groups;
  for (int i = 0; i < 7; ++i)
    groups.push_back(sweep_of(i, 32, "/blocks/" + std::to_string(i) + "/conv/Conv"));
  result.free = free_of(groups, How::modelled);
  return to_json(result);
}

Json map_document() {
  TemporaryFolder folder;
  pipeline::MapOptions options;
  options.platform = "diana", options.budget_ratio = 0.6;
  return to_json(pipeline::map_model(write_small(folder.path(), "small.onnx", 40), options));
}

Json plan_document() { return optimize_document()["plan"]; }

Json tune_document() {
  tune::TuneResult result;
  pipeline::TuningPlan plan{{}, {{"its groups are no kernel's", 2}}};
  latency::Workload workload;
  workload.ic = workload.oc = 32, workload.ih = workload.iw = workload.oh = workload.ow = 14;
  workload.kh = workload.kw = 3, workload.pt = workload.pl = workload.pb = workload.pr = 1;
  std::vector<pipeline::TunedTask> tasks;
  for (int operator_ = 0; operator_ < 3; ++operator_)
    for (double share : {0.25, 0.5, 1.0}) {
      workload.oc = 32 + 16 * operator_;
      tune::TaskResult task{
          {workload, share, static_cast<int>(4 * share), 2}, {}, 40, 0, {}, 0.004, "the time is over"};
      task.key.op = to_string(workload), task.key.share = share;
      pipeline::TunedTask tuned{task, std::nullopt, std::nullopt, {}, {}};
      const double best = 90.0 + 10 * operator_ - 40 * share;
      tuned.own = tune::Standing{
          {{"mr", std::int64_t{6}}, {"nv", std::int64_t{4}}}, tune::Tier::exclusive, {best + 1, best}};
      if (share < 0.5)
        tuned.library = tune::Standing{{{"library", std::string("onnxruntime 1.30.0")}},
                                       tune::Tier::exclusive,
                                       {best * 0.9 + 8 * operator_}};
      for (int i = 0; i < 40; ++i)
        tuned.history.push_back({i % 9 == 4 ? tune::Outcome::compile : tune::Outcome::ok,
                                 i % 9 == 4 ? 0 : best * (1 + 2.0 / (1 + (i * 7) % 40))});
      for (double other : {0.25, 0.5, 1.0})
        tuned.at_shares.push_back(
            {other, 90.0 + 10 * operator_ - 40 * other + (other == share ? 0 : 3 + 2 * operator_)});
      if (operator_ == 2) tuned.at_shares.back().us.reset();
      tasks.push_back(std::move(tuned));
      result.tasks.push_back(task);
    }
  result.seconds = 61.5, result.trials = 360, result.repeated = 3, result.compile_seconds = 31,
  result.measure_seconds = 20;
  Json json = to_json(result, tasks, plan);
  json["model"] = "network.onnx", json["file"] = "trials.jsonl";
  return json;
}

namespace {

Json filter_of(int group, int unit, int side) {
  Random random(static_cast<std::uint64_t>(1000 * (group + 1) + unit));
  data::Picture picture{side, side, 3, {}};
  for (int i = 0; i < 3 * side * side; ++i)
    picture.samples.push_back(static_cast<std::uint8_t>(random.below(256)));
  return {{"group", group},
          {"unit", unit},
          {"start", 0.25 - 0.01 * unit},
          {"reached", unit == 4 ? 0.21 : 3.5 + unit},
          {"silent", unit == 4},
          {"picture", base64(data::png(picture))}};
}

Json layer_of(const char* name, int group, int filters, int side) {
  Json list = Json::array();
  for (int unit = 0; unit < filters; ++unit) list.push_back(filter_of(group, unit, side));
  return {{"layer", name},
          {"value", std::string(name) + "_value"},
          {"response", std::string(name) + "_normalised"},
          {"filters", list},
          {"sheet", std::string("001-sheet.png")},
          {"columns", 4}};
}

Json clusters_of(const char* name, int width, int clusters) {
  Json list = Json::array();
  for (int unit = 0; unit < width; ++unit) list.push_back(unit % clusters);
  return {{"name", name}, {"width", width}, {"changeable", true}, {"clusters", list}};
}

}  // namespace

// The groups are named and as wide as those of plan_document.
Json patterns_document(int filters, int side) {
  return {{"schema", "tailor/patterns/1"},
          {"model", "original.onnx"},
          {"sha256", std::string(64, 'b')},
          {"data", nullptr},
          {"samples", 0},
          {"input", {3, side, side}},
          {"objective", "middle"},
          {"steps", 64},
          {"rate", 0.05},
          {"decay", 0.05},
          {"blur", 0.5},
          {"blur_every", 4},
          {"jitter", 0},
          {"seed", 1},
          {"similar", 0.5},
          {"seconds", 1.5},
          {"groups",
           {clusters_of("/blocks/0/conv/Conv", 34, 34), clusters_of("/blocks/7/conv/Conv", filters, 5)}},
          {"layers",
           {layer_of("first", 0, 34, side), layer_of("second", 1, filters, side),
            layer_of("last", -1, 10, side)}}};
}

Json interference_document() {
  const std::vector<std::string> names = {
      "gemm_m64_k64_n64_f32", "conv_mb1_g1_ic8ih9iw9_oc8oh9ow9_kh3kw3_sh1sw1_ph1pw1_f32", "memory"};
  Json json = {
      {"schema", "tailor/tune-interference/1"},
      {"layers", {"network.onnx"}},
      {"clock", "thread cpu"},
      {"parts", Json::array({{{"where", "cpu 0"}, {"share", 0.5}}, {{"where", "cpu 1"}, {"share", 0.5}}})},
      {"kernels", Json::array()},
      {"left_out", 3},
      {"rounds", 10},
      {"seconds", 21.5},
      {"largest", 1.34},
      {"p95", 1.3},
      {"cells", Json::array()}};
  for (const std::string& name : names) {
    const Json choice = {{"configuration", name == "memory" ? "" : "mr=6 nv=2"}, {"tuned", name != "memory"}};
    json["kernels"].push_back({{"name", name},
                               {"stressor", name == "memory"},
                               {"layers", name == "memory" ? 0 : 2},
                               {"parts", Json::array({choice, choice})}});
  }
  auto slowdown = [](double ratio) {
    return Json({{"ratio", ratio},
                 {"lo", ratio - 0.01},
                 {"hi", ratio + 0.01},
                 {"verdict", ratio > 1.03 ? "SLOWER" : "AMBIGUOUS"},
                 {"alone_us", 80.5},
                 {"beside_us", 80.5 * ratio}});
  };
  for (int a = 0; a < 3; ++a)
    for (int b = 0; b < 3; ++b) {
      Json cell = {{"first", a}, {"second", b}, {"kept", 10}, {"thrown", a}};
      cell["first_slowdown"] = slowdown(1 + 0.1 * b + 0.07 * a);
      cell["second_slowdown"] = a == 2 && b == 2 ? Json(nullptr) : slowdown(1 + 0.05 * a + 0.03 * b);
      json["cells"].push_back(std::move(cell));
    }
  return json;
}

std::vector<Json> all_documents() {
  return {analysis_document(12), device_document(),   gpu_document(7),     bench_document(),
          verify_document(),     optimize_document(), map_document(),      turns_document(),
          plan_document(),       tune_document(),     patterns_document(), interference_document()};
}

}  // namespace tailor::testing

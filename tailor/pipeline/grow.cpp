// grow: candidates (right edges of steps) -> the planner's problem, whose loss is capacity that is not taken -> choose,
// measure, learn what layers do not explain, choose again -> the widest that fits -> written, compared, timed.
#include "tailor/pipeline/grow.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/counted.h"
#include "tailor/pipeline/leftover.h"
#include "tailor/pipeline/rounds.h"
#include "tailor/pipeline/verify.h"
#include "tailor/pipeline/worthwhile.h"
#include "tailor/rewrite/widen.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>

namespace tailor::pipeline {
namespace {

constexpr double kNoise = 1.003;  // what measurements of the same network differ by
constexpr int kAttempts = 8;

// How many layers with weights read or make the group.
int layers_near(const std::vector<LayerWidths>& layers, int group) {
  auto has = [&](const auto& side) {
    return std::any_of(side.begin(), side.end(), [&](const auto& part) { return part.first == group; });
  };
  return static_cast<int>(std::count_if(layers.begin(), layers.end(), [&](const LayerWidths& layer) {
    return has(layer.in) || has(layer.out);
  }));
}

// Loss: capacity that a narrower width leaves, so that the planner's least loss is the most capacity.
CandidateTable capacity_table(const Subject& subject, const std::vector<LayerWidths>& layers,
                              const std::vector<std::pair<int, std::vector<int>>>& lists) {
  CandidateTable table;
  for (const auto& [group, widths] : lists) {
    GroupCandidates candidates{group, {}};
    std::vector<int> all(
        static_cast<std::size_t>(subject.channels.groups[static_cast<std::size_t>(group)].width()));
    std::iota(all.begin(), all.end(), 0);
    for (int width : widths)
      candidates.widths.push_back(
          {width, all, layers_near(layers, group) * std::log(double(widths.back()) / width)});
    table.groups.push_back(std::move(candidates));
  }
  return table;
}

std::map<int, int> extra_of(const Subject& subject, const CandidateTable& table,
                            const std::vector<int>& choice) {
  std::map<int, int> extra;
  for (std::size_t g = 0; g < table.groups.size(); ++g) {
    const int group = table.groups[g].group,
              width = table.groups[g].widths[static_cast<std::size_t>(choice[g])].width,
              before = subject.channels.groups[static_cast<std::size_t>(group)].width();
    if (width > before) extra[group] = width - before;
  }
  return extra;
}

struct Grown {
  std::map<int, int> extra;  // channels added, by group
  double loss = 0, predicted = 1, measured = 1;
  bool optimal = false;
};

class Growing {
 public:
  explicit Growing(const GrowOptions& options)
      : options_(options),
        subject_(read_subject(options.model, options.overrides)),
        runner_(options.bench.runner),
        profile_(options.profile.empty() ? cache_folder() / "profile.jsonl" : options.profile),
        oracle_(runner_, profile_, timing(options), options.journal),
        book_(oracle_) {}

  const Subject& subject() const { return subject_; }

  Grown choose() {
    const std::vector<LayerWidths> layers = written_layers(subject_);
    auto lists = growing_widths(subject_, book_, options_.most, options_.widths);
    if (lists.empty())
      throw Error(Code::nothing_to_change, "no channel group can grow", options_.model.string(),
                  "tailor analyze shows the steps of each layer; --most allows more than twice the width");
    const CandidateTable table = capacity_table(subject_, layers, lists);
    book_.learn(needed_workloads(subject_, layers, table));
    const plan::Problem problem = width_problem(subject_, layers, table, book_.all());
    const double whole_us = layers_cost(subject_, layers, book_, {});
    Leftover leftover(problem, 0);
    std::optional<Grown> best;
    std::set<std::vector<int>> tried;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      const plan::Point point = leftover.choose(problem, options_.ratio * whole_us).point;
      if (!tried.insert(point.choice).second) break;
      const Grown grown = measured(table, point, leftover.at(point.choice), whole_us);
      leftover.learn(point.choice, grown.measured * whole_us - point.cost.latency_us);
      const bool fits = grown.measured <= options_.ratio * kNoise;
      if (fits && !grown.extra.empty() && (!best || grown.loss < best->loss)) best = grown;
    }
    if (!best)
      throw Error(Code::nothing_to_change,
                  fmt::format("no wider width fits into {:.3g}x of the time", options_.ratio),
                  options_.model.string(), "--latency 1.05x for instance allows a little more");
    return *best;
  }

  graph::Model model(const Grown& grown) const {
    return rewrite::widen(subject_.model, subject_.shapes, subject_.channels, grown.extra, options_.seed);
  }

 private:
  static runtime::TimingOptions timing(const GrowOptions& o) {
    runtime::TimingOptions t;
    t.threads = o.bench.threads, t.seed = o.bench.seed;
    return t;
  }

  Grown measured(const CandidateTable& table, const plan::Point& point, double leftover_us, double whole_us) {
    Grown grown{extra_of(subject_, table, point.choice), point.cost.loss,
                (point.cost.latency_us + leftover_us) / whole_us, 1, point.certificate.optimal};
    if (!grown.extra.empty())
      grown.measured = measure_ratio(runner_, subject_, model(grown), options_.bench.threads,
                                     RoundOptions{}.timing_rounds);
    if (options_.say)
      options_.say(fmt::format("{} groups wider: predicted {:.3f}, measured {:.3f} of the latency",
                               grown.extra.size(), grown.predicted, grown.measured));
    return grown;
  }

  const GrowOptions& options_;
  Subject subject_;
  runtime::Runner runner_;
  runtime::Profile profile_;
  runtime::MeasuringOracle oracle_;
  LatencyBook book_;
};

std::int64_t weights_of(const graph::Model& model) {
  std::int64_t count = 0;
  for (const auto& [name, tensor] : model.graph.initializers)
    if (tensor.type == graph::DataType::f32) count += graph::element_count(tensor.dims);
  return count;
}

// Outputs of both files on random inputs. @throws Error bad_cut if they differ by more than rounding
double same_outputs(const GrowOptions& options, const std::filesystem::path& grown) {
  constexpr double kRounding = 1e-9;  // squared, relative to the outputs' variance
  VerifyOptions how;
  how.overrides = options.overrides, how.bench = options.bench;
  const Agreement found = compare_outputs(options.model, grown, how).front();
  if (found.mean_divergence > kRounding)
    throw Error(
        Code::bad_cut,
        fmt::format("the grown model does not compute the same (divergence {:.3g})", found.mean_divergence),
        options.model.string(), "please report this: nothing was written");
  return found.max_difference;
}

GrowResult described(const Growing& growing, const Grown& grown, const graph::Model& model) {
  GrowResult r;
  const Subject& subject = growing.subject();
  for (const auto& [group, extra] : grown.extra) {
    const graph::ChannelGroup& g = subject.channels.groups[static_cast<std::size_t>(group)];
    r.groups.push_back({g.name, g.width(), g.width() + extra});
  }
  r.macs_before = count_macs(subject.model, subject.overrides),
  r.macs_after = count_macs(model, subject.overrides);
  r.weights_before = weights_of(subject.model), r.weights_after = weights_of(model);
  r.predicted = grown.predicted, r.measured = grown.measured, r.optimal = grown.optimal;
  return r;
}

void check(const GrowOptions& o) {
  auto require = [](bool good, const char* why, const char* option) {
    if (!good) throw Error(Code::bad_value, why, option);
  };
  require(o.ratio >= 0.5 && o.ratio <= 10, "a share of the model's latency from 0.5x to 10x", "--latency");
  require(o.most > 1 && o.most <= 16, "more than 1x and at most 16x the width", "--most");
  require(o.widths >= 2 && o.widths <= 64, "2 to 64 candidates", "--widths");
}

}  // namespace

GrowResult grow(const GrowOptions& options) {
  check(options);
  Growing growing(options);
  const Grown grown = growing.choose();
  const graph::Model model = growing.model(grown);
  GrowResult result = described(growing, grown, model);
  onnx::Draft draft(model, options.out);
  onnx::read(draft.path());
  result.max_difference = same_outputs(options, draft.path());
  result.speed = bench(timing_jobs({options.model, draft.path()}, options.overrides), options.bench);
  result.speed.models[1].path = options.out;
  // Wider by what the interval allows is no miss: at 1.0x half of all good results would be one.
  result.goal_met = result.speed.models[1].to_first.lo <= options.ratio;
  if (result.goal_met) draft.commit(), result.written = options.out;
  return result;
}

Json to_json(const GrowResult& r, const GrowOptions& options) {
  Json groups = Json::array();
  for (const GrownGroup& g : r.groups) groups.push_back({{"name", g.name}, {"from", g.from}, {"to", g.to}});
  return {{"schema", "tailor/grow/1"},
          {"model", options.model.string()},
          {"goal", options.ratio},
          {"seed", options.seed},
          {"groups", std::move(groups)},
          {"macs", {{"before", r.macs_before}, {"after", r.macs_after}}},
          {"weights", {{"before", r.weights_before}, {"after", r.weights_after}}},
          {"predicted", r.predicted},
          {"measured", r.measured},
          {"optimal", r.optimal},
          {"max_difference", r.max_difference},
          {"speed", to_json(r.speed)},
          {"goal_met", r.goal_met},
          {"written", r.written.string()}};
}

}  // namespace tailor::pipeline

// One function per table of the file.
#include "tailor/trainer/search_file.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/console/console.h"
#include "tailor/device/settings.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::trainer {
namespace {

using device::Settings;

constexpr std::int64_t kMostChannels = 65536, kMostSamples = 100000000;
constexpr const char* kHelp = "docs/search.md describes the file";

// A value read by a function of the command line, whose complaint gets the line.
template <class F>
double spelled(Settings& s, const std::string& key, const std::string& text, F read) {
  try {
    return read(text);
  } catch (const Error&) {
    s.fail(fmt::format("'{}' is no value for '{}': write for instance \"0.6x\"", text, key), key);
  }
}

pipeline::WidthRule width_rule(Settings& s) {
  pipeline::WidthRule rule;
  rule.place = s.place();
  rule.from = s.number("from", 1e-6, 1).value_or(rule.from);
  rule.step = static_cast<int>(s.integer("step", 1, kMostChannels).value_or(rule.step));
  rule.keep = s.flag("keep").value_or(false);
  return rule;
}

pipeline::WidthRule group_rule(Settings s, const pipeline::WidthRule& all) {
  pipeline::WidthRule rule = width_rule(s);
  if (!s.has("from")) rule.from = all.from;
  if (!s.has("step")) rule.step = all.step;
  const auto name = s.text("name");
  if (!name) s.fail("'name' is missing");
  rule.group = *name;
  for (std::int64_t w : s.integers("widths", 1, kMostChannels).value_or(std::vector<std::int64_t>{}))
    rule.widths.push_back(static_cast<int>(w));
  if (s.has("widths") && rule.widths.empty()) s.fail("'widths' is empty", "widths");
  if (static_cast<int>(s.has("widths")) + static_cast<int>(rule.keep) +
          static_cast<int>(s.has("from") || s.has("step")) >
      1)
    s.fail("give one of 'widths', 'keep', and a range by 'from' and 'step'");
  s.done();
  return rule;
}

void read_depth(Settings s, pipeline::SpaceRules& space) {
  const auto which = s.text("drop");
  if (which && *which != "all" && *which != "none")
    s.fail("'drop' is \"all\" or \"none\"; 'blocks' lists some", "drop");
  space.all_branches = which == "all";
  space.branches = s.texts("blocks").value_or(std::vector<std::string>{});
  if (which && s.has("blocks")) s.fail("give 'drop' or 'blocks', not both", "blocks");
  s.done();
}

void read_kernels(Settings s, pipeline::SpaceRules& space) {
  const auto sizes = s.integers("sizes", 1, 64);
  if (!sizes || sizes->empty()) s.fail("'sizes' must list the sides that kernels may shrink to");
  for (std::int64_t side : *sizes) space.kernels.push_back(static_cast<int>(side));
  space.convolutions = s.texts("layers").value_or(std::vector<std::string>{});
  s.done();
}

pipeline::SpaceRules read_space(Settings& file) {
  pipeline::SpaceRules space;
  space.place = file.place();
  if (auto widths = file.table("widths")) space.widths = width_rule(*widths), widths->done();
  for (Settings& group : file.tables("group")) space.groups.push_back(group_rule(group, space.widths));
  if (auto depth = file.table("depth")) read_depth(*depth, space);
  if (auto kernels = file.table("kernels")) read_kernels(*kernels, space);
  return space;
}

Strategy strategy_of(Settings& s, const std::string& text) {
  for (Strategy strategy : {Strategy::tail_free, Strategy::all_widths, Strategy::macs})
    if (text == name(strategy)) return strategy;
  s.fail(fmt::format("there is no search '{}': tail-free, all-widths, macs", text), "compare");
}

void read_goal(Settings& file, SearchFile& f) {
  auto s = file.table("goal");
  if (!s) file.fail("the table [goal] is missing: latency = \"0.6x\" for instance");
  const auto latency = s->text("latency"), macs = s->text("macs");
  s->has("threads"), s->has("compare");  // known as well
  if (!latency && !macs) s->done();      // one of them is misspelt, perhaps
  if (latency.has_value() == macs.has_value()) s->fail("give one of 'latency' and 'macs'");
  auto factor = [](const std::string& t) { return console::parse_factor(t, "goal"); };
  auto seconds = [](const std::string& t) { return console::parse_seconds(t, "goal"); };
  f.goal.text = latency ? "latency " + *latency : "macs " + *macs;
  if (macs) f.goal.macs = spelled(*s, "macs", *macs, factor);
  if (latency && latency->ends_with('s'))
    f.goal.latency_us = 1e6 * spelled(*s, "latency", *latency, seconds);
  else if (latency)
    f.goal.ratio = spelled(*s, "latency", *latency, factor);
  for (const auto& share : {f.goal.ratio, f.goal.macs})
    if (share && !(*share > 0 && *share < 1)) s->fail("a goal is a share between 0x and 1x");
  if (f.goal.latency_us && !(*f.goal.latency_us > 0)) s->fail("a latency is positive", "latency");
  f.threads = static_cast<int>(s->integer("threads", 1, 1024).value_or(1));
  for (const std::string& text :
       s->texts("compare").value_or(std::vector<std::string>{"tail-free", "all-widths", "macs"}))
    f.strategies.push_back(strategy_of(*s, text));
  std::sort(f.strategies.begin(), f.strategies.end());
  if (f.strategies.empty() ||
      std::adjacent_find(f.strategies.begin(), f.strategies.end()) != f.strategies.end())
    s->fail("'compare' lists each search once", "compare");
  if (macs && f.strategies.back() != Strategy::macs)
    s->fail("a goal of multiply-accumulates needs \"macs\" in 'compare'", "compare");
  s->done();
}

void read_accuracy(Settings s, SearchFile& f) {
  f.held_out = s.integer("held_out", 1, kMostSamples).value_or(f.held_out);
  f.statistics = s.integer("statistics", 1, kMostSamples).value_or(f.statistics);
  f.points = static_cast<int>(s.integer("points", 3, 1000).value_or(f.points));
  f.rounds = static_cast<int>(s.integer("rounds", 1, 10).value_or(f.rounds));
  s.done();
}

void read_schedule(Settings& s, learn::Schedule& schedule, std::int64_t epochs) {
  const std::string curve = s.text("schedule").value_or("cosine");
  if (curve != "cosine" && curve != "step" && curve != "constant")
    s.fail("'schedule' is \"cosine\", \"step\" or \"constant\"", "schedule");
  schedule.curve = curve == "cosine" ? learn::Curve::cosine
                   : curve == "step" ? learn::Curve::step
                                     : learn::Curve::constant;
  schedule.rate = s.number("rate", 1e-12, 1e6).value_or(schedule.rate);
  schedule.warmup = s.number("warmup", 0, static_cast<double>(epochs)).value_or(0);
  schedule.last = s.number("last", 0, 1).value_or(0);
  schedule.drops = s.numbers("drops", 0, 1).value_or(schedule.drops);
  schedule.factor = s.number("factor", 0, 1).value_or(schedule.factor);
}

learn::Recipe read_recipe(Settings& s, learn::Recipe r) {
  const std::string rule = s.text("rule").value_or("sgd");
  if (rule != "sgd" && rule != "adamw") s.fail("'rule' is \"sgd\" or \"adamw\"", "rule");
  r.rule = rule == "sgd" ? learn::Rule::sgd : learn::Rule::adamw;
  r.epochs = s.integer("epochs", 1, 1000000).value_or(r.epochs);
  r.batch = s.integer("batch", 1, 1 << 20).value_or(r.batch);
  read_schedule(s, r.schedule, r.epochs);
  r.momentum = s.number("momentum", 0, 0.9999).value_or(r.momentum);
  r.nesterov = s.flag("nesterov").value_or(false);
  r.decay = s.number("decay", 0, 1).value_or(r.decay);
  r.clip = s.number("clip", 0, 1e9).value_or(r.clip);
  r.objective.smoothing = s.number("smoothing", 0, 0.999).value_or(0);
  r.augmentation.flip = s.flag("flip").value_or(false);
  r.augmentation.crop = static_cast<int>(s.integer("crop", 0, 1024).value_or(0));
  r.augmentation.mixup = s.number("mixup", 0, 100).value_or(0);
  return r;
}

// Where the weights begin: the first word, or drawn.
bool drawn_weights(Settings& s, const char* otherwise) {
  const std::string start = s.text("start").value_or(otherwise);
  if (start != otherwise && start != "random")
    s.fail(fmt::format("'start' is \"{}\" or \"random\"", otherwise), "start");
  return start == "random";
}

void read_training(Settings& file, SearchFile& f) {
  f.supernet.epochs = 20, f.supernet.schedule.rate = 0.1;
  if (auto s = file.table("supernet")) {
    f.supernet = read_recipe(*s, f.supernet);
    f.anew = drawn_weights(*s, "file");
    f.random = static_cast<int>(s->integer("random", 0, 64).value_or(f.random));
    f.temperature = s->number("temperature", 0.01, 1000).value_or(f.temperature);
    s->done();
  }
  f.finalists.epochs = 10, f.finalists.schedule.rate = 0.05;
  if (auto s = file.table("finalists")) {
    f.finalists = read_recipe(*s, f.finalists);
    f.inherit = !drawn_weights(*s, "supernet");
    s->done();
  }
  f.supernet.seed = f.finalists.seed = f.seed;
}

SearchFile read(Settings file, const std::filesystem::path& path) {
  SearchFile f;
  const auto model = file.text("model");
  if (!model) file.fail("'model' is missing: the ONNX file of the largest network");
  f.model = path.parent_path() / *model;
  f.seed = static_cast<std::uint64_t>(file.integer("seed", 0, std::int64_t{1} << 62).value_or(0));
  f.space = read_space(file);
  read_goal(file, f);
  if (auto accuracy = file.table("accuracy")) read_accuracy(*accuracy, f);
  read_training(file, f);
  file.done();
  return f;
}

}  // namespace

const char* name(Strategy strategy) {
  return strategy == Strategy::tail_free    ? "tail-free"
         : strategy == Strategy::all_widths ? "all-widths"
                                            : "macs";
}

SearchFile parse_search_file(const std::string& toml, const std::filesystem::path& path) {
  return read(device::parse_settings(toml, path.string(), kHelp), path);
}

SearchFile read_search_file(const std::filesystem::path& path) {
  return read(device::read_settings(path, kHelp), path);
}

}  // namespace tailor::trainer

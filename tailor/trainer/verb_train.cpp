// tailor train, finetune, distill and assign: one run, which differs only in what is learned from.
#include "tailor/base/file.h"
#include "tailor/base/parallel.h"
#include "tailor/base/progress.h"
#include "tailor/onnx/onnx.h"
#include "tailor/pipeline/mapping_file.h"
#include "tailor/trainer/mapping.h"
#include "tailor/trainer/trainer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

namespace tailor::trainer {
namespace {

namespace fs = std::filesystem;

struct Outcome {
  learn::Training training;
  std::int64_t samples = 0;
  std::optional<learn::Evaluation> original, before, after;
  Json mapping;                                     // assign: the document that was written
  std::optional<learn::Evaluation> unrounded = {};  // before, with a mapping: the model as it was given
  int activation_bits = 0;  // `before` and `after` are of activations of so many bits; 0: of floats
};

learn::Recipe recipe_of(const TrainArguments& a) {
  learn::Recipe recipe = a.recipe;
  recipe.rule = a.rule == "sgd" ? learn::Rule::sgd : learn::Rule::adamw;
  recipe.schedule.curve = a.schedule == "cosine" ? learn::Curve::cosine
                          : a.schedule == "step" ? learn::Curve::step
                                                 : learn::Curve::constant;
  recipe.frozen_statistics = a.statistics == "frozen";
  learn::check(recipe);
  return recipe;
}

Json units_json(const TrainArguments& a) {
  return {{"platform", device::to_toml(device::find_platform(a.units.platform))},
          {"objective", a.objective},
          {"strength", a.units.strength},
          {"rate", a.units.rate},
          {"cooling", a.units.cooling}};
}

// What decides the bits of the result besides the program: a checkpoint of anything else is refused.
std::string fingerprint(const TrainArguments& a, const learn::Recipe& recipe, const data::Dataset& data,
                        int threads) {
  graph::Tensor some = data.batch(0, std::min<std::int64_t>(data.size(), 16));
  Bytes labels = Bytes::own(std::vector<std::int64_t>(data.labels()));
  Json json = {{"verb", a.verb},
               {"model", onnx::fingerprint(a.model)},
               {"original", a.original.empty() ? "" : onnx::fingerprint(a.original)},
               {"mapping", a.mapping.empty() ? "" : sha256(map_file(a.mapping))},
               {"units", a.units.platform.empty() ? Json() : units_json(a)},
               {"recipe", learn::describe(recipe)},
               {"samples", data.size()},
               {"labels", sha256(labels)},
               {"first samples", sha256(some.data)},
               {"threads", threads}};
  return sha256(to_line(json));
}

// Of the platform that the weights learn for; 0 where they learn for none, or it states none.
int activation_bits(const TrainArguments& a) {
  if (!a.mapping.empty()) return pipeline::read_mapping(a.mapping).activation_bits;
  return a.units.platform.empty() ? 0 : device::find_platform(a.units.platform).activation_bits;
}

UnitGoal goal_of(const TrainArguments& a) {
  UnitGoal goal = a.units;
  goal.objective = a.objective == "energy" ? plan::Objective::energy : plan::Objective::latency;
  return goal;
}

learn::Keeping keeping_of(const TrainArguments& a, const std::string& run) {
  fs::path checkpoint = a.checkpoint.empty() ? fs::path(a.out.string() + ".checkpoint") : a.checkpoint;
  return {checkpoint, a.curve, run, a.resume,
          console::parse_seconds(a.checkpoint_every, "--checkpoint-every")};
}

std::string speed_text(double images_per_s) { return fmt::format("{:.0f} images/s", images_per_s); }

learn::Training run_with_progress(const TrainArguments& a, const graph::Model& model, const learn::Task& task,
                                  const learn::Recipe& recipe, const learn::Keeping& keeping) {
  Progress progress(a.verb);
  return learn::train(model, task, recipe, keeping, [&](const learn::Moment& m) {
    progress.update(
        static_cast<double>(m.step), static_cast<double>(m.steps),
        fmt::format("epoch {}/{} loss {:.4f} {}", m.epoch, m.epochs, m.loss, speed_text(m.images_per_s)));
  });
}

void check_targets(const TrainArguments& a) {
  console::check_target(a.out);
  if (!a.curve.empty()) console::check_target(a.curve);
  if (!a.checkpoint.empty()) console::check_target(a.checkpoint);
  if (!a.mapping_output.empty()) console::check_target(a.mapping_output);
}

Outcome carry_out(const TrainArguments& a) {
  learn::Recipe recipe = recipe_of(a);
  check_targets(a);
  use_threads(a.threads);
  graph::Model model = onnx::read(a.model);
  std::optional<graph::Model> original;
  if (!a.original.empty()) original = onnx::read(a.original);
  learn::Keepings keepings;
  if (!a.mapping.empty()) keepings = keepings_of(model, a.mapping);
  data::Dataset data = read_samples(a.data, a.preparation, model, a.limit);
  std::optional<data::Dataset> eval;
  if (!a.eval.empty()) eval = read_samples(a.eval, a.preparation, model, 0);
  auto judged = [&](const std::optional<graph::Model>& m, const learn::RoundedActivations& activations = {}) {
    return m && eval ? std::optional(learn::evaluate(*m, *eval, recipe.label_offset, 100, activations))
                     : std::nullopt;
  };
  // Member by member: g++ 12 frees what a braced list has made twice where a later initializer throws.
  Outcome outcome;
  outcome.samples = data.size(), outcome.original = judged(original);
  outcome.activation_bits = activation_bits(a);
  const learn::RoundedActivations activations = rounded_activations(model, data, outcome.activation_bits);
  outcome.before = judged(learn::as_kept(model, keepings), activations);
  if (!a.mapping.empty()) outcome.unrounded = judged(model);
  if (a.verb == "train") model = learn::initialised(model, recipe.seed);
  learn::Keeping keeping = keeping_of(a, fingerprint(a, recipe, data, a.threads == 0 ? cores() : a.threads));
  learn::Task task{&data, eval ? &*eval : nullptr, original};
  task.keepings = std::move(keepings), task.activations = activations;
  if (!a.units.platform.empty()) task.units = unit_search(a.model, goal_of(a));
  outcome.training = run_with_progress(a, model, task, recipe, keeping);
  onnx::write(outcome.training.model, a.out);
  if (task.units) {
    outcome.mapping = mapping_document(a.out, goal_of(a), outcome.training.keepings);
    write_file(a.mapping_output, outcome.mapping.dump(1) + "\n");
  }
  outcome.after = judged(onnx::read(a.out), activations);
  fs::remove(keeping.checkpoint);
  return outcome;
}

Json to_json(const learn::CurvePoint& p) {
  return {{"epoch", p.epoch},
          {"step", p.step},
          {"rate", p.rate},
          {"loss", p.loss},
          {"right", p.right},
          {"images_per_s", p.images_per_s},
          {"eval", p.eval ? evaluation_json(*p.eval) : Json(nullptr)}};
}

Json to_json(const TrainArguments& a, const Outcome& o) {
  auto maybe = [](const std::optional<learn::Evaluation>& e) {
    return e ? evaluation_json(*e) : Json(nullptr);
  };
  Json curve = Json::array();
  for (const learn::CurvePoint& point : o.training.curve) curve.push_back(to_json(point));
  return {{"schema", "tailor/train/1"},
          {"verb", a.verb},
          {"model", a.model.string()},
          {"original", a.original.empty() ? Json(nullptr) : Json(a.original.string())},
          {"mapping", a.mapping.empty() ? Json(nullptr) : Json(a.mapping.string())},
          {"decided", o.mapping.is_null() ? Json(nullptr) : o.mapping},
          {"output", a.out.string()},
          {"samples", o.samples},
          {"epochs", a.recipe.epochs},
          {"activation_bits", o.activation_bits > 0 ? Json(o.activation_bits) : Json(nullptr)},
          {"steps", o.training.steps},
          {"resumed_at", o.training.resumed_at},
          {"parameters", o.training.parameters},
          {"seed", a.recipe.seed},
          {"threads", a.threads == 0 ? cores() : a.threads},
          {"seconds", o.training.seconds},
          {"images_per_s", o.training.images_per_s},
          {"evaluation",
           {{"original", maybe(o.original)},
            {"unrounded", maybe(o.unrounded)},
            {"before", maybe(o.before)},
            {"after", maybe(o.after)}}},
          {"curve", std::move(curve)}};
}

std::string accuracy_text(const TrainArguments& a, const Outcome& o) {
  if (!o.after) return "accuracy  not measured (no --eval)\n";
  std::string from = a.verb == "train" ? "the file's own weights " : "";
  std::string text = fmt::format("accuracy  top-1 {}{} -> {}, loss {:.4f} -> {:.4f}\n", from,
                                 top1_text(*o.before), top1_text(*o.after), o.before->loss, o.after->loss);
  if (o.activation_bits > 0)
    text += fmt::format("rounded   activations to {} bits over their range on the first samples\n",
                        o.activation_bits);
  if (o.unrounded)
    text += fmt::format("unrounded top-1 {}, loss {:.4f}\n", top1_text(*o.unrounded), o.unrounded->loss);
  if (o.original)
    text += fmt::format("original  top-1 {}, loss {:.4f}\n", top1_text(*o.original), o.original->loss);
  return text;
}

// How many channels go where, of what a search decided, and what that costs by the platform's models.
std::string mapping_text(const Outcome& o) {
  if (o.mapping.is_null()) return "";
  const Json& chosen = o.mapping["chosen"];
  std::vector<std::string> parts;
  for (std::size_t w = 0; w < o.mapping["options"].size(); ++w) {
    std::int64_t channels = 0;
    for (const Json& layer : chosen["channels"]) channels += layer[w].get<std::int64_t>();
    parts.push_back(fmt::format("{} channels on {}", channels, o.mapping["options"][w].get<std::string>()));
  }
  std::string energy =
      chosen["energy_uj"].is_null() ? "" : fmt::format(", {:.3f} uJ", chosen["energy_uj"].get<double>());
  return fmt::format("mapping   {:.4f} ms{}, modelled: {}\n", chosen["latency_us"].get<double>() / 1e3,
                     energy, fmt::join(parts, ", "));
}

std::string describe(const TrainArguments& a, const Outcome& o) {
  const learn::Training& t = o.training;
  std::string gone_on = t.resumed_at > 0 ? fmt::format(", gone on from step {}", t.resumed_at) : "";
  std::string text = fmt::format("trained   {} parameters, {} epochs of {} samples, {} steps{}\n",
                                 t.parameters, a.recipe.epochs, o.samples, t.steps, gone_on);
  if (t.images_per_s > 0)
    text += fmt::format("speed     {}, {:.1f} s without evaluation\n", speed_text(t.images_per_s), t.seconds);
  if (!t.curve.empty())
    text += fmt::format("loss      {:.4f} in the first epoch, {:.4f} in the last\n", t.curve.front().loss,
                        t.curve.back().loss);
  text += accuracy_text(a, o) + mapping_text(o) + fmt::format("wrote     {} (read back)", a.out.string());
  if (!a.mapping_output.empty()) text += "  " + a.mapping_output.string();
  return text + (a.curve.empty() ? "\n" : fmt::format("  {}\n", a.curve.string()));
}

}  // namespace

int train(const Voice& voice, const TrainArguments& arguments) {
  Outcome outcome = carry_out(arguments);
  voice.json ? console::print_document(to_json(arguments, outcome))
             : console::print(describe(arguments, outcome));
  return 0;
}

}  // namespace tailor::trainer

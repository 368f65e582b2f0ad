// tailor train, finetune and distill: one run, which differs only in what is learned from.
#include "tailor/base/file.h"
#include "tailor/base/parallel.h"
#include "tailor/base/progress.h"
#include "tailor/onnx/onnx.h"
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

// What decides the bits of the result besides the program: a checkpoint of anything else is refused.
std::string fingerprint(const TrainArguments& a, const learn::Recipe& recipe, const data::Dataset& data,
                        int threads) {
  graph::Tensor some = data.batch(0, std::min<std::int64_t>(data.size(), 16));
  Bytes labels = Bytes::own(std::vector<std::int64_t>(data.labels()));
  Json json = {{"verb", a.verb},
               {"model", onnx::fingerprint(a.model)},
               {"original", a.original.empty() ? "" : onnx::fingerprint(a.original)},
               {"recipe", learn::describe(recipe)},
               {"samples", data.size()},
               {"labels", sha256(labels)},
               {"first samples", sha256(some.data)},
               {"threads", threads}};
  return sha256(to_line(json));
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
}

Outcome carry_out(const TrainArguments& a) {
  learn::Recipe recipe = recipe_of(a);
  check_targets(a);
  use_threads(a.threads);
  graph::Model model = onnx::read(a.model);
  std::optional<graph::Model> original;
  if (!a.original.empty()) original = onnx::read(a.original);
  data::Dataset data = read_samples(a.data, a.preparation, model, a.limit);
  std::optional<data::Dataset> eval;
  if (!a.eval.empty()) eval = read_samples(a.eval, a.preparation, model, 0);
  auto judged = [&](const std::optional<graph::Model>& m) {
    return m && eval ? std::optional(learn::evaluate(*m, *eval, recipe.label_offset)) : std::nullopt;
  };
  Outcome outcome{{}, data.size(), judged(original), judged(model), {}};
  if (a.verb == "train") model = learn::initialised(model, recipe.seed);
  learn::Keeping keeping = keeping_of(a, fingerprint(a, recipe, data, a.threads == 0 ? cores() : a.threads));
  learn::Task task{&data, eval ? &*eval : nullptr, original};
  outcome.training = run_with_progress(a, model, task, recipe, keeping);
  onnx::write(outcome.training.model, a.out);
  outcome.after = judged(onnx::read(a.out));
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
          {"output", a.out.string()},
          {"samples", o.samples},
          {"epochs", a.recipe.epochs},
          {"steps", o.training.steps},
          {"resumed_at", o.training.resumed_at},
          {"parameters", o.training.parameters},
          {"seed", a.recipe.seed},
          {"threads", a.threads == 0 ? cores() : a.threads},
          {"seconds", o.training.seconds},
          {"images_per_s", o.training.images_per_s},
          {"evaluation",
           {{"original", maybe(o.original)}, {"before", maybe(o.before)}, {"after", maybe(o.after)}}},
          {"curve", std::move(curve)}};
}

std::string accuracy_text(const TrainArguments& a, const Outcome& o) {
  if (!o.after) return "accuracy  not measured (no --eval)\n";
  std::string from = a.verb == "train" ? "the file's own weights " : "";
  std::string text = fmt::format("accuracy  top-1 {}{} -> {}, loss {:.4f} -> {:.4f}\n", from,
                                 top1_text(*o.before), top1_text(*o.after), o.before->loss, o.after->loss);
  if (o.original)
    text += fmt::format("original  top-1 {}, loss {:.4f}\n", top1_text(*o.original), o.original->loss);
  return text;
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
  text += accuracy_text(a, o) + fmt::format("wrote     {} (read back)", a.out.string());
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

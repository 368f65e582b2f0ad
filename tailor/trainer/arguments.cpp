// The command line of tailor-learn, in CLI11's words. Users come here through `tailor`, so that is its name in messages.
#include "tailor/console/command_line.h"
#include "tailor/trainer/trainer.h"

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>

namespace tailor::trainer {
namespace {

using Call = std::function<int(const Voice&)>;

constexpr const char* kDataHelp = "CIFAR binary, IDX, npz, npy or a folder of images";

void add_rule(CLI::App& sub, TrainArguments& a) {
  learn::Recipe& r = a.recipe;
  sub.add_option("--epochs", r.epochs, "times that all samples are seen")->capture_default_str();
  sub.add_option("--batch", r.batch, "samples of a step")->capture_default_str();
  sub.add_option("--rule", a.rule, "sgd or adamw")
      ->check(CLI::IsMember({"sgd", "adamw"}))
      ->capture_default_str();
  sub.add_option("--rate", r.schedule.rate, "learning rate, at its highest")->capture_default_str();
  sub.add_option("--schedule", a.schedule, "cosine, step or constant")
      ->check(CLI::IsMember({"cosine", "step", "constant"}))
      ->capture_default_str();
  sub.add_option("--warmup", r.schedule.warmup, "epochs in which the rate rises from 0")
      ->capture_default_str();
  sub.add_option("--last", r.schedule.last, "cosine: share of the rate at the end")->capture_default_str();
  sub.add_option("--drops", r.schedule.drops,
                 "step: shares of the epochs after which the rate falls: 0.5,0.75")
      ->delimiter(',')
      ->allow_extra_args(false);
  sub.add_option("--factor", r.schedule.factor, "step: to so much of it")->capture_default_str();
  sub.add_option("--momentum", r.momentum, "of sgd; the first beta of adamw")->capture_default_str();
  sub.add_flag("--nesterov", r.nesterov, "sgd: Nesterov's momentum");
  sub.add_option("--decay", r.decay, "weight decay, of weights only")->capture_default_str();
  sub.add_option("--clip", r.clip, "largest norm of all gradients together; 0: any")->capture_default_str();
  sub.add_option("--ema", r.average,
                 "keep a moving average of the weights with this decay, and write that; 0: no")
      ->capture_default_str();
  sub.add_option("--statistics", a.statistics,
                 "of BatchNormalization: batch (normalise by the batch, which they follow) or frozen")
      ->check(CLI::IsMember({"batch", "frozen"}))
      ->capture_default_str();
}

void add_samples(CLI::App& sub, TrainArguments& a, bool labels) {
  sub.add_option("--data", a.data, std::string(labels ? "labelled samples: " : "samples: ") + kDataHelp)
      ->required();
  sub.add_option("--eval", a.eval, "other labelled samples: top-1 before, after each epoch, and after");
  console::add_preparation(sub, a.preparation);
  sub.add_option("--label-offset", a.recipe.label_offset,
                 "added to each label (1: class 0 is the background)");
  sub.add_option("--limit", a.limit, "use only the first so many samples");
  sub.add_flag("--flip", a.recipe.augmentation.flip, "mirror every second image");
  sub.add_option("--crop", a.recipe.augmentation.crop, "shift images by up to so many pixels")
      ->capture_default_str();
  sub.add_option("--mixup", a.recipe.augmentation.mixup, "blend images, by shares of Beta(x, x); 0: no")
      ->capture_default_str();
}

void add_run(CLI::App& sub, TrainArguments& a) {
  sub.add_option("-o,--output", a.out, "ONNX file to write")->required();
  sub.add_option("--threads", a.threads, "threads; results differ in the last bits (default: all cores)");
  sub.add_option("--seed", a.recipe.seed, "of the order, the images' changes and Dropout")
      ->capture_default_str();
  sub.add_option("--curve", a.curve, "CSV of the epochs, rewritten after each");
  sub.add_option("--checkpoint", a.checkpoint,
                 "where the run is kept meanwhile (default: OUTPUT.checkpoint)");
  sub.add_option("--checkpoint-every", a.checkpoint_every, "how often")->capture_default_str();
  sub.add_flag("--resume", a.resume, "go on from the checkpoint; ends with the same weights, bit by bit");
}

void add_units(CLI::App& sub, TrainArguments& a) {
  sub.add_option("--platform", a.units.platform,
                 "diana, darkside, gap8, mpic, ne16 or a description FILE.toml")
      ->required();
  sub.add_option("--mapping-output", a.mapping_output,
                 "JSON file to write: the mapping, as `tailor map --json`")
      ->required();
  sub.add_option("--objective", a.objective, "what the search keeps small: latency or energy")
      ->check(CLI::IsMember({"latency", "energy"}))
      ->capture_default_str();
  sub.add_option("--strength", a.units.strength,
                 "what the loss gains where everything is on the first unit; 0: cost does not matter")
      ->capture_default_str();
  sub.add_option("--share-rate", a.units.rate,
                 "learning rate (Adam) of the numbers whose softmax are the shares")
      ->capture_default_str();
  sub.add_option("--cooling", a.units.cooling, "their temperature falls by exp(-x) after each epoch")
      ->capture_default_str();
}

std::shared_ptr<TrainArguments> add_training(CLI::App& app, Call& call, const std::string& name,
                                             const std::string& help) {
  auto a = std::make_shared<TrainArguments>();
  a->verb = name;
  bool distill = name == "distill", anew = name == "train", assign = name == "assign";
  learn::Objective& o = a->recipe.objective;
  a->recipe.epochs = anew ? 60 : 10;
  a->recipe.schedule.rate = anew ? 0.1 : 0.01;
  if (distill) {
    o.labels = 0, o.distill = 1;
    a->rule = "adamw", a->recipe.schedule.rate = 0.0005, a->statistics = "frozen";
  }
  CLI::App* sub = app.add_subcommand(name, help);
  if (distill) sub->add_option("ORIGINAL", a->original, "ONNX file of the model to learn from")->required();
  sub->add_option("MODEL", a->model, "ONNX file of the model that learns")->required();
  add_run(*sub, *a);
  if (assign)
    add_units(*sub, *a);
  else
    sub->add_option(
        "--mapping", a->mapping,
        "document of `tailor map --json`: learn weights as its units keep them, and write them so");
  add_samples(*sub, *a, !distill);
  add_rule(*sub, *a);
  sub->add_option("--smoothing", o.smoothing, "share of each label that goes to all classes alike")
      ->capture_default_str();
  if (distill) {
    sub->add_option("--outputs", o.distill, "weight of the divergence from the original's outputs")
        ->capture_default_str();
    sub->add_option("--temperature", o.temperature, "softens both models' scores")->capture_default_str();
    sub->add_option("--match", o.match,
                    "weight of the distance of residual sums that both models have in equal shape")
        ->capture_default_str();
    sub->add_option("--labels", o.labels, "weight of the labels, if the samples have any")
        ->capture_default_str();
  }
  sub->callback([&call, a] { call = [a](const Voice& voice) { return train(voice, *a); }; });
  return a;
}

void add_evaluate(CLI::App& app, Call& call) {
  auto a = std::make_shared<EvaluateArguments>();
  CLI::App* sub = app.add_subcommand("evaluate", "top-1 and loss of a model on labelled samples");
  sub->add_option("MODEL", a->model, "ONNX file")->required();
  sub->add_option("--data", a->data, std::string("labelled samples: ") + kDataHelp)->required();
  console::add_preparation(*sub, a->preparation);
  sub->add_option("--label-offset", a->label_offset, "added to each label (1: class 0 is the background)");
  sub->add_option("--limit", a->limit, "use only the first so many samples");
  sub->add_option("--batch", a->batch, "samples at once")->capture_default_str();
  sub->add_option("--threads", a->threads, "threads (default: all cores)");
  sub->callback([&call, a] { call = [a](const Voice& voice) { return evaluate(voice, *a); }; });
}

void add_worth(CLI::App& app, Call& call) {
  auto a = std::make_shared<WorthArguments>();
  CLI::App* sub =
      app.add_subcommand("worth", "what channels are worth by gradients, for optimize --gradients");
  sub->add_option("MODEL", a->model, "ONNX file")->required();
  sub->add_option("-o,--output", a->out, "JSON file to write")->required();
  sub->add_option(
         "--data", a->data,
         std::string("samples; without labels the model's own decisions stand for them: ") + kDataHelp)
      ->required();
  console::add_preparation(*sub, a->preparation);
  sub->add_option("--label-offset", a->label_offset, "added to each label (1: class 0 is the background)");
  sub->add_option("--limit", a->limit, "use only the first so many samples");
  sub->add_option("--batch", a->batch, "samples at once")->capture_default_str();
  sub->add_option("--threads", a->threads, "threads (default: all cores)");
  sub->callback([&call, a] { call = [a](const Voice& voice) { return worth(voice, *a); }; });
}

void add_patterns(CLI::App& app, Call& call) {
  auto a = std::make_shared<PatternArguments>();
  learn::PatternRecipe& r = a->recipe;
  CLI::App* sub = app.add_subcommand("patterns", "what excites each filter most, as pictures and clusters");
  sub->add_option("MODEL", a->model, "ONNX file")->required();
  sub->add_option("-o,--output", a->out, "folder for patterns.json and a sheet of pictures per layer")
      ->required();
  sub->add_option(
         "--layer", a->layers,
         "only this layer; can be given several times (default: all that make channels which could go)")
      ->allow_extra_args(false);
  sub->add_option(
      "--data", a->data,
      std::string("samples, labels not needed: pictures are of their size and range, and filters are "
                  "alike only if they also answer alike on them: ") +
          kDataHelp);
  console::add_preparation(*sub, a->preparation);
  sub->add_option("--limit", a->limit, "use only the first so many samples; 0: all")->capture_default_str();
  sub->add_option("--similar", a->similar,
                  "how alike any two filters of a cluster are at least: 1 the same, 0 nothing in common")
      ->capture_default_str();
  sub->add_option(
         "--objective", a->objective,
         "what rises: the answer at the middle of the filter's map, the mean of the map, or its maximum")
      ->check(CLI::IsMember({"middle", "mean", "maximum"}))
      ->capture_default_str();
  sub->add_option("--steps", r.steps, "steps uphill")->capture_default_str();
  sub->add_option("--rate", r.rate, "size of a step, in deviations of the inputs")->capture_default_str();
  sub->add_option("--decay", r.decay, "share of the way back to the inputs' mean, each step")
      ->capture_default_str();
  sub->add_option("--blur", r.blur, "deviation of the blur in pixels; 0: none")->capture_default_str();
  sub->add_option("--blur-every", r.blur_every, "blur after so many steps")->capture_default_str();
  sub->add_option("--jitter", r.jitter, "shift by up to so many pixels at each step")->capture_default_str();
  sub->add_option("--batch", r.batch, "filters at once")->capture_default_str();
  sub->add_option("--seed", r.seed, "of the start and of the shifts")->capture_default_str();
  sub->add_option("--threads", a->threads, "threads; results differ in the last bits (default: all cores)");
  sub->callback([&call, a] { call = [a](const Voice& voice) { return patterns(voice, *a); }; });
}

void add_search(CLI::App& app, Call& call) {
  auto a = std::make_shared<SearchArguments>();
  CLI::App* sub = app.add_subcommand(
      "search", "widths, depth and kernels by a supernet: tail-free, with all widths, and by MACs");
  sub->add_option("SPACE", a->space, "TOML file of the space, the goal and the recipes")->required();
  sub->add_option("-o,--output", a->out, "folder for the networks and search.json")->required();
  sub->add_option("--data", a->data, std::string("labelled samples to learn from: ") + kDataHelp)->required();
  sub->add_option("--eval", a->eval, "other labelled samples: top-1 of what was found")->required();
  console::add_preparation(*sub, a->preparation);
  sub->add_option("--label-offset", a->label_offset, "added to each label (1: class 0 is the background)");
  sub->add_option("--limit", a->limit, "learn from the first so many samples only");
  sub->add_option("--shape", a->shapes, "fixes a free dimension: NAME:1x3x224x224")->allow_extra_args(false);
  sub->add_option("--threads", a->threads,
                  "threads that train; results differ in the last bits (default: all cores)");
  sub->add_option("--time", a->time, "for the final comparison of latencies")->capture_default_str();
  sub->add_option("--profile", a->profile, "journal of measured layers (default: in the cache folder)");
  sub->add_option("--ort-library", a->library, "libonnxruntime.so to measure with");
  sub->add_option("--checkpoint-every", a->checkpoint_every, "how often a training is kept")
      ->capture_default_str();
  sub->add_flag("--resume", a->resume, "go on from what the folder holds");
  sub->callback([&call, a] { call = [a](const Voice& voice) { return search(voice, *a); }; });
}

}  // namespace

int run(int count, char** arguments, Voice& voice) {
  CLI::App app("Training on the ONNX graph itself.", "tailor");
  app.fallthrough();
  app.require_subcommand(0, 1);
  console::use_help(app);
  Call call;
  console::add_voice(app, voice);
  add_training(app, call, "train", "train a model's graph anew, from random weights");
  add_training(app, call, "finetune", "train a model further on labelled samples");
  add_training(app, call, "distill",
               "train a model to answer like the one it was made from; no labels needed");
  add_training(app, call, "assign",
               "which unit of a chip each channel goes to, learned with the weights (ODiMO), beside map");
  add_evaluate(app, call);
  add_worth(app, call);
  add_patterns(app, call);
  add_search(app, call);
  console::check_names(app, count, arguments);
  try {
    app.parse(count, arguments);
  } catch (const CLI::CallForHelp&) {
    return console::print(app.help()), 0;
  } catch (const CLI::ParseError& error) {
    console::rethrow(app, error);
  }
  console::apply(voice);
  if (!call)
    throw Error(Code::usage, "no verb given", "command line",
                "verbs: train, finetune, distill, assign, evaluate, worth, patterns, search");
  return call(voice);
}

}  // namespace tailor::trainer

#include "tailor/learn/recipe.h"

#include "tailor/base/error.h"
#include "tailor/base/json.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tailor::learn {
namespace {

void demand(bool holds, const char* option, const char* what) {
  if (!holds) throw Error(Code::bad_value, fmt::format("{} must be {}", option, what), option);
}

bool in(double value, double low, double high) { return value >= low && value <= high; }

double fallen(const Schedule& s, double share) {
  if (s.curve == Curve::cosine) return s.last + (1 - s.last) * (1 + std::cos(std::numbers::pi * share)) / 2;
  if (s.curve == Curve::constant) return 1;
  return std::pow(s.factor,
                  std::count_if(s.drops.begin(), s.drops.end(), [&](double at) { return share >= at; }));
}

}  // namespace

double rate_at(const Schedule& s, double position, double epochs) {
  if (position < s.warmup) return s.rate * (position / s.warmup);
  double left = std::max(epochs - s.warmup, 1e-9);
  double share = s.curve == Curve::cosine ? (position - s.warmup) / left : position / epochs;
  return s.rate * fallen(s, std::min(share, 1.0));
}

void check(const Recipe& r) {
  demand(r.epochs >= 1 && r.epochs <= 1000000, "--epochs", "1 to 1000000");
  demand(r.batch >= 1 && r.batch <= 1 << 20, "--batch", "1 to 1048576");
  demand(std::isfinite(r.schedule.rate) && r.schedule.rate > 0, "--rate", "positive");
  demand(in(r.schedule.warmup, 0, static_cast<double>(r.epochs)), "--warmup", "0 to the number of epochs");
  demand(in(r.schedule.last, 0, 1), "--last", "0 to 1");
  demand(in(r.schedule.factor, 0, 1), "--factor", "0 to 1");
  for (double at : r.schedule.drops) demand(in(at, 0, 1), "--drops", "shares of the epochs, 0 to 1");
  demand(in(r.momentum, 0, 0.9999), "--momentum", "0 to 0.9999");
  demand(in(r.decay, 0, 1), "--decay", "0 to 1");
  demand(std::isfinite(r.clip) && r.clip >= 0, "--clip", "0 or positive");
  demand(in(r.average, 0, 0.99999), "--ema", "0 to 0.99999");
  demand(in(r.augmentation.crop, 0, 1024), "--crop", "0 to 1024");
  demand(in(r.augmentation.mixup, 0, 100), "--mixup", "0 to 100");
  demand(in(r.objective.smoothing, 0, 0.999), "--smoothing", "0 to 0.999");
  demand(in(r.objective.temperature, 0.01, 1000), "--temperature", "0.01 to 1000");
  demand(in(r.objective.labels, 0, 1e6), "--labels", "0 or positive");
  demand(in(r.objective.distill, 0, 1e6), "--outputs", "0 or positive");
  demand(in(r.objective.match, 0, 1e6), "--match", "0 or positive");
  if (r.objective.labels + r.objective.distill + r.objective.match == 0)
    throw Error(Code::bad_value, "there is nothing to learn from", "--labels, --outputs, --match",
                "give one of them a positive weight");
}

std::string describe(const Recipe& r) {
  const Schedule& s = r.schedule;
  Json json = {{"rule", r.rule == Rule::sgd ? "sgd" : "adamw"},
               {"momentum", r.momentum},
               {"decay", r.decay},
               {"clip", r.clip},
               {"nesterov", r.nesterov},
               {"frozen_statistics", r.frozen_statistics},
               {"average", r.average},
               {"schedule", {static_cast<int>(s.curve), s.rate, s.warmup, s.last, s.drops, s.factor}},
               {"augmentation", {r.augmentation.flip, r.augmentation.crop, r.augmentation.mixup}},
               {"objective",
                {r.objective.labels, r.objective.smoothing, r.objective.distill, r.objective.temperature,
                 r.objective.match}},
               {"epochs", r.epochs},
               {"batch", r.batch},
               {"label_offset", r.label_offset},
               {"seed", r.seed}};
  return to_line(json);
}

}  // namespace tailor::learn

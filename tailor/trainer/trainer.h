/// \file The program tailor-learn: one function per verb. Private.
#pragma once

#include "tailor/console/console.h"
#include "tailor/learn/patterns.h"
#include "tailor/learn/train.h"
#include "tailor/trainer/mapping.h"

#include <filesystem>
#include <string>
#include <vector>

namespace tailor::trainer {

using console::Voice;

struct EvaluateArguments {
  std::filesystem::path model, data;
  console::PreparationArguments preparation;
  std::int64_t label_offset = 0, limit = 0, batch = 100;
  int threads = 0;  // 0: all cores
};

struct TrainArguments {
  std::string verb;                       // train, finetune, distill, assign
  std::filesystem::path original, model;  // original: distill only
  std::filesystem::path out, data, eval, curve, checkpoint, mapping;
  console::PreparationArguments preparation;
  learn::Recipe recipe;
  std::string rule = "sgd", schedule = "cosine", statistics = "batch", checkpoint_every = "60s";
  std::int64_t limit = 0;
  int threads = 0;
  bool resume = false;
  UnitGoal units;  // assign only, as are the next two
  std::string objective = "latency";
  std::filesystem::path mapping_output;
};

struct WorthArguments {
  std::filesystem::path model, data, out;
  console::PreparationArguments preparation;
  std::int64_t label_offset = 0, limit = 0, batch = 64;
  int threads = 0;  // 0: all cores
};

struct PatternArguments {
  std::filesystem::path model, data, out;  // out: a folder
  std::vector<std::string> layers;         // none: those that make channels which could go
  console::PreparationArguments preparation;
  std::string objective = "middle";
  learn::PatternRecipe recipe;
  double similar = 0.3;
  std::int64_t limit = 256;
  int threads = 0;  // 0: all cores
};

struct SearchArguments {
  std::filesystem::path space, data, eval, out, profile;  // out: a folder
  std::vector<std::string> shapes;
  console::PreparationArguments preparation;
  std::string time = "10s", checkpoint_every = "60s", library;
  std::int64_t label_offset = 0, limit = 0;
  int threads = 0;  // that train; 0: all cores
  bool resume = false;
};

/// Each prints its result and returns the program's exit code; all else is thrown. @throws Error
int evaluate(const Voice& voice, const EvaluateArguments& arguments);
int train(const Voice& voice, const TrainArguments& arguments);
int worth(const Voice& voice, const WorthArguments& arguments);
int patterns(const Voice& voice, const PatternArguments& arguments);
int search(const Voice& voice, const SearchArguments& arguments);

/// Understands the command line and runs the verb. @throws Error usage, unknown_name, bad_value and the verb's
int run(int count, char** arguments, Voice& voice);

/// @throws Error bad_value
void use_threads(int threads);
/// Samples that fit the model's input, the first `limit` of them (0: all). @throws Error
data::Dataset read_samples(const std::filesystem::path& path,
                           const console::PreparationArguments& preparation, const graph::Model& model,
                           std::int64_t limit);
/// "91.64 % (474 of 517)"
std::string top1_text(const learn::Evaluation& evaluation);
Json evaluation_json(const learn::Evaluation& evaluation);

}  // namespace tailor::trainer

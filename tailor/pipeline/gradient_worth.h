/// \file What channels are worth by gradients that `tailor worth` took: a criterion from a file.
#pragma once

#include "tailor/pipeline/surgery.h"
#include "tailor/rewrite/repair.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// Per value of the original, per position of axis 1, in nats: first order (arXiv:1611.06440) and second
/// (arXiv:1801.05787).
struct GradientWorth {
  std::map<std::string, std::vector<double>> taylor, fisher;
};

/// Reads a document "tailor/worth/1". @param sha256 of the model that it must have been made from
/// @throws Error file_missing, bad_json (damaged, worths that are no numbers), dataset_mismatch (of another model)
GradientWorth read_gradient_worth(const std::filesystem::path& path, const std::string& sha256);

/// Per unit of `group`: the worth of its positions in what linear layers read, each value once, added up; empty if no
/// value that is read has any. @param kept what stays of the original's values in `present`
/// @throws Error bad_json if a value has more channels than the file knows
std::vector<double> gradient_worth(const Subject& present, int group,
                                   const std::map<std::string, std::vector<double>>& worth,
                                   const rewrite::KeptChannels& kept);

}  // namespace tailor::pipeline

/// \file A plan carried out as data: cut, drop and widen, nothing measured, nothing refitted.
#pragma once

#include "tailor/pipeline/width_plan.h"

#include <cstdint>
#include <filesystem>

namespace tailor::pipeline {

struct ApplyOptions {
  std::filesystem::path model, plan, out;
  graph::ShapeOverrides overrides;
};

/// What a model costs without being run.
struct Size {
  std::uintmax_t bytes = 0;  // of the file
  std::int64_t macs = 0;     // of the layers whose shapes are known
};

struct Applied {
  WidthPlan plan;
  std::filesystem::path model, written;
  Size before, after;
};

/// Writes the model that the plan's surgery makes, all other weights and statistics as they are. The file is
/// read back, its outputs must have the original's shapes, and only then does it appear under its name.
/// @throws Error as read_subject and read_plan; plan_mismatch, bad_cut; write_failed
Applied apply_plan(const ApplyOptions& options);

/// Schema "tailor/plan-apply/1".
Json to_json(const Applied& applied);

}  // namespace tailor::pipeline

/// \file What has been decided about a model so far, and the model that follows from it.
#pragma once

#include "tailor/graph/channels.h"
#include "tailor/graph/model.h"
#include "tailor/graph/shapes.h"
#include "tailor/latency/extract.h"
#include "tailor/rewrite/branch.h"
#include "tailor/rewrite/cut.h"
#include "tailor/rewrite/fold.h"
#include "tailor/rewrite/repair.h"
#include "tailor/rewrite/taps.h"

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace tailor::pipeline {

/// A model with all that can be known about it without running it.
struct Subject {
  std::filesystem::path path;
  graph::Model model;
  graph::Shapes shapes;
  graph::Channels channels;
  std::vector<rewrite::Branch> branches;
  std::vector<latency::LayerWorkload> layers;
  graph::ShapeOverrides overrides;
  std::vector<std::string> shortcuts;  // values given by convolutions where the file at `path` pads

  /// Of the file as it was read; "" for a model made in memory. O(bytes of the file).
  std::string sha256() const;
};

/// Reads, infers, groups. @throws Error as onnx::read and infer_shapes; not_finite if a weight is NaN or
/// infinite
Subject read_subject(const std::filesystem::path& path, const graph::ShapeOverrides& overrides);
/// The same for a model in memory.
Subject make_subject(graph::Model model, const graph::ShapeOverrides& overrides);

/// The same network with its padded shortcuts as convolutions (rewrite/shortcut.h). It stays the subject read
/// from `path`: what is measured against it is measured against that file.
Subject with_shortcuts(const Subject& read);

/// Which tokens stay behind a value.
struct TokenCut {
  int axis = 0;           // of the value
  std::vector<int> kept;  // places along it, increasing, in the original
  friend bool operator==(const TokenCut&, const TokenCut&) = default;
};

/// Decisions, in terms of the original's groups and values.
struct Surgery {
  std::map<int, std::vector<int>> kept = {};  // group -> units kept, increasing; absent: all
  std::map<int, int> added = {};              // group -> channels of zeros added
  std::set<std::string> dropped = {};         // branches, by the output of their sum
  std::map<std::string, int> folded = {};     // branch -> kernel of the one convolution that stands for it
  std::map<std::string, rewrite::Taps> kernels = {};  // convolution, by what it gives -> taps that stay
  std::map<std::string, TokenCut> tokens = {};        // values behind which fewer tokens are carried

  friend bool operator==(const Surgery&, const Surgery&) = default;
  bool empty() const { return *this == Surgery{}; }
};

/// Groups that a residual sum carries: whatever adds to the stream must keep them. O(branches x channels).
std::set<int> stream_groups(const Subject& subject);

/// Width of a group after the surgery.
int width_after(const Subject& subject, const Surgery& surgery, int group);

/// Cut, tokens left out, branches dropped or folded (into convolutions of zeros), kernels made smaller; weights otherwise
/// untouched. The rest comes later, by final_form: repair works on the channels that carry something. @throws Error
/// bad_cut
graph::Model apply(const Subject& subject, const Surgery& surgery);

/// `model` (made by apply, possibly repaired) as it is written: with `surgery.added`, and sums with one
/// convolution of their own operand absorbed (rewrite/absorb.h). The function stays the same. @throws Error
/// bad_cut
graph::Model final_form(const Subject& subject, const Surgery& surgery, const graph::Model& model);

/// Positions that stay of every value of the original.
rewrite::KeptChannels kept_values(const Subject& subject, const Surgery& surgery);

}  // namespace tailor::pipeline

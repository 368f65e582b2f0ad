// fill_table: the present network's own loss first, then each width of each group (cut, refit the readers,
// run what lies behind), then each branch (fold or drop, repair what
// replaces it and the next two layers, run), then each count of tokens (left out, run). Judge samples are run from
// the nearest value that the change does not touch. With another recovery than least squares nothing is
// refitted.
#include "tailor/pipeline/candidates.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/pipeline/fewer_tokens.h"
#include "tailor/pipeline/loss.h"
#include "tailor/pipeline/readers.h"
#include "tailor/rewrite/fold.h"
#include "tailor/rewrite/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

namespace tailor::pipeline {
namespace {

using graph::Label;
using graph::Model;
using rewrite::LinearLayer;

std::vector<std::string> output_names(const Model& model) {
  std::vector<std::string> names;
  for (const graph::ValueInfo& output : model.graph.outputs) names.push_back(output.name);
  return names;
}

runtime::NamedTensors named(const std::vector<std::string>& names, std::vector<graph::Tensor> tensors) {
  runtime::NamedTensors list;
  for (std::size_t i = 0; i < names.size(); ++i) list.emplace_back(names[i], std::move(tensors[i]));
  return list;
}

std::vector<int> all_inputs(const LinearLayer& layer) {
  std::vector<int> all(static_cast<std::size_t>(layer.inputs));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

std::vector<int> survivors(const std::vector<int>& order, int width) {
  std::vector<int> kept(order.end() - width, order.end());
  std::sort(kept.begin(), kept.end());
  return kept;
}

// The value from which everything that the change of a group touches can be computed: input of its first
// producing layer.
std::string seed_of(const Subject& subject, int group) {
  for (const graph::LayerChannels& layer : subject.channels.layers)
    if (contains_group(subject.channels, layer.out, group))
      return subject.model.graph.nodes[layer.node].input(0);
  return {};
}

// The first so many of each.
runtime::NamedTensors first(const runtime::NamedTensors& samples, std::int64_t count) {
  runtime::NamedTensors few;
  for (const auto& [name, tensor] : samples) {
    std::vector<int> places(
        static_cast<std::size_t>(tensor.dims.empty() ? 0 : std::min(count, tensor.dims[0])));
    std::iota(places.begin(), places.end(), 0);
    few.emplace_back(name, tensor.dims.empty() ? tensor : rewrite::take(tensor, 0, places));
  }
  return few;
}

// Runs samples through a changed model from a value that is known to be unchanged.
class Judge {
 public:
  Judge(runtime::Runner& runner, const Subject& original, const Subject& present,
        const Calibration& calibration, runtime::NamedTensors samples)
      : runner_(runner),
        present_(present),
        calibration_(calibration),
        samples_(std::move(samples)),
        names_(output_names(original.model)),
        known_(runner, present.shapes, samples_, calibration.threads, calibration.memory) {
    rewrite::Activations of_original(runner, original.shapes, samples_, calibration.threads, 0);
    reference_ = named(names_, of_original.get(original.model, names_));
  }

  double loss(const Model& model, const std::string& seed) {
    runtime::NamedTensors inputs = samples_;
    bool is_input = seed.empty() ||
                    std::any_of(inputs.begin(), inputs.end(), [&](const auto& i) { return i.first == seed; });
    if (!is_input) inputs.emplace_back(seed, known_.get(present_.model, {seed}).front());
    rewrite::Activations run(runner_, present_.shapes, inputs, calibration_.threads, 0);
    return divergence(reference_, named(names_, run.get(model, names_)));
  }

 private:
  runtime::Runner& runner_;
  const Subject& present_;
  const Calibration& calibration_;
  runtime::NamedTensors samples_;
  std::vector<std::string> names_;
  rewrite::Activations known_;
  runtime::NamedTensors reference_;
};

// The two linear layers that follow a branch's sum, and depthwise ones before the second.
std::set<std::string> next_layers(const Subject& subject, const rewrite::Branch& branch) {
  std::set<std::string> next;
  int last = branch.sum;
  for (const LinearLayer& layer : rewrite::linear_layers(subject.model, subject.shapes))
    if (layer.node > branch.sum && next.size() < 2) next.insert(layer.y), last = layer.node;
  for (const LinearLayer& layer : rewrite::depthwise_layers(subject.model, subject.shapes))
    if (layer.node > branch.sum && layer.node < last) next.insert(layer.y);
  return next;
}

// The table while it is being filled.
class Filling {
 public:
  Filling(runtime::Runner& runner, const Subject& original, const Subject& present,
          const rewrite::KeptChannels& kept, const rewrite::Equations& equations,
          const Calibration& calibration, const TableOptions& options)
      : runner_(runner),
        original_(original),
        present_(present),
        kept_(kept),
        equations_(equations),
        calibration_(calibration),
        options_(options),
        judge_(runner, original, present, calibration, calibration.judge),
        known_(runner, present.shapes, calibration.fit, calibration.threads, calibration.memory / 2),
        wanted_(runner, original.shapes, calibration.fit, calibration.threads, calibration.memory / 2) {}

  CandidateTable fill(const std::vector<std::pair<int, std::vector<int>>>& widths) {
    kernels_ = find_kernels();
    all_ = count(widths);
    table_.base_loss = judge_.loss(present_.model, {});
    for (const auto& [group, list] : widths) table_.groups.push_back(group_candidates(group, list));
    for (std::size_t i = 0; options_.branches && i < present_.branches.size(); ++i)
      table_.branches.push_back(branch_candidate(static_cast<int>(i)));
    for (const auto& [layer, kernels] : kernels_) table_.kernels.push_back(kernel_candidate(layer, kernels));
    for (const TokenCounts& site : options_.tokens) add_tokens(site);
    return std::move(table_);
  }

 private:
  // Layers with equations, and the kernels to try for each: of those with as many taps the one that fits best.
  using LayerKernels = std::vector<std::pair<LinearLayer, std::vector<KernelOption>>>;
  LayerKernels find_kernels() const {
    LayerKernels list;
    if (!options_.kernels || options_.recover != Recover::lsq) return list;
    for (LinearLayer& layer : rewrite::linear_layers(present_.model, present_.shapes))
      if (auto e = equations_.find(layer.y); e != equations_.end())
        if (auto best = best_kernels(layer, e->second); !best.empty())
          list.emplace_back(std::move(layer), std::move(best));
    return list;
  }

  std::vector<KernelOption> best_kernels(const LinearLayer& layer,
                                         const saliency::NormalEquations& equations) const {
    std::vector<rewrite::Taps> kernels = rewrite::smaller_kernels(present_.model, layer);
    std::vector<KernelOption> best;
    if (kernels.empty()) return best;
    std::vector<float> prior = rewrite::weights(present_.model, layer);
    auto error = [&](const std::vector<int>& taps) {
      saliency::Fit fit = saliency::fit(equations, all_inputs(layer), options_.ridge, prior, taps);
      return std::accumulate(fit.error.begin(), fit.error.end(), 0.0);
    };
    double whole = error({});
    for (const rewrite::Taps& taps : kernels) {
      KernelOption option{taps, error(rewrite::tap_indices(layer.geometry, taps)) - whole, 0};
      if (best.empty() || best.back().taps.count() != taps.count())
        best.push_back(option);
      else if (option.error < best.back().error)
        best.back() = option;
    }
    return best;
  }

  // Measures one kernel, of a middling error, and infers the others: loss grows as a power of the fit's error
  // (its median over 55 layers of ResNet-56, from the largest part to one tap; 0.9 to 1.9 were measured).
  KernelCandidate kernel_candidate(const LinearLayer& layer, std::vector<KernelOption> options) {
    constexpr double kExponent = 1.4;
    throw_if_interrupted();
    const KernelOption& middle = options[options.size() / 2];
    double error = std::max(middle.error, 1e-30),
           loss =
               added_loss(crop_and_refit(present_, equations_, layer, middle.taps, options_.ridge), layer.x);
    for (KernelOption& option : options)
      option.loss = loss * std::pow(std::max(option.error, 0.0) / error, kExponent);
    return {layer.y, layer.node, std::move(options)};
  }

  int count(const std::vector<std::pair<int, std::vector<int>>>& widths) const {
    std::size_t all = 0;
    for (const auto& [group, list] : widths)
      for (int width : list) all += width < present_.channels.groups[group].width();
    for (const rewrite::Branch& branch : present_.branches)
      if (options_.branches) all += kernels_of(branch).size();
    all += kernels_.size();
    for (const TokenCounts& site : options_.tokens) all += site.counts.size();
    return static_cast<int>(all);
  }

  // Kernels of the convolutions that may stand for the branch (they need a fit), and 0 for nothing.
  std::vector<int> kernels_of(const rewrite::Branch& branch) const {
    std::vector<int> kernels;
    if (options_.recover == Recover::lsq)
      kernels = rewrite::fold_kernels(present_.model, present_.shapes, branch);
    kernels.push_back(0);
    return kernels;
  }

  // Loss that a change adds, computed from the values `seeds` on, which it does not touch.
  double added_loss(const Model& changed, const std::string& seed) {
    double loss = judge_.loss(changed, seed) - table_.base_loss;
    if (options_.progress) options_.progress(++done_, all_);
    return std::max(0.0, loss);
  }

  rewrite::Activations from(const std::set<std::string>& seeds) {
    runtime::NamedTensors inputs = calibration_.fit;
    for (const std::string& seed : seeds)
      if (!seed.empty()) inputs.emplace_back(seed, known_.get(present_.model, {seed}).front());
    return {runner_, present_.shapes, inputs, calibration_.threads, calibration_.memory};
  }

  Model estimated_again(const Model& changed, const std::string& seed) {
    rewrite::Activations now = from({seed});
    return rewrite::reestimate_normalisation(changed, now);
  }

  Model cut_to(int group, const std::vector<int>& units, const std::string& seed) {
    static const rewrite::Equations none;
    const rewrite::Equations& used = options_.recover == Recover::lsq ? equations_ : none;
    Model changed = cut_and_refit(present_, used, group, units, options_.ridge);
    return options_.recover == Recover::bn ? estimated_again(changed, seed) : changed;
  }

  GroupCandidates group_candidates(int group, const std::vector<int>& widths) {
    GroupCandidates candidates{group, {}};
    int full = present_.channels.groups[group].width();
    std::vector<int> order = removal_order(
        present_, group, options_.criterion,
        {&equations_, &known_, options_.ridge, options_.worth.get(), &kept_, options_.patterns.get()});
    std::string seed = seed_of(present_, group);
    for (int width : widths) {
      if (width > full) break;
      throw_if_interrupted();
      std::vector<int> units = survivors(order, width);
      double loss = added_loss(cut_to(group, units, seed), seed);
      candidates.widths.push_back({width, std::move(units), loss});
    }
    candidates.widths.push_back({full, survivors(order, full), 0});
    for (int width : widths)
      if (width > full) candidates.widths.push_back({width, survivors(order, full), 0});
    return candidates;
  }

  // What replaces the branch and the next two layers are fitted.
  Model repaired(Model model, const rewrite::Branch& branch, int kernel, const std::set<std::string>& seeds) {
    rewrite::RepairOptions repair;
    repair.ridge = options_.ridge, repair.positions = options_.positions, repair.rectify = 2,
    repair.only = next_layers(present_, branch), repair.except = options_.incomparable;
    if (kernel) repair.only->insert(rewrite::folded_value(branch, kernel));
    rewrite::Activations now = from(seeds);
    graph::Shapes shapes = graph::infer_shapes(model, present_.overrides);
    return rewrite::repair(original_.model, wanted_, model, now, kept_, shapes, repair).model;
  }

  BranchCandidate branch_candidate(int index) {
    const rewrite::Branch& branch = present_.branches[static_cast<std::size_t>(index)];
    BranchCandidate candidate{index, {}};
    for (int kernel : kernels_of(branch)) {
      throw_if_interrupted();
      std::string seed =
          kernel ? rewrite::branch_input(present_.model, present_.shapes, branch) : branch.kept;
      Model model = kernel ? rewrite::fold_branch(present_.model, present_.shapes, branch, kernel)
                           : rewrite::drop_branch(present_.model, branch);
      if (options_.recover == Recover::lsq)
        model = repaired(std::move(model), branch, kernel, {seed, branch.kept});
      else if (options_.recover == Recover::bn)
        model = estimated_again(model, seed);
      candidate.options.push_back({kernel, added_loss(model, seed)});
    }
    return candidate;
  }

  // What the outputs lose without each token.
  std::vector<double> effects(const graph::TokenFlow& flow) {
    if (!few_)
      few_.emplace(runner_, original_, present_, calibration_, first(calibration_.fit, kTokenSamples));
    std::vector<double> worth;
    for (int token = 0; token < flow.count; ++token) {
      throw_if_interrupted();
      std::vector<int> kept(static_cast<std::size_t>(flow.count));
      std::iota(kept.begin(), kept.end(), 0);
      kept.erase(kept.begin() + token);
      worth.push_back(
          flow.needed.contains(token)
              ? 0
              : few_->loss(rewrite::keep_tokens(present_.model, present_.shapes, flow, kept), flow.site));
    }
    return worth;
  }

  std::vector<double> received(const graph::TokenFlow& flow) {
    const std::string& value =
        present_.model.graph.nodes[static_cast<std::size_t>(flow.attentions.front())].output(0);
    rewrite::Activations run(runner_, present_.shapes, first(calibration_.fit, kTokenSamples),
                             calibration_.threads, calibration_.memory);
    return attention_received(flow, value, run.get(present_.model, {value}).front());
  }

  // The tokens that can best be spared first: those without which the outputs change least; of many, those that receive
  // the least attention, which takes one run instead of one for each token.
  std::vector<int> token_order(const graph::TokenFlow& flow) {
    std::vector<double> worth =
        flow.count <= kFewTokens || flow.attentions.empty() ? effects(flow) : received(flow);
    for (int token : flow.needed)
      worth[static_cast<std::size_t>(token)] = std::numeric_limits<double>::infinity();
    std::vector<int> order(worth.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return worth[static_cast<std::size_t>(a)] < worth[static_cast<std::size_t>(b)];
    });
    return order;
  }

  void add_tokens(const TokenCounts& site) {
    const std::vector<int> order = token_order(site.flow);
    const std::vector<LayerWidths> layers = written_layers(present_);
    for (int count : site.counts) {
      throw_if_interrupted();
      TokenOption option{site.flow.site, site.flow.axis, survivors(order, count)};
      const Model model = rewrite::keep_tokens(present_.model, present_.shapes, site.flow, option.kept);
      option.layers = layers_with_fewer(present_, layers, model);
      option.loss = added_loss(model, site.flow.site);
      table_.tokens.push_back(std::move(option));
    }
  }

  static constexpr std::int64_t kTokenSamples = 64;  // that say which tokens go
  static constexpr int kFewTokens = 32;              // each is tried alone

  runtime::Runner& runner_;
  const Subject &original_, &present_;
  const rewrite::KeptChannels& kept_;
  const rewrite::Equations& equations_;
  const Calibration& calibration_;
  const TableOptions& options_;
  Judge judge_;
  std::optional<Judge> few_;
  rewrite::Activations known_, wanted_;
  CandidateTable table_;
  LayerKernels kernels_;
  int all_ = 0, done_ = 0;
};

}  // namespace

Model cut_and_refit(const Subject& present, const rewrite::Equations& equations, int group,
                    const std::vector<int>& kept, double ridge) {
  Model model = rewrite::cut(present.model, present.shapes, present.channels, {{{group, kept}}});
  std::map<std::string, LinearLayer> after;
  for (LinearLayer& layer : rewrite::linear_layers(model, graph::infer_shapes(model, present.overrides)))
    after[layer.y] = layer;
  std::vector<bool> keep = rewrite::kept_atoms(present.channels, {{{group, kept}}});
  for (const Reader& reader : fitted_readers(present, equations, group)) {
    const LinearLayer& layer = reader.layer;
    auto it = after.find(layer.y);
    if (it == after.end() || it->second.outputs != layer.outputs) continue;
    Label in = input_label(present, layer.node);
    std::vector<int> inputs;
    for (std::size_t i = 0; i < in->size(); ++i)
      if (keep[(*in)[i]]) inputs.push_back(static_cast<int>(i));
    saliency::Fit fit =
        saliency::fit(equations.at(layer.y), inputs, ridge, rewrite::weights(present.model, layer));
    rewrite::set_weights(model, it->second, std::move(fit.weights), fit.intercept);
  }
  return model;
}

Model crop_and_refit(const Subject& present, const rewrite::Equations& equations, const LinearLayer& layer,
                     const rewrite::Taps& taps, double ridge) {
  Model model = rewrite::crop_kernel(present.model, layer.y, taps);
  saliency::Fit fit =
      saliency::fit(equations.at(layer.y), all_inputs(layer), ridge, rewrite::weights(present.model, layer),
                    rewrite::tap_indices(layer.geometry, taps));
  rewrite::set_weights(model, layer, std::move(fit.weights), fit.intercept);
  return model;
}

CandidateTable fill_table(runtime::Runner& runner, const Subject& original, const Subject& present,
                          const rewrite::KeptChannels& kept, const rewrite::Equations& equations,
                          const Calibration& calibration,
                          const std::vector<std::pair<int, std::vector<int>>>& widths,
                          const TableOptions& options) {
  return Filling(runner, original, present, kept, equations, calibration, options).fill(widths);
}

}  // namespace tailor::pipeline

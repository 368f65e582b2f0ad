// present_network: apply the surgery (functions merged before, if so asked), re-estimate normalisations if so recovered, repair by the cascade.
#include "tailor/pipeline/present.h"

#include "tailor/pipeline/fewer_tokens.h"
#include "tailor/pipeline/loss.h"
#include "tailor/pipeline/merge.h"

#include <algorithm>

namespace tailor::pipeline {
namespace {

// Output positions of each sample that a fit looks at: about as many rows whatever the number of samples.
constexpr std::int64_t kRows = 98304;

// Hears of each region, for the caller's own listener too.
void listen(rewrite::JointRepairOptions& joint, std::vector<FittedTogether>& together) {
  joint.on_region = [&together, told = joint.on_region](const std::string& goal, double before,
                                                        double after) {
    together.push_back({goal, before, after});
    if (told) told(goal, before, after);
  };
}

graph::Model cut_and_merged(const Subject& original, const Surgery& surgery, rewrite::Activations& wanted,
                            std::vector<Merged>& merged) {
  Merging merging = merge_functions(original, surgery.kept, wanted);
  merged = std::move(merging.merged);
  return apply(make_subject(std::move(merging.model), original.overrides), surgery);
}

}  // namespace

int positions(const runtime::NamedTensors& samples, std::int64_t rows) {
  std::int64_t count = samples.empty() || samples[0].second.dims.empty() ? 1 : samples[0].second.dims[0];
  return static_cast<int>(std::clamp<std::int64_t>(rows / std::max<std::int64_t>(count, 1), 4, 64));
}

Present present_network(runtime::Runner& runner, const Subject& original, const Surgery& surgery,
                        const Calibration& calibration, const runtime::NamedTensors& samples,
                        const PresentOptions& options) {
  Present present;
  rewrite::Activations wanted(runner, original.shapes, samples, calibration.threads, calibration.memory / 2);
  graph::Model model =
      options.merge ? cut_and_merged(original, surgery, wanted, present.merged) : apply(original, surgery);
  graph::Shapes shapes = graph::infer_shapes(model, original.overrides);
  present.kept = kept_values(original, surgery);
  if (options.recover == Recover::bn) {
    rewrite::Activations old(runner, shapes, samples, calibration.threads, calibration.memory / 2);
    model = rewrite::reestimate_normalisation(model, old);
  }
  rewrite::Activations now(runner, shapes, samples, calibration.threads, calibration.memory / 2);
  rewrite::RepairOptions repair = options.repair;
  repair.positions = positions(samples, kRows);
  repair.refit = options.recover == Recover::lsq;
  repair.except = values_with_fewer(original, surgery.tokens);
  rewrite::Repaired repaired{model, {}};
  if (repair.refit || options.equations)
    repaired = rewrite::repair(original.model, wanted, model, now, present.kept, shapes, repair);
  if (repair.refit && options.joint) {
    rewrite::JointRepairOptions joint = *options.joint;
    joint.except = repair.except;
    listen(joint, present.together);
    repaired.model =
        rewrite::repair_jointly(original.model, wanted, repaired.model, now, present.kept, shapes, joint);
  }
  present.subject = make_subject(std::move(repaired.model), original.overrides);
  present.subject.branches = shared_branches(original, present.subject);
  present.equations = std::move(repaired.equations);
  return present;
}

double loss_of(runtime::Runner& runner, const Subject& original, const graph::Model& model,
               const Calibration& calibration) {
  std::vector<std::string> names;
  for (const graph::ValueInfo& output : original.model.graph.outputs) names.push_back(output.name);
  auto run = [&](const graph::Model& m) {
    rewrite::Activations a(runner, original.shapes, calibration.judge, calibration.threads, 0);
    runtime::NamedTensors list;
    std::vector<graph::Tensor> values = a.get(m, names);
    for (std::size_t i = 0; i < names.size(); ++i) list.emplace_back(names[i], values[i]);
    return list;
  };
  return divergence(run(original.model), run(model));
}

}  // namespace tailor::pipeline

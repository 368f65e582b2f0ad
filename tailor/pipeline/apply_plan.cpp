// apply_plan: the plan's surgery on the model that it names; then write_checked, which writes beside the
// target, reads back, compares the outputs' shapes, and renames.
#include "tailor/pipeline/apply_plan.h"

#include "tailor/base/error.h"
#include "tailor/onnx/onnx.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::pipeline {
namespace {

namespace fs = std::filesystem;

Size size_of(std::uint64_t bytes, const graph::Model& model, const graph::Shapes& shapes) {
  Size size{bytes, 0};
  for (const graph::Node& node : model.graph.nodes)
    if (std::int64_t macs = graph::multiply_accumulates(node, shapes); macs > 0) size.macs += macs;
  return size;
}

void check_outputs(const Subject& original, const graph::Shapes& shapes) {
  for (const graph::ValueInfo& output : original.model.graph.outputs) {
    const graph::Shape *before = original.shapes.shape(output.name), *after = shapes.shape(output.name);
    if (before && (!after || *before != *after))
      throw Error(Code::bad_cut, "the plan would change the shape of an output", output.name,
                  "outputs keep their channels; nothing was written");
  }
}

Size write_checked(const Subject& original, const graph::Model& model, const fs::path& target) {
  onnx::Draft draft(model, target);
  graph::Model again = onnx::read(draft.path());
  graph::Shapes shapes = graph::infer_shapes(again, original.overrides);
  check_outputs(original, shapes);
  Size size = size_of(draft.bytes(), again, shapes);
  draft.commit();
  return size;
}

Json to_json(const Size& size) { return {{"bytes", size.bytes}, {"macs", size.macs}}; }

}  // namespace

Applied apply_plan(const ApplyOptions& options) {
  Applied applied{read_plan(options.plan), options.model, options.out, {}, {}};
  Subject original = subject_of(read_subject(options.model, options.overrides), applied.plan);
  Surgery surgery = surgery_of(original, applied.plan);
  graph::Model changed = final_form(original, surgery, apply(original, surgery));
  applied.before = size_of(onnx::stored_bytes(original.model), original.model, original.shapes);
  applied.after = write_checked(original, changed, options.out);
  return applied;
}

Json to_json(const Applied& applied) {
  return {{"schema", "tailor/plan-apply/1"},     {"model", applied.model.string()},
          {"written", applied.written.string()}, {"before", to_json(applied.before)},
          {"after", to_json(applied.after)},     {"plan", to_json(applied.plan)}};
}

}  // namespace tailor::pipeline

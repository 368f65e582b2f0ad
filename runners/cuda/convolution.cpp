// Convolutions by cuDNN's graph API: everything fused if an engine does that, else the convolution alone and a kernel of
// this program for the rest. Of the engines that the heuristics rank the first whose plan can be built is taken.
#include "runners/cuda/dnn.h"
#include "runners/cuda/operation.h"
#include "tailor/base/error.h"

#include <fmt/format.h>

#include <memory>
#include <optional>

namespace tailor::cuda {
namespace {

constexpr std::int64_t kMostWorkspace = std::int64_t{512} << 20;

// Graph and configuration stay as long as the plan that was made of them.
struct Plan {
  std::shared_ptr<const ConvolutionGraph> graph;
  DnnDescriptor config, plan;
  std::int64_t workspace = 0;
  std::string choice;
};

// f32 with tensor cores is tf32, which the layer must allow.
bool allowed(const Layer& layer, const EngineChoice& choice) {
  return layer.tf32 || layer.sizes.type != graph::DataType::f32 || !choice.tensor_cores;
}

std::optional<Plan> plan_of(Gpu& gpu, const Layer& layer, std::shared_ptr<const ConvolutionGraph> graph,
                            DnnDescriptor config) {
  const EngineChoice choice = describe(config);
  if (!allowed(layer, choice)) return std::nullopt;
  DnnDescriptor plan(gpu.libraries(), kExecutionPlan);
  plan.set(kPlanHandle, kTypeHandle, gpu.dnn());
  plan.set(kPlanConfig, config);
  if (!plan.try_finalize()) return std::nullopt;
  const auto workspace = plan.read<std::int64_t>(kPlanWorkspace, kTypeInt64, 1);
  const std::int64_t bytes = workspace.empty() ? 0 : workspace[0];
  if (bytes < 0 || bytes > kMostWorkspace) return std::nullopt;
  return Plan{std::move(graph), std::move(config), std::move(plan), bytes, to_string(choice)};
}

std::optional<Plan> find_plan(Gpu& gpu, const Layer& layer, const Words& fused) try {
  const auto graph =
      std::make_shared<const ConvolutionGraph>(convolution_graph(gpu.libraries(), gpu.dnn(), layer, fused));
  for (int mode : {kHeuristicA, kHeuristicFallback})
    for (DnnDescriptor& config : engine_configs(gpu.libraries(), *graph, nullptr, mode))
      if (auto plan = plan_of(gpu, layer, graph, std::move(config))) return plan;
  return std::nullopt;
} catch (const Error& error) {
  if (error.code() != Code::runtime_refused) throw;
  return std::nullopt;
}

Address address_of(std::int64_t id, const Operands& o) {
  switch (id) {
    case kIdX:
      return o.x;
    case kIdY:
      return o.y;
    case kIdBias:
      return o.bias;
    case kIdResidual:
      return o.residual;
    default:
      return o.weights;
  }
}

void execute(Gpu& gpu, const Plan& plan, const Operands& operands) {
  std::vector<const void*> pointers;
  for (std::int64_t id : plan.graph->ids)
    pointers.push_back(reinterpret_cast<const void*>(address_of(id, operands)));
  const void* scratch =
      reinterpret_cast<const void*>(gpu.workspace(static_cast<std::size_t>(plan.workspace)));
  DnnDescriptor pack(gpu.libraries(), kVariantPack);
  pack.set(kPackPointers, kTypePointer, pointers);
  pack.set(kPackIds, kTypeInt64, plan.graph->ids);
  pack.set(kPackWorkspace, kTypePointer, scratch);
  pack.finalize();
  gpu.libraries().check_dnn(gpu.libraries().dnn().execute(gpu.dnn(), plan.plan.get(), pack.get()),
                            "cudnnBackendExecute");
}

Operation operation_of(Gpu& gpu, const Layer& layer, Plan found, const Words& rest) {
  auto plan = std::make_shared<Plan>(std::move(found));
  Operation operation{operand_sizes(layer),
                      rest.empty() ? "cuDNN" : "cuDNN + own",
                      plan->choice,
                      static_cast<std::size_t>(plan->workspace),
                      {}};
  if (rest.empty()) {
    operation.enqueue = [&gpu, plan](const Operands& o) { execute(gpu, *plan, o); };
    return operation;
  }
  const latency::Workload& w = layer.sizes;
  auto after = elementwise(gpu, {w.mb * w.oc * w.oh * w.ow, w.oc, w.type, rest});
  operation.enqueue = [&gpu, plan, after](const Operands& o) {
    execute(gpu, *plan, o);
    after(o.y, o);
  };
  return operation;
}

}  // namespace

Operation prepare_convolution(Gpu& gpu, const Layer& layer) {
  const FusedConvolution words = fusable_words(layer);
  if (auto plan = find_plan(gpu, layer, words.fused))
    return operation_of(gpu, layer, std::move(*plan), words.rest);
  if (!words.fused.empty())
    if (auto plan = find_plan(gpu, layer, {})) return operation_of(gpu, layer, std::move(*plan), layer.post);
  throw Error(Code::runtime_refused,
              layer.tf32 || layer.sizes.type != graph::DataType::f32
                  ? "cuDNN has no engine for this convolution"
                  : "cuDNN has no engine for this convolution in f32; tf32 may have one",
              layer.line);
}

}  // namespace tailor::cuda

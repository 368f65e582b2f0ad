// tailor inspect: what a model is made of, and what of it can be changed; with --cuts also whether cuts of it are
// right. Everything is counted first, then there is a JSON half, a text half, and the verb.
#include "tailor/app/app.h"
#include "tailor/base/progress.h"
#include "tailor/base/table.h"
#include "tailor/pipeline/check_cuts.h"
#include "tailor/pipeline/coverage.h"
#include "tailor/pipeline/surgery.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

namespace tailor::app {
namespace {

using graph::Graph;
using pipeline::Subject;

// What is counted over all nodes.
struct Totals {
  std::optional<std::int64_t> macs = 0;  // nullopt: a shape is unknown
  std::int64_t known_macs = 0;           // of the nodes whose shapes are known
  std::int64_t parameters = 0;           // bodies of control flow included
  bool bodies = false;                   // there is control flow, whose work nobody knows
  std::map<std::string, int> operators;
};

struct GroupLayers {
  std::vector<std::string> made_by, read_by;
};

// Integers of 64 bits are shapes and indices, no parameters.
std::int64_t parameters_of(const graph::Tensor& tensor) {
  bool counted = tensor.type != graph::DataType::i64 && tensor.type != graph::DataType::string;
  return counted ? std::max<std::int64_t>(tensor.size(), 0) : 0;
}

const Graph* body_of(const graph::Attribute& attribute) {
  const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute.value);
  return body ? body->get() : nullptr;
}

std::int64_t parameters_of(const Graph& graph) {
  std::int64_t sum = 0;
  for (const auto& [name, tensor] : graph.initializers) sum += parameters_of(tensor);
  for (const graph::Node& node : graph.nodes) {
    if (const auto* value = node.op == "Constant" ? node.find<graph::Tensor>("value") : nullptr)
      sum += parameters_of(*value);
    for (const auto& [name, attribute] : node.attributes)
      if (const Graph* body = body_of(attribute)) sum += parameters_of(*body);
  }
  return sum;
}

Totals totals_of(const Subject& subject) {
  Totals totals;
  totals.parameters = parameters_of(subject.model.graph);
  for (const graph::Node& node : subject.model.graph.nodes) {
    ++totals.operators[node.op];
    std::int64_t macs = graph::multiply_accumulates(node, subject.shapes);
    totals.bodies = totals.bodies || graph::has_body(node);
    if (macs < 0) totals.macs.reset();
    if (macs > 0) totals.known_macs += macs;
  }
  if (totals.bodies) totals.macs.reset();
  if (totals.macs) totals.macs = totals.known_macs;
  return totals;
}

// Inputs whose shapes are not known in full: what --shape must give.
std::vector<std::string> missing_shapes(const Subject& subject) {
  std::vector<std::string> missing;
  for (const graph::ValueInfo& input : subject.model.graph.inputs) {
    const graph::Shape* shape = subject.shapes.shape(input.name);
    if (!shape || graph::element_count(*shape) == graph::kUnknown)
      missing.push_back(fmt::format("{}:{}", input.name, shape_text(subject.shapes, input.name)));
  }
  return missing;
}

std::vector<GroupLayers> layers_by_group(const Subject& subject) {
  std::vector<GroupLayers> layers(subject.channels.groups.size());
  const auto& inside = subject.channels.inside;
  const Graph& all = inside ? inside->open.flat.graph : subject.model.graph;
  for (const graph::LayerChannels& layer : inside ? inside->layers : subject.channels.layers) {
    std::string label = all.nodes[static_cast<std::size_t>(layer.node)].label();
    auto add = [&](const graph::Label& axis, std::vector<std::string> GroupLayers::*list) {
      if (!axis) return;
      for (auto [group, positions] : subject.channels.composition(axis))
        if (positions > 0) (layers[static_cast<std::size_t>(group)].*list).push_back(label);
    };
    add(layer.out, &GroupLayers::made_by);
    add(layer.in, &GroupLayers::read_by);
  }
  return layers;
}

int changeable_groups(const Subject& subject) {
  const auto& groups = subject.channels.groups;
  return static_cast<int>(
      std::count_if(groups.begin(), groups.end(), [](const auto& g) { return g.changeable(); }));
}

Json values_json(const Subject& subject, const std::vector<graph::ValueInfo>& values) {
  Json list = Json::array();
  for (const graph::ValueInfo& value : values) {
    const graph::TensorType* type = subject.shapes.find(value.name);
    Json shape = nullptr;
    if (type) {
      shape = Json::array();
      for (std::int64_t dim : type->shape)
        shape.push_back(dim == graph::kUnknown ? Json(nullptr) : Json(dim));
    }
    list.push_back(
        {{"name", value.name}, {"type", graph::name(type ? type->type : value.type)}, {"shape", shape}});
  }
  return list;
}

Json groups_json(const Subject& subject) {
  Json list = Json::array();
  std::vector<GroupLayers> layers = layers_by_group(subject);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const graph::ChannelGroup& group = subject.channels.groups[i];
    Json json = {{"name", group.name},
                 {"width", group.width()},
                 {"changeable", group.changeable()},
                 {"made_by", layers[i].made_by},
                 {"read_by", layers[i].read_by}};
    if (!group.changeable()) json["frozen"] = {{"reason", group.frozen}, {"at", group.frozen_at}};
    list.push_back(std::move(json));
  }
  return list;
}

Json branches_json(const Subject& subject) {
  Json list = Json::array();
  const auto& nodes = subject.model.graph.nodes;
  for (const rewrite::Branch& branch : subject.branches) {
    Json names = Json::array();
    for (int node : branch.nodes) names.push_back(nodes[static_cast<std::size_t>(node)].label());
    list.push_back({{"name", branch.name},
                    {"sum", nodes[static_cast<std::size_t>(branch.sum)].label()},
                    {"nodes", std::move(names)}});
  }
  return list;
}

Json weights_json(const Subject& subject) {
  pipeline::Coverage weights = pipeline::coverage(subject);
  Json frozen = Json::array();
  for (const auto& [reason, elements] : weights.frozen)
    frozen.push_back({{"reason", reason}, {"weights", elements}});
  return {{"total", weights.weights}, {"changeable", weights.changeable}, {"frozen", std::move(frozen)}};
}

Json cuts_json(const Subject& subject, const pipeline::CutCheck& check, const InspectOptions& options) {
  Json groups = Json::array();
  for (const pipeline::GroupCheck& group : check.groups) {
    Json trials = Json::array();
    for (const pipeline::CutTrial& t : group.trials) {
      Json trial = {{"kept", t.kept},
                    {"apart", std::isfinite(t.apart) ? Json(t.apart) : Json(nullptr)},
                    {"tells", t.tells},
                    {"allowed", t.allowed},
                    {"passed", t.passed()}};
      if (!t.error.empty()) trial["error"] = t.error;
      trials.push_back(std::move(trial));
    }
    groups.push_back({{"name", subject.channels.groups[static_cast<std::size_t>(group.group)].name},
                      {"trials", std::move(trials)}});
  }
  return {{"seed", options.seed},       {"tolerance", check.tolerance}, {"trials", check.trials()},
          {"failed", check.failed()},   {"telling", check.telling()},   {"worst", check.worst()},
          {"groups", std::move(groups)}};
}

Json to_json(const Subject& subject) {
  Totals totals = totals_of(subject);
  Json opsets = Json::object(), operators = Json::object();
  for (const auto& [domain, version] : subject.model.opsets)
    opsets[domain.empty() ? "ai.onnx" : domain] = version;
  for (const auto& [op, count] : totals.operators) operators[op] = count;
  return {{"schema", "tailor/inspect/1"},
          {"model",
           {{"path", subject.path.string()},
            {"sha256", subject.sha256()},
            {"bytes", std::filesystem::file_size(subject.path)},
            {"ir_version", subject.model.ir_version},
            {"opsets", std::move(opsets)},
            {"nodes", subject.model.graph.nodes.size()},
            {"parameters", totals.parameters},
            {"macs", totals.macs ? Json(*totals.macs) : Json(nullptr)}}},
          {"missing_shapes", missing_shapes(subject)},
          {"inputs", values_json(subject, subject.model.graph.inputs)},
          {"outputs", values_json(subject, subject.model.graph.outputs)},
          {"operators", std::move(operators)},
          {"groups", groups_json(subject)},
          {"weights", weights_json(subject)},
          {"branches", branches_json(subject)},
          {"notes", subject.shapes.notes}};
}

std::string macs_text(const Subject& subject, const Totals& totals) {
  if (totals.macs) return engineering(static_cast<double>(*totals.macs));
  std::vector<std::string> missing = missing_shapes(subject);
  std::string why = totals.bodies     ? "what the bodies of If, Loop and Scan compute depends on the input"
                    : missing.empty() ? "shapes inside the model are unknown, see the notes"
                                      : fmt::format("give --shape {}", fmt::join(missing, " --shape "));
  return fmt::format("? (at least {}; {})", engineering(static_cast<double>(totals.known_macs)), why);
}

// "97.6 % of 270.9 k can change; 1.6 % is a graph output, ..."
std::string weights_text(const Subject& subject) {
  pipeline::Coverage weights = pipeline::coverage(subject);
  if (weights.weights == 0) return "none in layers";
  std::string text = fmt::format("{:.1f} % of {} can change", 100 * weights.share(),
                                 engineering(static_cast<double>(weights.weights)));
  std::vector<std::pair<std::int64_t, std::string>> reasons;
  for (const auto& [reason, elements] : weights.frozen) reasons.emplace_back(-elements, reason);
  std::sort(reasons.begin(), reasons.end());
  for (const auto& [elements, reason] : reasons)
    text +=
        fmt::format("{} {:.1f} %: {}", text.ends_with("change") ? ";" : ",",
                    -100.0 * static_cast<double>(elements) / static_cast<double>(weights.weights), reason);
  return text;
}

std::string head_text(const Subject& subject) {
  Totals totals = totals_of(subject);
  std::vector<std::string> opsets, operators;
  for (const auto& [domain, version] : subject.model.opsets)
    opsets.push_back(domain.empty() ? std::to_string(version) : fmt::format("{} {}", domain, version));
  std::vector<std::pair<int, std::string>> counts;
  for (const auto& [op, count] : totals.operators) counts.emplace_back(-count, op);
  std::sort(counts.begin(), counts.end());
  for (const auto& [count, op] : counts) operators.push_back(fmt::format("{} {}", -count, op));
  if (operators.size() > 8) operators.resize(8), operators.push_back("...");
  Table table({{""}, {""}});
  table.row(
      {"model", fmt::format("{} ({}B)", subject.path.string(),
                            engineering(static_cast<double>(std::filesystem::file_size(subject.path))))});
  table.row({"opset", fmt::format("{}, IR {}", fmt::join(opsets, ", "), subject.model.ir_version)});
  table.row({"nodes", fmt::format("{}: {}", subject.model.graph.nodes.size(), fmt::join(operators, ", "))});
  table.row({"parameters", engineering(static_cast<double>(totals.parameters))});
  table.row({"weights", weights_text(subject)});
  table.row({"MACs", macs_text(subject, totals)});
  auto values = [&](const char* title, const std::vector<graph::ValueInfo>& list) {
    for (const graph::ValueInfo& v : list) {
      const graph::TensorType* type = subject.shapes.find(v.name);
      table.row({title, fmt::format("{} {} {}", v.name, graph::name(type ? type->type : v.type),
                                    shape_text(subject.shapes, v.name))});
    }
  };
  values("input", subject.model.graph.inputs);
  values("output", subject.model.graph.outputs);
  return table.text();
}

std::string frozen_text(const graph::ChannelGroup& group) {
  if (group.changeable()) return "changeable";
  return fmt::format("frozen: {}{}", group.frozen,
                     group.frozen_at.empty() ? "" : " (at " + group.frozen_at + ")");
}

std::string groups_text(const Subject& subject, bool members) {
  const auto& groups = subject.channels.groups;
  int changeable = changeable_groups(subject);
  std::string text = fmt::format("\n{} channel groups, {} changeable", groups.size(), changeable);
  const std::vector<graph::Node>& nodes = subject.model.graph.nodes;
  bool hidden = std::any_of(nodes.begin(), nodes.end(), graph::has_body);
  text += groups.empty() && hidden
              ? ": the layers lie in bodies of If, Loop or Scan that cannot be laid open\n"
          : groups.empty()  ? ": no layer with channels of its own\n"
          : changeable == 0 ? ": nothing can be changed\n"
                            : "\n";
  std::vector<GroupLayers> layers = layers_by_group(subject);
  Table table({{"group"}, {"width", Align::right}, {"layers", Align::right}, {"state"}});
  for (std::size_t i = 0; i < groups.size(); ++i) {
    table.row({groups[i].name, std::to_string(groups[i].width()), std::to_string(layers[i].made_by.size()),
               frozen_text(groups[i])});
    if (!members) continue;
    for (const std::string& layer : layers[i].made_by) table.row({"  made by " + layer});
    for (const std::string& layer : layers[i].read_by) table.row({"  read by " + layer});
  }
  return table.empty() ? text : text + table.text("  ");
}

std::string fixed_text(const Subject& subject) {
  const auto& fixed = subject.channels.fixed_layers;
  if (fixed.empty()) return "";
  Table table({{""}, {""}});
  for (const auto& [node, why] : fixed)
    table.row({subject.model.graph.nodes[static_cast<std::size_t>(node)].label(), why});
  return fmt::format("\n{} layers with fixed channels\n{}", fixed.size(), table.text("  "));
}

std::string branches_text(const Subject& subject) {
  if (subject.branches.empty()) return "";
  const auto& nodes = subject.model.graph.nodes;
  Table table({{"sum"}, {"nodes", Align::right}, {"from"}});
  for (const rewrite::Branch& branch : subject.branches)
    table.row({nodes[static_cast<std::size_t>(branch.sum)].label(), std::to_string(branch.nodes.size()),
               nodes[static_cast<std::size_t>(branch.nodes.front())].label()});
  return fmt::format("\n{} residual branches that can be dropped as a whole\n{}", subject.branches.size(),
                     table.text("  "));
}

std::string notes_text(const Subject& subject) {
  if (subject.shapes.notes.empty()) return "";
  Table table({{""}});
  for (const std::string& note : subject.shapes.notes) table.row({note});
  return "\nnotes of shape inference\n" + table.text("  ");
}

std::string outcome(const pipeline::CutTrial& trial) {
  if (!trial.error.empty()) return trial.error;
  return fmt::format("{}{:.2g} apart{}", trial.passed() ? "" : "WRONG: ", trial.apart,
                     trial.tells ? "" : ", as the original: proves nothing");
}

// Cuts that failed, or all of them.
std::string cuts_text(const Subject& subject, const pipeline::CutCheck& check, bool all) {
  std::string text = fmt::format("\ncuts: {} of {} compute what their masks compute",
                                 check.trials() - check.failed(), check.trials());
  text += fmt::format(" ({} groups, {} change the outputs, at most {:.2g} apart, {} allowed)\n",
                      check.groups.size(), check.telling(), check.worst(), check.tolerance);
  Table table({{"group"}, {"width", Align::right}, {"kept", Align::right}, {"outcome"}});
  for (const pipeline::GroupCheck& group : check.groups)
    for (const pipeline::CutTrial& trial : group.trials) {
      if (!all && trial.passed()) continue;
      const graph::ChannelGroup& g = subject.channels.groups[static_cast<std::size_t>(group.group)];
      table.row({g.name, std::to_string(g.width()), std::to_string(trial.kept), outcome(trial)});
    }
  return table.empty() ? text : text + table.text("  ");
}

std::optional<pipeline::CutCheck> checked(const Global& global, const InspectOptions& options,
                                          const Subject& subject) {
  if (options.cuts < 0) throw Error(Code::bad_value, "a number of cuts cannot be negative", "--cuts");
  if (options.cuts == 0) return std::nullopt;
  pipeline::CutOptions how{options.cuts, options.seed, options.threads, global.runner, {}};
  Progress progress("cuts");
  how.progress = [&](double done, const std::string& group) { progress.update(100 * done, 100, group); };
  return pipeline::check_cuts(subject, how);
}

int conclude(const Global& global, const Subject& subject, const std::optional<pipeline::CutCheck>& check) {
  if (!check || check->failed() == 0) return 0;
  Error error(
      Code::gate_failed,
      fmt::format("{} of {} cuts do not compute what their masks compute", check->failed(), check->trials()),
      subject.path.string(), "do not change this model with tailor, and please report it");
  print_error(global, error);
  return exit_code(error.code());
}

}  // namespace

int inspect(const Global& global, const InspectOptions& options) {
  Subject subject = pipeline::read_subject(options.model, graph::parse_shape_overrides(options.shapes));
  std::optional<pipeline::CutCheck> check = checked(global, options, subject);
  if (global.json) {
    Json json = to_json(subject);
    if (check) json["cuts"] = cuts_json(subject, *check, options);
    print_document(json);
  } else {
    print(head_text(subject) + groups_text(subject, options.groups) +
          (options.groups ? fixed_text(subject) : "") + branches_text(subject) + notes_text(subject) +
          (check ? cuts_text(subject, *check, options.groups) : ""));
  }
  return conclude(global, subject, check);
}

}  // namespace tailor::app

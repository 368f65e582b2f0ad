// describe: surgery to plan. subject_of, surgery_of: plan to surgery, checked against the model. JSON both ways.
#include "tailor/pipeline/width_plan.h"

#include "tailor/base/error.h"
#include "tailor/pipeline/fewer_tokens.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

namespace tailor::pipeline {
namespace {

std::string channels(int count) { return fmt::format("{} channel{}", count, count == 1 ? "" : "s"); }

std::string reason(int before, int kept, int added, Recover recover) {
  if (added > 0 && kept == before)
    return channels(added) + " of zeros: a wider layer that runs faster and computes the same";
  std::string go = channels(before - kept) + (before - kept == 1 ? " goes" : " go");
  if (added > 0) return fmt::format("{}, {} of zeros fill the step", go, added);
  constexpr const char* kDone[] = {", the readers are refitted", ", statistics are estimated again", ""};
  return go + kDone[static_cast<int>(recover)];
}

Json to_json(const plan::Certificate& c) {
  return {{"optimal", c.optimal}, {"quantum_us", c.quantum_us}, {"loss_bound", c.loss_bound}, {"gap", c.gap}};
}

Json to_json(const std::vector<Heir>& heirs) {
  Json list = Json::array();
  for (const Heir& h : heirs)
    list.push_back({{"unit", h.unit}, {"into", h.heir}, {"unexplained", h.unexplained}});
  return list;
}

std::vector<Heir> heirs_from_json(const Json& json, const std::string& place) {
  if (!json.is_array()) throw Error(Code::bad_json, "merged channels are a list", place);
  std::vector<Heir> heirs;
  for (const Json& h : json)
    heirs.push_back({static_cast<int>(integer(h, "unit", place)), static_cast<int>(integer(h, "into", place)),
                     number(h, "unexplained", place)});
  return heirs;
}

GroupPlan group_from_json(const Json& json, const std::string& place) {
  GroupPlan g;
  g.group = static_cast<int>(integer(json, "group", place));
  g.layer = text(json, "layer", place);
  g.before = static_cast<int>(integer(json, "before", place)),
  g.after = static_cast<int>(integer(json, "after", place));
  g.added = static_cast<int>(integer(json, "added", place));
  g.why = text(json, "why", place);
  for (const Json& unit : member(json, "kept", place)) {
    if (!unit.is_number_integer())
      throw Error(Code::bad_json, "a kept channel is no integer", place + ".kept");
    g.kept.push_back(unit.get<int>());
  }
  if (json.contains("merged")) g.heirs = heirs_from_json(json["merged"], place + ".merged");
  return g;
}

std::vector<std::string> names(const Json& json, const std::string& place) {
  std::vector<std::string> list;
  if (!json.is_array()) throw Error(Code::bad_json, "a list of names is wanted", place);
  for (const Json& name : json) {
    if (!name.is_string()) throw Error(Code::bad_json, "this is no name", place);
    list.push_back(name.get<std::string>());
  }
  return list;
}

void check_model(const Subject& subject, const WidthPlan& plan) {
  if (plan.sha256 != subject.sha256())
    throw Error(Code::plan_mismatch,
                fmt::format("the plan was made for {} (SHA-256 {}...), not for this model", plan.model,
                            plan.sha256.substr(0, 12)),
                subject.path.string(), "give the model that the plan names");
}

// Absent in plans of before there was folding.
std::map<std::string, int> folded_from_json(const Json& json, const std::string& place) {
  if (!json.is_object()) throw Error(Code::bad_json, "folded branches are an object: name to kernel", place);
  std::map<std::string, int> folded;
  for (const auto& [name, kernel] : json.items()) {
    if (!kernel.is_number_integer())
      throw Error(Code::bad_json, "a kernel is no integer", place + "." + name);
    folded[name] = kernel.get<int>();
  }
  return folded;
}

// Two small numbers, rows and columns.
std::pair<int, int> rows_columns(const Json& json, const char* key, const std::string& place) {
  const Json& pair = member(json, key, place);
  auto small = [](const Json& n) { return n.is_number_integer() && n >= 0 && n < 1 << 16; };
  if (!pair.is_array() || pair.size() != 2 || !small(pair[0]) || !small(pair[1]))
    throw Error(Code::bad_json, "rows and columns of a kernel are two small integers", place + "." + key);
  return {pair[0].get<int>(), pair[1].get<int>()};
}

Json to_json(const KernelPlan& k) {
  return {{"layer", k.layer},
          {"before", {k.kh_before, k.kw_before}},
          {"after", {k.taps.kh, k.taps.kw}},
          {"at", {k.taps.top, k.taps.left}}};
}

KernelPlan kernel_from_json(const Json& json, const std::string& place) {
  KernelPlan k;
  k.layer = text(json, "layer", place);
  std::tie(k.kh_before, k.kw_before) = rows_columns(json, "before", place);
  std::tie(k.taps.kh, k.taps.kw) = rows_columns(json, "after", place);
  std::tie(k.taps.top, k.taps.left) = rows_columns(json, "at", place);
  return k;
}

Json to_json(const TokenPlan& t) {
  return {{"value", t.value},
          {"axis", t.axis},
          {"before", t.before},
          {"after", static_cast<int>(t.kept.size())},
          {"kept", t.kept}};
}

TokenPlan tokens_from_json(const Json& json, const std::string& place) {
  TokenPlan t;
  t.value = text(json, "value", place);
  t.axis = static_cast<int>(integer(json, "axis", place)),
  t.before = static_cast<int>(integer(json, "before", place));
  const Json& kept = member(json, "kept", place);
  if (!kept.is_array()) throw Error(Code::bad_json, "tokens that stay are a list", place + ".kept");
  for (const Json& token : kept) {
    if (!token.is_number_integer() || token < 0 || token >= 1 << 24)
      throw Error(Code::bad_json, "a kept token is no place", place + ".kept");
    t.kept.push_back(token.get<int>());
  }
  return t;
}

std::vector<TokenPlan> token_plans(const Subject& original, const Surgery& surgery) {
  std::vector<TokenPlan> list;
  for (const auto& [value, cut] : surgery.tokens) {
    const graph::Shape* shape = original.shapes.shape(value);
    if (!shape || cut.axis < 0 || cut.axis >= static_cast<int>(shape->size()))
      throw Error(Code::bad_cut, "no value of the model has such an axis", value);
    list.push_back(
        {value, cut.axis, static_cast<int>((*shape)[static_cast<std::size_t>(cut.axis)]), cut.kept});
  }
  return list;
}

void check_tokens(const Subject& original, const Surgery& surgery, const std::vector<TokenPlan>& said) {
  const std::vector<TokenPlan> found = token_plans(original, surgery);
  if (found.size() != said.size()) throw Error(Code::bad_cut, "the plan names a value twice", "tokens");
  for (const TokenPlan& t : said)
    for (const TokenPlan& is : found)
      if (is.value == t.value && is.before != t.before)
        throw Error(Code::bad_cut,
                    fmt::format("the plan says {} tokens, the model has {}", t.before, is.before), t.value);
}

// Kernels before they get smaller, of the network with its branches folded.
std::vector<KernelPlan> kernel_plans(const Subject& original, const Surgery& surgery) {
  std::vector<KernelPlan> list;
  if (surgery.kernels.empty()) return list;
  Surgery before = surgery;
  before.kernels.clear();
  graph::Model model = apply(original, before);
  graph::Uses uses(model.graph);
  for (const auto& [layer, taps] : surgery.kernels) {
    int node = uses.producer(layer);
    const graph::Tensor* w =
        node < 0 ? nullptr : graph::constant(model.graph, uses, model.graph.nodes[node].input(1));
    if (!w || w->dims.size() != 4) throw Error(Code::bad_cut, "no convolution gives this value", layer);
    list.push_back({layer, static_cast<int>(w->dims[2]), static_cast<int>(w->dims[3]), taps});
  }
  return list;
}

void check_widths(const Subject& original, const Surgery& surgery, const GroupPlan& g) {
  const graph::ChannelGroup& group = original.channels.groups[static_cast<std::size_t>(g.group)];
  if (g.added < 0) throw Error(Code::bad_cut, "a plan cannot add fewer channels than none", g.layer);
  if (g.before != group.width())
    throw Error(Code::bad_cut,
                fmt::format("the plan says {} channels, the model has {}", g.before, group.width()), g.layer);
  if (int after = width_after(original, surgery, g.group); g.after != after)
    throw Error(
        Code::bad_cut,
        fmt::format("the plan says {} channels afterwards, what it keeps and adds makes {}", g.after, after),
        g.layer);
}

void check_kernels(const Subject& original, const Surgery& surgery, const std::vector<KernelPlan>& said) {
  std::map<std::string, KernelPlan> found;
  for (KernelPlan& k : kernel_plans(original, surgery)) found[k.layer] = std::move(k);
  for (const KernelPlan& k : said)
    if (const KernelPlan& is = found.at(k.layer); is.kh_before != k.kh_before || is.kw_before != k.kw_before)
      throw Error(Code::bad_cut,
                  fmt::format("the plan says a {}x{} kernel, the model has {}x{}", k.kh_before, k.kw_before,
                              is.kh_before, is.kw_before),
                  k.layer);
}

}  // namespace

WidthPlan describe(const Subject& original, const Surgery& surgery, Recover recover) {
  WidthPlan plan;
  plan.model = original.path.filename().string(), plan.sha256 = original.sha256();
  for (int g = 0; g < static_cast<int>(original.channels.groups.size()); ++g) {
    const graph::ChannelGroup& group = original.channels.groups[static_cast<std::size_t>(g)];
    auto kept = surgery.kept.find(g);
    auto added = surgery.added.find(g);
    if (kept == surgery.kept.end() && added == surgery.added.end()) continue;
    GroupPlan p{g, group.name, group.width(), width_after(original, surgery, g), {}, 0, {}, {}};
    if (kept != surgery.kept.end()) p.kept = kept->second;
    if (added != surgery.added.end()) p.added = added->second;
    p.why = reason(p.before, p.after - p.added, p.added, recover);
    plan.groups.push_back(std::move(p));
  }
  plan.dropped.assign(surgery.dropped.begin(), surgery.dropped.end());
  plan.folded = surgery.folded;
  plan.kernels = kernel_plans(original, surgery);
  plan.tokens = token_plans(original, surgery);
  plan.shortcuts = original.shortcuts;
  return plan;
}

Subject subject_of(const Subject& read, const WidthPlan& plan) {
  check_model(read, plan);
  if (plan.shortcuts.empty()) return read;
  Subject subject = with_shortcuts(read);
  if (subject.shortcuts != plan.shortcuts)
    throw Error(Code::plan_mismatch, "the plan names shortcuts that this model does not have",
                read.path.string(), "make the plan anew");
  return subject;
}

Surgery surgery_of(const Subject& original, const WidthPlan& plan) {
  check_model(original, plan);
  Surgery surgery;
  for (const GroupPlan& g : plan.groups) {
    if (g.group < 0 || g.group >= static_cast<int>(original.channels.groups.size()))
      throw Error(Code::bad_cut, fmt::format("the model has no channel group {}", g.group), g.layer);
    if (!g.kept.empty()) surgery.kept[g.group] = g.kept;
    if (g.added > 0) surgery.added[g.group] = g.added;
    check_widths(original, surgery, g);
  }
  surgery.dropped.insert(plan.dropped.begin(), plan.dropped.end());
  surgery.folded = plan.folded;
  for (const KernelPlan& k : plan.kernels) surgery.kernels[k.layer] = k.taps;
  check_kernels(original, surgery, plan.kernels);
  for (const TokenPlan& t : plan.tokens) surgery.tokens[t.value] = {t.axis, t.kept};
  check_tokens(original, surgery, plan.tokens);
  return surgery;
}

Json to_json(const WidthPlan& plan) {
  Json groups = Json::array(), kernels = Json::array(), tokens = Json::array();
  for (const TokenPlan& t : plan.tokens) tokens.push_back(to_json(t));
  for (const KernelPlan& k : plan.kernels) kernels.push_back(to_json(k));
  for (const GroupPlan& g : plan.groups)
    groups.push_back({{"group", g.group},
                      {"layer", g.layer},
                      {"before", g.before},
                      {"after", g.after},
                      {"added", g.added},
                      {"why", g.why},
                      {"kept", g.kept},
                      {"merged", to_json(g.heirs)}});
  return {{"schema", "tailor/plan/1"},
          {"model", {{"path", plan.model}, {"sha256", plan.sha256}}},
          {"runtime", plan.runtime},
          {"goal", plan.goal},
          {"rule", plan.rule},
          {"latency",
           {{"predicted_ratio", plan.predicted_ratio},
            {"measured_ratio", plan.measured_ratio},
            {"how", tailor::name(plan.how)}}},
          {"loss", plan.loss},
          {"loss_before_repair", plan.cut_loss},
          {"certificate", to_json(plan.certificate)},
          {"rounds", plan.rounds},
          {"candidates", plan.candidates},
          {"dropped", plan.dropped},
          {"folded", plan.folded},
          {"kernels", kernels},
          {"tokens", tokens},
          {"shortcuts", plan.shortcuts},
          {"groups", groups}};
}

void enter_heirs(WidthPlan& plan, const std::vector<Merged>& merged) {
  for (GroupPlan& group : plan.groups) {
    std::map<int, Heir> of_unit;
    for (const Merged& m : merged)
      if (m.group == group.group) {
        Heir& heir = of_unit.try_emplace(m.unit, Heir{m.unit, m.heir, 0}).first->second;
        heir.unexplained = std::max(heir.unexplained, m.unexplained);
      }
    for (const auto& [unit, heir] : of_unit) group.heirs.push_back(heir);
    if (!of_unit.empty()) group.why += ", their functions are merged into those that stay";
  }
}

WidthPlan width_plan_from_json(const Json& json, const std::string& place) {
  WidthPlan plan;
  const Json& model = member(json, "model", place);
  plan.model = text(model, "path", place + ".model"), plan.sha256 = text(model, "sha256", place + ".model");
  plan.runtime = text(json, "runtime", place), plan.goal = text(json, "goal", place);
  if (json.contains("rule")) plan.rule = text(json, "rule", place);
  const Json& latency = member(json, "latency", place);
  plan.predicted_ratio = number(latency, "predicted_ratio", place),
  plan.measured_ratio = number(latency, "measured_ratio", place);
  if (latency.contains("how") && text(latency, "how", place) == tailor::name(How::modelled))
    plan.how = How::modelled;
  plan.loss = number(json, "loss", place), plan.cut_loss = number(json, "loss_before_repair", place);
  const Json& c = member(json, "certificate", place);
  plan.certificate = {boolean(c, "optimal", place), number(c, "quantum_us", place),
                      number(c, "loss_bound", place), number(c, "gap", place)};
  plan.rounds = static_cast<int>(integer(json, "rounds", place)),
  plan.candidates = static_cast<int>(integer(json, "candidates", place));
  plan.dropped = names(member(json, "dropped", place), place + ".dropped");
  if (auto it = json.find("shortcuts"); it != json.end()) plan.shortcuts = names(*it, place + ".shortcuts");
  if (auto folded = json.find("folded"); folded != json.end())
    plan.folded = folded_from_json(*folded, place + ".folded");
  if (auto kernels = json.find("kernels"); kernels != json.end()) {
    if (!kernels->is_array()) throw Error(Code::bad_json, "a list of kernels is wanted", place + ".kernels");
    for (const Json& kernel : *kernels) plan.kernels.push_back(kernel_from_json(kernel, place + ".kernels"));
  }
  if (auto tokens = json.find("tokens"); tokens != json.end()) {
    if (!tokens->is_array()) throw Error(Code::bad_json, "a list of tokens is wanted", place + ".tokens");
    for (const Json& t : *tokens) plan.tokens.push_back(tokens_from_json(t, place + ".tokens"));
  }
  for (const Json& group : member(json, "groups", place))
    plan.groups.push_back(group_from_json(group, place + ".groups"));
  return plan;
}

WidthPlan read_plan(const std::filesystem::path& path) {
  try {
    return width_plan_from_json(read_json(path, "tailor/plan/1"), path.string());
  } catch (const Error& error) {
    if (error.code() != Code::bad_json || !error.help().empty()) throw;
    throw Error(
        error.code(), error.what(), error.place(),
        "give a plan as optimize writes it (OUTPUT with .plan.json); tailor schema plan describes it");
  }
}

}  // namespace tailor::pipeline

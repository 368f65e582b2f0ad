// OptimizeResult -> JSON and, as far as pages and tables need it, back.
#include "tailor/base/error.h"
#include "tailor/pipeline/optimize.h"

#include <nlohmann/json.hpp>

namespace tailor::pipeline {
namespace {

Json given_json(const std::optional<GivenShare>& given) {
  if (!given) return nullptr;
  return {{"ratio", given->ratio},
          {"loss", given->loss},
          {"moved_down", given->moved_down},
          {"moved_up", given->moved_up}};
}

Json recover_json(const OptimizeResult& result) {
  Json together = Json::array();
  for (const FittedTogether& f : result.together)
    together.push_back({{"goal", f.goal}, {"before", f.before}, {"after", f.after}});
  return {{"method", name(result.recover)},
          {"normalisations", result.normalisations},
          {"together", std::move(together)},
          {"left_out", result.left_out ? Json(*result.left_out) : Json(nullptr)}};
}

}  // namespace

Json to_json(const OptimizeResult& result) {
  Json rounds = Json::array();
  for (const RoundReport& r : result.rounds)
    rounds.push_back({{"goal", r.goal},
                      {"predicted", r.predicted},
                      {"measured", r.measured},
                      {"loss_before", r.base_loss},
                      {"table_loss", r.table_loss},
                      {"optimal", r.certificate.optimal},
                      {"gap", r.certificate.gap},
                      {"variables", r.variables},
                      {"candidates", r.candidates},
                      {"front", r.front}});
  Json devices = Json::array();
  for (const DeviceLatency& d : result.devices)
    devices.push_back({{"device", d.device},
                       {"title", d.title},
                       {"how", tailor::name(How::modelled)},
                       {"before_us", d.before_us},
                       {"after_us", d.after_us},
                       {"ratio", d.ratio()},
                       {"regret", d.regret ? Json(*d.regret) : Json(nullptr)}});
  Json json = {
      {"schema", "tailor/optimize/1"},
      {"goal_met", result.goal_met},
      {"why_not", result.why_not},
      {"written", result.written.string()},
      {"plan_written", result.plan_written.string()},
      {"timings",
       {{"journal", result.journal.string()}, {"known", result.known}, {"measured", result.measured}}},
      {"recover", recover_json(result)},
      {"given", given_json(result.given)},
      {"timed_on", result.timed_on},
      {"devices", devices},
      {"rounds", rounds},
      {"plan", to_json(result.plan)},
      {"proof", to_json(result.proof)}};
  if (result.free) json["free"] = to_json(*result.free);
  return json;
}

namespace {

std::pair<double, double> front_point(const Json& point, const std::string& place) {
  if (!point.is_array() || point.size() != 2 || !point[0].is_number() || !point[1].is_number())
    throw Error(Code::bad_json, "a point of a front is two numbers", place);
  return {point[0].get<double>(), point[1].get<double>()};
}

}  // namespace

OptimizeResult optimize_result_from_json(const Json& json, const std::string& place) {
  OptimizeResult result;
  result.goal_met = boolean(json, "goal_met", place), result.why_not = text(json, "why_not", place);
  result.written = text(json, "written", place), result.plan_written = text(json, "plan_written", place);
  for (const Json& r : member(json, "rounds", place)) {
    RoundReport round;
    round.goal = number(r, "goal", place), round.predicted = number(r, "predicted", place);
    round.measured = number(r, "measured", place), round.base_loss = number(r, "loss_before", place);
    round.table_loss = number(r, "table_loss", place);
    round.certificate.optimal = boolean(r, "optimal", place), round.certificate.gap = number(r, "gap", place);
    round.variables = static_cast<int>(integer(r, "variables", place));
    round.candidates = static_cast<int>(integer(r, "candidates", place));
    if (r.contains("front"))  // absent in documents of before
      for (const Json& point : r["front"]) round.front.push_back(front_point(point, place + ".rounds"));
    result.rounds.push_back(round);
  }
  result.plan = width_plan_from_json(member(json, "plan", place), place + ".plan");
  result.proof = verification_from_json(member(json, "proof", place), place + ".proof");
  if (result.proof.speed.models.size() != 2 || result.proof.samples.empty())
    throw Error(Code::bad_json, "the proof does not compare two models on samples", place + ".proof");
  return result;
}

}  // namespace tailor::pipeline

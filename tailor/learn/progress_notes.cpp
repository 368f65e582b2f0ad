#include "tailor/learn/progress_notes.h"

#include "tailor/base/error.h"
#include "tailor/base/json.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::learn {
namespace {

Json to_json(const CurvePoint& p) {
  Json json = {{"epoch", p.epoch}, {"step", p.step},   {"rate", p.rate},
               {"loss", p.loss},   {"right", p.right}, {"images_per_s", p.images_per_s}};
  if (p.eval) json["eval"] = {{"samples", p.eval->samples}, {"right", p.eval->right}, {"loss", p.eval->loss}};
  return json;
}

CurvePoint point_of(const Json& json, const std::string& place) {
  CurvePoint p{integer(json, "epoch", place), integer(json, "step", place),
               number(json, "rate", place),   number(json, "loss", place),
               number(json, "right", place),  number(json, "images_per_s", place)};
  if (!json.contains("eval")) return p;
  const Json& eval = json["eval"];
  p.eval = {integer(eval, "samples", place), integer(eval, "right", place), number(eval, "loss", place)};
  return p;
}

}  // namespace

std::string to_text(const ProgressNotes& notes) {
  Json curve = Json::array();
  for (const CurvePoint& point : notes.curve) curve.push_back(to_json(point));
  return to_line({{"loss", notes.loss}, {"right", notes.right}, {"seen", notes.seen}, {"curve", curve}});
}

ProgressNotes parse_notes(const std::string& text, const std::string& place) try {
  Json json = parse_json(text, place);
  ProgressNotes notes{number(json, "loss", place), integer(json, "right", place),
                      integer(json, "seen", place)};
  for (const Json& point : member(json, "curve", place)) notes.curve.push_back(point_of(point, place));
  return notes;
} catch (const Error& error) {
  throw Error(Code::bad_checkpoint, error.what(), place, "remove it and train again without --resume");
}

std::string to_csv(const std::vector<CurvePoint>& curve) {
  std::string text = "epoch,step,rate,loss,right,images_per_s,eval_loss,eval_top1\n";
  for (const CurvePoint& p : curve) {
    text += fmt::format("{},{},{:.8g},{:.8g},{:.6f},{:.1f},", p.epoch, p.step, p.rate, p.loss, p.right,
                        p.images_per_s);
    text += p.eval ? fmt::format("{:.8g},{:.6f}\n", p.eval->loss, p.eval->top1()) : std::string(",\n");
  }
  return text;
}

}  // namespace tailor::learn

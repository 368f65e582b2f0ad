// tailor tune ask: layers that were not measured, answered from recorded ones. Nothing is measured.
#include "tailor/app/tune.h"
#include "tailor/base/table.h"
#include "tailor/tune/partition.h"
#include "tailor/tune/schedule_surface.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace tailor::app {
namespace {

using tune::RecordKey;
using tune::SurfaceAnswer;
using tune::SurfaceError;

struct Asked {
  std::string op;
  RecordKey surface;
  SurfaceAnswer answer;
  SurfaceError error;
};

std::vector<latency::Workload> workloads_of(const std::vector<std::string>& ops) {
  std::vector<latency::Workload> workloads;
  for (const std::string& op : ops) {
    workloads.push_back(latency::parse_workload(op));
    if (const std::string reason = tune::no_kernel(workloads.back()); !reason.empty())
      throw Error(Code::nothing_to_tune, reason, op, "dense convolutions and products in f32 have a kernel");
  }
  return workloads;
}

// Those of the shares asked for, with the vectors of their devices.
std::vector<RecordKey> surfaces_of(const tune::RecordFile& file, const std::string& share) {
  const std::vector<RecordKey> all = tune::surfaces_in(file.records());
  std::vector<double> shares;
  if (!share.empty()) shares = parse_shares(share);
  std::string recorded;
  std::vector<RecordKey> chosen;
  for (const RecordKey& key : all) {
    const bool wanted = shares.empty() || std::any_of(shares.begin(), shares.end(), [&](double s) {
                          return std::abs(s - key.share) < 1e-9;
                        });
    if (wanted && tune::unit_of(key)) chosen.push_back(key);
    recorded += fmt::format("{}{:g} % of {}", recorded.empty() ? "" : "; ", 100 * key.share, key.device);
  }
  if (chosen.empty())
    throw Error(Code::unknown_name, "no record of that share on a processor whose vectors are known",
                file.path().string(), "recorded: " + recorded.substr(0, 400));
  return chosen;
}

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json configuration_json(const std::vector<std::pair<std::string, tune::Value>>& list) {
  Json json = Json::object();
  for (const auto& [name, value] : list)
    json[name] = std::visit([](const auto& held) { return Json(held); }, value);
  return json;
}

Json asked_json(const Asked& asked) {
  const SurfaceAnswer& a = asked.answer;
  Json neighbours = Json::array();
  for (const tune::Neighbour& n : a.neighbours)
    neighbours.push_back(
        {{"op", n.op}, {"distance", n.distance}, {"us", n.us > 0 ? Json(n.us) : Json(nullptr)}});
  return {{"op", asked.op},
          {"device", asked.surface.device},
          {"share", asked.surface.share},
          {"versions", asked.surface.versions},
          {"ground", name(a.ground)},
          {"configuration", configuration_json(a.configuration)},
          {"use", a.library ? "library" : "own"},
          {"us", optional_json(a.us)},
          {"lo_us", optional_json(a.lo_us)},
          {"hi_us", optional_json(a.hi_us)},
          {"reason", a.reason.empty() ? Json(nullptr) : Json(a.reason)},
          {"neighbours", std::move(neighbours)},
          {"left_out",
           {{"shapes", asked.error.shapes},
            {"median_error", asked.error.shapes > 0 ? Json(asked.error.median) : Json(nullptr)},
            {"largest_error", asked.error.shapes > 0 ? Json(asked.error.largest) : Json(nullptr)},
            {"largest_regret", optional_json(asked.error.largest_regret)}}}};
}

std::string ask_text(const std::vector<Asked>& list) {
  Table table({{"operator", Align::left, true},
               {"share", Align::right},
               {"ground"},
               {"time", Align::right},
               {"from", Align::right},
               {"to", Align::right},
               {"configuration", Align::left, true}});
  auto time = [](const std::optional<double>& us) { return us ? duration(*us) : std::string("-"); };
  std::string reasons;
  for (const Asked& asked : list) {
    const SurfaceAnswer& a = asked.answer;
    table.row({asked.op, fmt::format("{:.3g} %", 100 * asked.surface.share), name(a.ground), time(a.us),
               time(a.lo_us), time(a.hi_us), tune::to_string(a.configuration)});
    if (!a.reason.empty())
      reasons += fmt::format("{} at {:.3g} %: {}\n", asked.op, 100 * asked.surface.share, a.reason);
  }
  return table.text({}, output_width()) + reasons;
}

}  // namespace

int tune_ask(const Global& global, const TuneAskArguments& arguments) {
  if (arguments.threads < 0 || arguments.threads > 1024)
    throw Error(Code::bad_value, "--threads must be 0 to 1024", "--threads");
  tune::SurfaceOptions options;
  options.most_error = parse_share(arguments.max_error, "--max-error");
  const std::vector<latency::Workload> workloads = workloads_of(arguments.ops);
  const tune::RecordFile file = read_records(global, arguments.file);
  const int threads =
      arguments.threads > 0 ? arguments.threads : static_cast<int>(tune::usable_cores().size());
  std::vector<Asked> asked;
  for (const RecordKey& key : surfaces_of(file, arguments.share)) {
    const int workers = std::max(1, static_cast<int>(std::lround(key.share * threads)));
    const tune::ScheduleSurface surface(file.records(), key, *tune::unit_of(key), workers, options);
    for (const latency::Workload& workload : workloads)
      asked.push_back({latency::to_string(workload), key, surface.ask(workload), surface.error_of(workload)});
  }
  if (!global.json) return print(ask_text(asked)), 0;
  Json json = {
      {"schema", "tailor/tune-ask/1"}, {"file", arguments.file.string()}, {"answers", Json::array()}};
  for (const Asked& one : asked) json["answers"].push_back(asked_json(one));
  print_document(json);
  return 0;
}

}  // namespace tailor::app

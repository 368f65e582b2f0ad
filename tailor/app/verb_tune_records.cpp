// tailor tune show, merge, replay: what tuning left behind. Files in, a table or one document out; nothing is measured.
#include "tailor/app/tune.h"
#include "tailor/base/file.h"
#include "tailor/base/parallel.h"
#include "tailor/base/table.h"
#include "tailor/tune/kernel_tuner.h"
#include "tailor/tune/records.h"
#include "tailor/tune/replay.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <memory>

namespace tailor::app {
namespace {

using tune::RecordFile;
using tune::RecordGroup;
using tune::Standing;

std::size_t count(const RecordGroup& group, tune::Outcome outcome) {
  return static_cast<std::size_t>(std::count_if(group.records.begin(), group.records.end(),
                                                [&](const tune::Record& r) { return r.outcome == outcome; }));
}

Json key_json(const tune::RecordKey& key) {
  return {{"op", key.op},       {"precision", key.precision}, {"layout", key.layout}, {"device", key.device},
          {"share", key.share}, {"versions", key.versions},   {"source", key.source}};
}

Json standing_json(const Standing& standing) {
  Json configuration = Json::object();
  for (const auto& [name, value] : standing.configuration)
    configuration[name] = std::visit([](const auto& held) { return Json(held); }, value);
  return {{"configuration", std::move(configuration)},
          {"tier", name(standing.tier)},
          {"samples", standing.us.size()},
          {"us", standing.time_us()}};
}

// What to use for a key: the best of our own kernels, or a library's that is faster.
struct Choice {
  std::optional<double> own_us, library_us;
  const char* use() const { return !own_us && !library_us ? "none" : library_wins() ? "library" : "own"; }
  bool library_wins() const { return library_us && (!own_us || *library_us < *own_us); }
  std::optional<double> ratio() const {
    return own_us && library_us ? std::optional(*own_us / *library_us) : std::nullopt;
  }
};
Choice choice_of(const std::vector<Standing>& order) {
  Choice choice;
  for (const Standing& standing : order) {
    const auto& list = standing.configuration;
    const bool library = list.size() == 1 && list.front().first == "library";
    std::optional<double>& best = library ? choice.library_us : choice.own_us;
    if (!best) best = standing.time_us();
  }
  return choice;
}

Json group_json(const RecordGroup& group, std::size_t top) {
  Json outcomes = Json::object(), best = Json::array();
  for (tune::Outcome outcome : tune::kOutcomes) outcomes[name(outcome)] = count(group, outcome);
  const std::vector<Standing> order = tune::ranking(group);
  for (const Standing& standing : order)
    if (best.size() < top) best.push_back(standing_json(standing));
  const Choice choice = choice_of(order);
  return {{"key", key_json(group.key)},
          {"trials", group.records.size()},
          {"outcomes", std::move(outcomes)},
          {"use", choice.use()},
          {"own_over_library", choice.ratio() ? Json(*choice.ratio()) : Json(nullptr)},
          {"best", std::move(best)}};
}

std::string outcomes_text(const RecordGroup& group) {
  std::string text;
  for (tune::Outcome outcome : tune::kOutcomes)
    if (const std::size_t n = count(group, outcome); n > 0 && outcome != tune::Outcome::ok)
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", n, name(outcome));
  return text;
}

std::string use_text(const std::vector<Standing>& order) {
  const Choice choice = choice_of(order);
  return choice.ratio() ? fmt::format("{} {:.2f}x", choice.use(), *choice.ratio()) : choice.use();
}

std::string show_text(const std::vector<RecordGroup>& groups, std::size_t top) {
  Table table({{"operator", Align::left, true},
               {"share", Align::right},
               {"trials", Align::right},
               {"failed"},
               {"time", Align::right},
               {"tier"},
               {"use"},
               {"configuration", Align::left, true}});
  for (const RecordGroup& group : groups) {
    const std::vector<Standing> order = tune::ranking(group);
    for (std::size_t i = 0; i < std::max<std::size_t>(1, std::min(top, order.size())); ++i) {
      std::vector<std::string> row = {"", "", "", ""};
      if (i == 0)
        row = {group.key.op, fmt::format("{:.3g}", group.key.share), std::to_string(group.records.size()),
               outcomes_text(group)};
      if (i < order.size())
        row.insert(row.end(), {duration(order[i].time_us()), name(order[i].tier),
                               i == 0 ? use_text(order) : "", tune::to_string(order[i].configuration)});
      table.row(std::move(row));
    }
  }
  return table.text({}, output_width());
}

// A table to search in: records of one key, or a cache file of Kernel Tuner.
tune::MeasuredSpace read_measured(const Global& global, const std::filesystem::path& path,
                                  const std::string& op) {
  if (path.extension() == ".json") return tune::measured_from_cache(read_json(path), path.string());
  std::vector<RecordGroup> groups = tune::group(read_records(global, path).records());
  if (!op.empty()) std::erase_if(groups, [&](const RecordGroup& group) { return group.key.op != op; });
  if (groups.empty())
    throw Error(Code::unknown_name, fmt::format("no record of {}", op), path.string(),
                "tailor tune show lists the operators");
  if (groups.size() > 1)
    throw Error(Code::usage, fmt::format("records of {} keys", groups.size()), path.string(),
                "choose an operator with --op; tailor tune show lists them");
  return tune::make_measured_space(groups.front());
}

struct Replayed {
  std::string searcher;
  std::vector<std::vector<double>> curves;  // per seed, in units of the best known time
};

double middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Median over the seeds after so many trials; infinite if half of them have found nothing by then.
double median_after(const Replayed& replayed, int trials) {
  std::vector<double> at;
  for (const auto& curve : replayed.curves)
    at.push_back(curve[std::min(curve.size(), static_cast<std::size_t>(trials)) - 1]);
  return middle(std::move(at));
}

double share_within(const Replayed& replayed, double limit) {
  const auto there = std::count_if(replayed.curves.begin(), replayed.curves.end(),
                                   [&](const auto& curve) { return tune::first_within(curve, limit) > 0; });
  return static_cast<double>(there) / static_cast<double>(replayed.curves.size());
}

Replayed replay_seeds(const tune::MeasuredSpace& measured, const std::string& searcher,
                      const std::optional<tune::Prior>& prior, const TuneReplayArguments& a) {
  Replayed replayed{searcher, std::vector<std::vector<double>>(static_cast<std::size_t>(a.seeds))};
  const double best = measured.best_us();
  in_parallel(a.seeds, [&](int i) {
    const std::uint64_t seed = a.seed + static_cast<std::uint64_t>(i);
    auto made = prior && searcher == "model" ? tune::search_by_model(measured.space, seed, {}, prior)
                                             : tune::make_searcher(searcher, measured.space, seed);
    std::vector<double> curve = tune::replay(*made, measured, a.trials);
    for (double& us : curve) us /= best;
    replayed.curves[static_cast<std::size_t>(i)] = std::move(curve);
  });
  return replayed;
}

std::vector<int> milestones(int trials) {
  std::vector<int> list;
  for (int at : {10, 20, 50, 100, 200, 500, 1000})
    if (at < trials) list.push_back(at);
  list.push_back(trials);
  return list;
}

std::string ratio_text(double ratio) { return std::isfinite(ratio) ? fmt::format("{:.3f}x", ratio) : "-"; }

std::string replay_text(const std::vector<Replayed>& all, const tune::MeasuredSpace& measured,
                        const TuneReplayArguments& a) {
  std::vector<Column> columns = {{"searcher"}};
  for (int at : milestones(a.trials)) columns.push_back({fmt::format("{} trials", at), Align::right});
  columns.push_back({"seeds within 5 %", Align::right});
  Table table(columns);
  for (const Replayed& replayed : all) {
    std::vector<std::string> row = {replayed.searcher};
    for (int at : milestones(a.trials)) row.push_back(ratio_text(median_after(replayed, at)));
    row.push_back(fmt::format("{:.0f} %", 100 * share_within(replayed, 1.05)));
    table.row(std::move(row));
  }
  return fmt::format("{}  {} configurations, the best {}; medians of {} seeds\n", a.file.string(),
                     measured.space.count(), duration(measured.best_us()), a.seeds) +
         table.text({}, output_width());
}

Json replay_json(const std::vector<Replayed>& all, const tune::MeasuredSpace& measured,
                 const TuneReplayArguments& a) {
  Json json = {
      {"schema", "tailor/tune-replay/1"},
      {"file", a.file.string()},
      {"configurations", measured.space.count()},
      {"best_us", measured.best_us()},
      {"best", measured.space.text(std::min_element(measured.trials.begin(), measured.trials.end(),
                                                    [](const tune::Trial& x, const tune::Trial& y) {
                                                      return std::pair(x.outcome != tune::Outcome::ok, x.us) <
                                                             std::pair(y.outcome != tune::Outcome::ok, y.us);
                                                    })
                                       ->configuration)},
      {"seeds", a.seeds},
      {"trials", a.trials},
      {"searchers", Json::array()}};
  for (const Replayed& replayed : all) {
    Json medians = Json::array();
    for (int at : milestones(a.trials)) {
      const double ratio = median_after(replayed, at);
      medians.push_back({{"trials", at}, {"ratio", std::isfinite(ratio) ? Json(ratio) : Json(nullptr)}});
    }
    json["searchers"].push_back({{"name", replayed.searcher},
                                 {"medians", std::move(medians)},
                                 {"within_5_percent", share_within(replayed, 1.05)}});
  }
  return json;
}

}  // namespace

RecordFile read_records(const Global& global, const std::filesystem::path& path) {
  constexpr const char* kNext = "tailor tune MODEL --db FILE writes records";
  if (!std::filesystem::exists(path)) throw Error(Code::file_missing, "no such file", path.string(), kNext);
  RecordFile file(path);
  if (file.damaged() > 0)
    say(global, 0,
        fmt::format("{}: {} damaged line{} passed over", path.string(), file.damaged(),
                    file.damaged() == 1 ? "" : "s"));
  if (file.records().empty())
    throw Error(Code::unknown_name, "the file holds no record", path.string(), kNext);
  return file;
}

int tune_show(const Global& global, const TuneShowArguments& arguments) {
  if (arguments.top < 1) throw Error(Code::bad_value, "--top must be at least 1", "--top");
  const RecordFile file = read_records(global, arguments.file);
  const std::vector<RecordGroup> groups = tune::group(file.records());
  const auto top = static_cast<std::size_t>(arguments.top);
  if (!global.json) return print(show_text(groups, top)), 0;
  Json json = {{"schema", "tailor/tune-show/1"},
               {"file", arguments.file.string()},
               {"damaged", file.damaged()},
               {"groups", Json::array()}};
  for (const RecordGroup& group : groups) json["groups"].push_back(group_json(group, top));
  print_document(json);
  return 0;
}

int tune_merge(const Global& global, const TuneMergeArguments& arguments) {
  check_target(arguments.out);
  std::vector<std::vector<tune::Record>> lists;
  std::size_t read = 0;
  for (const auto& path : arguments.files) {
    lists.push_back(read_records(global, path).records());
    read += lists.back().size();
  }
  const std::vector<tune::Record> merged = tune::merge(lists);
  std::string text;
  if (arguments.t4) text = tune::to_t4(merged).dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  if (!arguments.t4)
    for (const tune::Record& record : merged) text += to_line(tune::to_json(record)) + "\n";
  write_file(arguments.out, text);
  if (global.json)
    print_document({{"schema", "tailor/tune-merge/1"},
                    {"output", arguments.out.string()},
                    {"read", read},
                    {"written", merged.size()},
                    {"keys", tune::group(merged).size()}});
  else
    say(global, 0,
        fmt::format("wrote {}: {} records of {} keys ({} read, doubles left out)", arguments.out.string(),
                    merged.size(), tune::group(merged).size(), read));
  return 0;
}

int tune_replay(const Global& global, const TuneReplayArguments& arguments) {
  auto require = [](bool good, const char* option, const char* range) {
    if (!good) throw Error(Code::bad_value, fmt::format("{} must be {}", option, range), option);
  };
  require(arguments.trials >= 1 && arguments.trials <= 100000, "--trials", "1 to 100000");
  require(arguments.seeds >= 1 && arguments.seeds <= 1000, "--seeds", "1 to 1000");
  const tune::MeasuredSpace measured = read_measured(global, arguments.file, arguments.op);
  if (!std::isfinite(measured.best_us()))
    throw Error(Code::bad_space, "no configuration has succeeded", arguments.file.string());
  std::optional<tune::Prior> prior;
  if (!arguments.prior.empty())
    prior.emplace(measured.space,
                  tune::translate(read_measured(global, arguments.prior, arguments.op), measured.space),
                  arguments.prior.string());
  std::vector<Replayed> all;
  for (const std::string& searcher : arguments.searchers)
    all.push_back(replay_seeds(measured, searcher, prior, arguments));
  if (global.json)
    print_document(replay_json(all, measured, arguments));
  else
    print(replay_text(all, measured, arguments));
  return 0;
}

}  // namespace tailor::app

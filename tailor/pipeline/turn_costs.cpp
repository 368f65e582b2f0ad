// drop_refused asks for every way alone; measure_turns profiles the patterns of `patterns`, gathers samples per part
// (Samples), and times alone what no pattern met.
#include "tailor/pipeline/turn_costs.h"

#include "tailor/base/error.h"
#include "tailor/runtime/measure.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

namespace tailor::pipeline {
namespace {

using plan::Conversion;
using plan::Way;

constexpr int kMostRounds = 400;

std::size_t index(int i) { return static_cast<std::size_t>(i); }
// Samples out of a runner's answer: numbers, at least one.
std::vector<double> times_of(const Json& json, const char* key) {
  const Json& list = member(json, key, "answer");
  std::vector<double> us;
  for (const Json& one : list.is_array() ? list : Json::array())
    if (one.is_number()) us.push_back(one.get<double>());
  if (us.empty()) throw Error(Code::runner_failed, "a profile without times", "answer");
  return us;
}
double mean(const std::vector<double>& us) {
  return std::accumulate(us.begin(), us.end(), 0.0) / static_cast<double>(us.size());
}
double median(std::vector<double> us) { return runtime::summarize(std::move(us)).median; }

struct Pattern {
  std::string name;
  std::vector<int> choice;
};

// The first way of a step that reads and, if `writes` is no -1, writes that; else its way in f32.
int way_with(const TurnNetwork& network, std::size_t step, int reads, int writes) {
  const std::vector<Way>& ways = network.problem.steps[step].ways;
  int otherwise = 0;
  for (std::size_t w = 0; w < ways.size(); ++w) {
    if (ways[w].reads == reads && ways[w].writes == writes) return static_cast<int>(w);
    if (ways[w].reads == network.f32()) otherwise = static_cast<int>(w);
  }
  return otherwise;
}

std::vector<int> choice_of(const TurnNetwork& network, const std::function<Way(std::size_t)>& wanted) {
  std::vector<int> choice;
  for (std::size_t s = 0; s < network.problem.steps.size(); ++s) {
    const Way way = wanted(s);
    choice.push_back(way_with(network, s, way.reads, way.writes));
  }
  return choice;
}

std::vector<Pattern> patterns(const TurnNetwork& network) {
  const int f32 = network.f32();
  std::vector<Pattern> list;
  auto add = [&](std::string name, std::vector<int> choice) {
    for (const Pattern& known : list)
      if (known.choice == choice) return;
    list.push_back({std::move(name), std::move(choice)});
  };
  add("all on " + network.platform.units[index(f32)].name, all_on(network, f32));
  for (int u = 0; u < network.given(); ++u) {
    const std::string& unit = network.platform.units[index(u)].name;
    add("all on " + unit, all_on(network, u));
    if (u == f32) continue;
    add("all on " + unit + ", giving f32", choice_of(network, [&](std::size_t) {
          return Way{"", u, f32, 0, 0};
        }));
    for (std::size_t odd : {0u, 1u})
      add(unit + " every other layer", choice_of(network, [&](std::size_t s) {
            const int here = s % 2 == odd ? u : f32;
            return Way{"", here, here, 0, 0};
          }));
  }
  return list;
}

// What every part took, in each network that has it.
struct Samples {
  std::map<std::pair<int, int>, std::vector<double>> ways;  // step and way
  std::map<Conversion, std::vector<double>> conversions;
};

// The mean of each part over the typical runs, so that parts add up to runs.
void gather(const Json& profile, const TurnList& list, const std::vector<int>& choice, Samples& samples) {
  const Json& nodes = member(profile, "nodes", "answer");
  const std::vector<double> run_us = times_of(profile, "run_us");
  const std::vector<std::size_t> typical = typical_runs(run_us);
  if (!nodes.is_array() || nodes.size() != list.steps.size() || typical.empty())
    throw Error(Code::runner_failed, "a profile does not have the layers of its network", "profile");
  for (std::size_t i = 0; i < list.steps.size(); ++i) {
    const ListedStep& step = list.steps[i];
    const std::vector<double> us = times_of(nodes[i], "us");
    if (us.size() != run_us.size())
      throw Error(Code::runner_failed, "a layer was not timed in every run", "profile");
    double sum = 0;
    for (std::size_t run : typical) sum += us[run];
    std::vector<double>& all = step.step < 0 ? samples.conversions[step.conversion]
                                             : samples.ways[{step.step, choice[index(step.step)]}];
    all.push_back(sum / static_cast<double>(typical.size()));
  }
}

// One job alone, its median.
double alone_us(runtime::Runner& runner, const std::string& network) {
  runtime::Job job;
  job.network = network;
  runtime::TimingOptions options;
  options.rounds = 9, options.min_sample_us = 500;
  return median(runner.time(std::vector<runtime::Job>{job}, options).front().us);
}

// Costs out of samples; what has none is timed alone.
void set_costs(runtime::Runner& runner, TurnNetwork& network, Samples& samples, TurnCosts& costs) {
  for (std::size_t s = 0; s < network.problem.steps.size(); ++s)
    for (std::size_t w = 0; w < network.problem.steps[s].ways.size(); ++w) {
      Way& way = network.problem.steps[s].ways[w];
      std::vector<double>& us = samples.ways[{static_cast<int>(s), static_cast<int>(w)}];
      costs.alone += us.empty(), ++costs.parts;
      way.cost = us.empty() ? alone_us(runner, step_alone(network, s, way)) : mean(us);
    }
  for (const Conversion& c : possible_conversions(network)) {
    std::vector<double>& us = samples.conversions[c];
    costs.alone += us.empty(), ++costs.parts;
    network.problem.values[index(c.value)].conversion[index(c.from)][index(c.to)] =
        us.empty() ? alone_us(runner, conversion_alone(network, c)) : mean(us);
  }
}

// One refusal per unit.
void note(std::vector<Refusal>& refusals, int unit, const std::string& why) {
  auto known =
      std::find_if(refusals.begin(), refusals.end(), [&](const Refusal& r) { return r.unit == unit; });
  if (known == refusals.end()) known = refusals.insert(refusals.end(), {unit, 0, 0, why});
  ++known->layers;
}

}  // namespace

std::vector<std::size_t> typical_runs(const std::vector<double>& run_us) {
  const runtime::Summary all = runtime::summarize(run_us);
  std::vector<std::size_t> typical;
  for (std::size_t r = 0; r < run_us.size(); ++r)
    if (run_us[r] >= all.q1 && run_us[r] <= all.q3) typical.push_back(r);
  if (typical.empty())
    for (std::size_t r = 0; r < run_us.size(); ++r) typical.push_back(r);
  return typical;
}

std::vector<int> all_on(const TurnNetwork& network, int unit) {
  return choice_of(network, [&](std::size_t) { return Way{"", unit, unit, 0, 0}; });
}

std::vector<Refusal> drop_refused(runtime::Runner& runner, TurnNetwork& network,
                                  const std::function<void(double)>& progress) {
  std::vector<Refusal> refusals;
  std::map<std::string, std::string> answers;  // job -> why not; empty: it is computed
  std::vector<int> layers(network.platform.units.size(), 0);
  runtime::TimingOptions once;
  once.rounds = 1, once.min_sample_us = 0;
  auto refused = [&](const std::string& line) -> std::string {
    auto [known, added] = answers.try_emplace(line);
    if (!added) return known->second;
    runtime::Job job;
    job.network = known->first;
    try {
      runner.time(std::vector<runtime::Job>{job}, once);
    } catch (const Error& error) {
      if (error.code() != Code::runtime_refused) throw;
      known->second = error.what();
    }
    return known->second;
  };
  for (std::size_t s = 0; s < network.problem.steps.size(); ++s) {
    std::vector<Way>& ways = network.problem.steps[s].ways;
    std::set<int> tried, gone;
    std::erase_if(ways, [&](const Way& way) {
      const std::string why = refused(step_alone(network, s, way));
      if (tried.insert(way.reads).second) ++layers[index(way.reads)];
      if (why.empty()) return false;
      if (way.reads == network.f32())
        throw Error(Code::runtime_refused, why, network.list.layers[s].text,
                    "this runner cannot run the whole network; see docs/limits.md");
      if (gone.insert(way.reads).second) note(refusals, way.reads, why);
      return true;
    });
    progress(static_cast<double>(s + 1) / static_cast<double>(network.problem.steps.size()));
  }
  for (Refusal& refusal : refusals) refusal.of = layers[index(refusal.unit)];
  return refusals;
}

TurnCosts measure_turns(runtime::Runner& runner, TurnNetwork& network,
                        const std::vector<std::vector<int>>& asked, double seconds,
                        const std::function<void(double)>& progress) {
  const std::vector<Pattern> list = patterns(network);
  Json request = {
      {"op", "profile"}, {"rounds", kMostRounds}, {"time_limit_s", seconds}, {"jobs", Json::array()}};
  std::vector<TurnList> lists;
  auto add = [&](const std::vector<int>& choice) {
    lists.push_back(turn_list(network, choice));
    Json job = {{"network", parse_json(lists.back().network, "network")}};
    request["jobs"].push_back(std::move(job));
  };
  for (const Pattern& pattern : list) add(pattern.choice);
  for (const std::vector<int>& choice : asked) add(choice);
  progress(0);
  const Json answer = runner.ask(request);
  const Json& profiles = member(answer, "profiles", "answer");
  if (!profiles.is_array() || profiles.size() != lists.size())
    throw Error(Code::runner_failed, "not as many profiles as networks", "profile");
  Samples samples;
  TurnCosts costs;
  for (std::size_t i = 0; i < list.size(); ++i) gather(profiles[i], lists[i], list[i].choice, samples);
  set_costs(runner, network, samples, costs);
  for (std::size_t i = 0; i < list.size(); ++i)
    costs.networks.push_back({list[i].name, plan::evaluate(network.problem, list[i].choice).latency_us,
                              median(times_of(profiles[i], "unprofiled_us"))});
  for (std::size_t i = list.size(); i < lists.size(); ++i)
    costs.asked.push_back({times_of(profiles[i], "unprofiled_us"), times_of(profiles[i], "round_us")});
  progress(1);
  return costs;
}

}  // namespace tailor::pipeline

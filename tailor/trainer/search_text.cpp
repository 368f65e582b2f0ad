// What a search found: one row per network, the spaces' sizes, and who won at equal latency.
#include "tailor/base/table.h"
#include "tailor/trainer/search.h"
#include "tailor/trainer/search_journal.h"
#include "tailor/trainer/trainer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::trainer {
namespace {

Json space_json(const pipeline::SearchSpace& space, double log10, const pipeline::Subject& subject) {
  Json widths = Json::array();
  for (const pipeline::WidthAxis& axis : space.widths)
    widths.push_back({{"group", subject.channels.groups[static_cast<std::size_t>(axis.group)].name},
                      {"widths", axis.widths}});
  return {{"log10_size", log10},
          {"widths", std::move(widths)},
          {"branches", space.branches.size()},
          {"kernels", space.kernels.size()}};
}

Json finalist_json(const Finalist& f, const pipeline::BenchModel& speed) {
  return {{"search", name(f.strategy)},
          {"model", f.model.string()},
          {"differs", f.differs},
          {"found", to_json(f.found)},
          {"macs_ratio", f.macs},
          {"latency_us", speed.summary.median},
          {"latency_ratio", pipeline::to_json(speed.to_first)},
          {"before", evaluation_json(f.before)},
          {"after", evaluation_json(f.after)}};
}

std::string points(double share) { return fmt::format("{:.2f} %", 100 * share); }

std::vector<std::string> row_of(const std::string& network, const pipeline::BenchModel& speed, double macs,
                                const std::string& before, double after) {
  return {network,
          console::duration(speed.summary.median),
          fmt::format("{:.3f} [{:.3f}, {:.3f}]", speed.to_first.ratio, speed.to_first.lo, speed.to_first.hi),
          console::engineering(macs),
          before,
          points(after)};
}

std::string networks(const SearchResult& r) {
  Table table({{"network"},
               {"latency", Align::right},
               {"of the whole", Align::right},
               {"MACs", Align::right},
               {"top-1 in the supernet", Align::right},
               {"trained", Align::right}});
  table.row(row_of("whole", r.speed.models[0], r.macs, "", r.whole.top1()));
  for (std::size_t i = 0; i < r.finalists.size(); ++i) {
    const Finalist& f = r.finalists[i];
    table.row(row_of(name(f.strategy), r.speed.models[i + 1], f.macs * r.macs, points(f.before.top1()),
                     f.after.top1()));
  }
  return table.text();
}

const Finalist* of(const SearchResult& r, Strategy strategy) {
  for (const Finalist& f : r.finalists)
    if (f.strategy == strategy) return &f;
  return nullptr;
}

// Tail-free against each of the others.
std::string comparison(const SearchResult& r) {
  const Finalist* edges = of(r, Strategy::tail_free);
  std::string text;
  for (const Finalist& f : r.finalists)
    if (edges && &f != edges)
      text += fmt::format("tail-free - {:<10}  {:+.2f} points of top-1{}\n", name(f.strategy),
                          100 * (edges->after.top1() - f.after.top1()),
                          f.found.member == edges->found.member ? ", the same network" : "");
  return text;
}

}  // namespace

Json to_json(const SearchResult& r, const SearchFile& file, const pipeline::Subject& subject) {
  Json finalists = Json::array();
  for (std::size_t i = 0; i < r.finalists.size(); ++i)
    finalists.push_back(finalist_json(r.finalists[i], r.speed.models[i + 1]));
  return {
      {"schema", "tailor/search/1"},
      {"model", file.model.string()},
      {"supernet", r.supernet.string()},
      {"seed", file.seed},
      {"goal", file.goal.text},
      {"goal_ratio", r.goal},
      {"samples", {{"learned_from", r.trained_on}, {"held_out", r.held_out}, {"statistics", r.statistics}}},
      {"epochs", {{"supernet", file.supernet.epochs}, {"finalists", file.finalists.epochs}}},
      {"spaces",
       {{"all-widths", space_json(r.all, r.log10_all, subject)},
        {"tail-free", space_json(r.tail_free, r.log10_tail_free, subject)}}},
      {"losses_measured", r.losses},
      {"whole", {{"macs", r.macs}, {"evaluation", evaluation_json(r.whole)}}},
      {"finalists", std::move(finalists)},
      {"speed", pipeline::to_json(r.speed)}};
}

std::string describe(const SearchResult& r, const SearchFile& file) {
  std::string text = fmt::format(
      "space     10^{:.1f} networks, 10^{:.1f} of them tail-free; {} of them measured for their loss\n",
      r.log10_all, r.log10_tail_free, r.losses);
  text += fmt::format("goal      {}: {:.3f} of the whole network's latency\n", file.goal.text, r.goal);
  text += fmt::format("trained   supernet {} epochs, each network {} epochs more{}, {} samples\n",
                      file.supernet.epochs, file.finalists.epochs, file.inherit ? "" : " from random weights",
                      r.trained_on);
  text += "\n" + networks(r) + "\n" + comparison(r);
  for (const Finalist& f : r.finalists)
    text += fmt::format("{:<12}{}\n            {}\n", name(f.strategy), f.model.string(), f.differs);
  return text;
}

}  // namespace tailor::trainer

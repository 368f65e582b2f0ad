#include "tailor/app/analysis_text.h"

#include "tailor/base/table.h"
#include "tailor/base/text.h"
#include "tailor/console/console.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace tailor::app {
namespace {

// Layers that got less than half of what they gave, those first whose time would have fallen most.
std::vector<const pipeline::BaseLayer*> unpaid_layers(const pipeline::BaseComparison& base) {
  std::vector<const pipeline::BaseLayer*> layers;
  for (const pipeline::BaseLayer& layer : base.layers)
    if (layer.gained != pipeline::Gained::same && layer.gained != pipeline::Gained::paid)
      layers.push_back(&layer);
  const auto missing = [](const pipeline::BaseLayer* l) {
    return l->before_us.value.value * (l->us_ratio() - l->macs_ratio());
  };
  std::stable_sort(layers.begin(), layers.end(),
                   [&](const auto* a, const auto* b) { return missing(a) > missing(b); });
  return layers;
}

}  // namespace

std::string step_text(const std::optional<pipeline::WidthStep>& step, int decimals) {
  if (!step) return "-";
  return fmt::format("{} ({:+.{}f} us, {:+.0f} %)", step->width, -step->saved_us, decimals,
                     -100 * step->saved_share);
}

std::string ranked_table(Table table, std::vector<LayerRow> rows, std::size_t most, std::size_t width) {
  std::stable_sort(rows.begin(), rows.end(), [](const LayerRow& a, const LayerRow& b) {
    return std::pair(a.recoverable_us, a.us) > std::pair(b.recoverable_us, b.us);
  });
  rows.resize(most);
  std::vector<std::string> notes;
  for (LayerRow& row : rows) table.row(std::move(row.cells)), notes.push_back(std::move(row.note));
  return with_notes(table.text({}, width), notes, width);
}

std::string edges_text(const std::vector<pipeline::GroupSweep>& sweeps) {
  constexpr int kMost = 8;
  std::string text;
  int count = 0;
  for (const pipeline::GroupSweep& sweep : sweeps) {
    if (!sweep.fitting() || ++count > kMost) continue;
    text +=
        fmt::format("{}{} {} -> {}", count == 1 ? "" : ", ", sweep.name, sweep.width, sweep.fitting()->width);
  }
  return count > kMost ? fmt::format("{} and {} more", text, count - kMost) : text;
}

std::string with_notes(std::string_view table, const std::vector<std::string>& notes, std::size_t width) {
  std::string text;
  for (std::size_t row = 0; !table.empty(); ++row) {  // the first one holds the titles
    const std::size_t end = table.find('\n') + 1;
    text += table.substr(0, end);
    table.remove_prefix(end);
    if (row > 0 && !notes[row - 1].empty()) text += wrapped("    " + notes[row - 1], width, 4) + "\n";
  }
  return text;
}

std::string free_text(const pipeline::FreeChannels& free, std::size_t width) {
  std::string text = "\nfree channels     ";
  if (free.groups.empty())
    text += fmt::format("none, {}: every wider width costs more than {:.0f} % of its layers' time",
                        name(free.how), 100 * pipeline::kFreeShare);
  else
    text +=
        fmt::format("{} of {} groups that can grow have some; all together {:+.1f} % of the layers' time, {}",
                    free.groups.size(), free.asked, 100 * (free.together_us / std::max(free.us, 1e-9) - 1),
                    name(free.how));
  if (free.stuck > 0) text += fmt::format("; {} groups cannot grow and were not asked about", free.stuck);
  text = wrapped(text + "\n", width, 18);
  if (free.groups.empty()) return text;
  Table table({{"group", Align::left, true},
               {"width", Align::right},
               {"free up to", Align::right},
               {"with the others", Align::right},
               {"layers", Align::right},
               {"their time", Align::right},
               {"at the edge", Align::right}});
  for (const pipeline::FreeGroup& g : free.groups)
    table.row({g.name, std::to_string(g.width), std::to_string(g.free_to), std::to_string(g.together),
               std::to_string(g.layers), console::duration(g.us),
               fmt::format("{:+.1f} %", 100 * (g.free_us / g.us - 1))});
  return text + table.text({}, width);
}

std::string base_text(const pipeline::BaseComparison& base, std::size_t rows, std::size_t width) {
  using pipeline::Gained;
  const double time = 100 * (base.network_ratio - 1), macs = 100 * (base.macs_ratio - 1);
  const int nothing = base.count(Gained::nothing) + base.count(Gained::slower),
            all = static_cast<int>(base.layers.size()) - base.count(Gained::same);
  std::string text = wrapped(
      fmt::format("\nbase              against {}: {:+.0f} % multiply-accumulates, {:+.1f} % time, {}; {} "
                  "of {} layers that became smaller are not surely faster\n",
                  base.base.string(), macs, time, name(base.how), nothing, all),
      width, 18);
  if (base.unpaired > 0)
    text +=
        fmt::format("                  {} layers are not in both, or cannot be timed alone\n", base.unpaired);
  Table table({{"layer", Align::left, true},
               {"before", Align::right},
               {"now", Align::right},
               {"MACs", Align::right},
               {"time", Align::right},
               {"paid"}});
  std::vector<std::string> notes;
  const std::vector<const pipeline::BaseLayer*> unpaid = unpaid_layers(base);
  for (std::size_t i = 0; i < std::min(rows, unpaid.size()); ++i) {
    const pipeline::BaseLayer& layer = *unpaid[i];
    table.row({layer.name, width_text(layer.before), width_text(layer.after),
               fmt::format("{:+.0f} %", 100 * (layer.macs_ratio() - 1)),
               fmt::format("{:+.0f} %", 100 * (layer.us_ratio() - 1)), pipeline::name(layer.gained)});
    notes.push_back(layer.why);
  }
  if (!table.empty()) text += with_notes(table.text({}, width), notes, width);
  return unpaid.size() > rows
             ? text + fmt::format("{} more layers that were not paid in full: --all\n", unpaid.size() - rows)
             : text;
}

std::string bar_text(double value, double most, std::size_t columns) {
  if (!(value > 0) || !(most > 0)) return {};
  const double length = std::min(1.0, value / most) * static_cast<double>(columns);
  return std::string(std::max<std::size_t>(1, static_cast<std::size_t>(length + 0.5)), '#');
}

std::string width_text(const latency::Workload& w) {
  return w.g > 1 && w.g == w.ic ? fmt::format("{} dw", w.ic) : fmt::format("{} > {}", w.ic, w.oc);
}

}  // namespace tailor::app

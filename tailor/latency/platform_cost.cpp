// One function per kind of cost model, each from the sizes of a part of a layer to cycles, and a table of
// them by name. `Part` is the layer as a unit sees it: kernel, output plane, and the channels that are its
// share.
#include "tailor/latency/platform_cost.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

namespace tailor::latency {
namespace {

struct Part {
  double in = 0, out = 0;  // channels read by each output channel's group, channels written
  double kx = 1, ky = 1, ox = 1, oy = 1;
  double groups = 1;
  bool linear = false, depthwise = false;
  int weight_bits = 8;
};
using Parameters = std::map<std::string, double>;

BlockWork block_work(const Part& p, double outputs, double inputs) {
  BlockWork work;
  const double taps = p.kx * p.ky * p.ox * p.oy;
  if (p.depthwise)
    work.depthwise_macs = std::ceil(p.out / outputs) * outputs * taps;
  else
    work.macs =
        p.groups * std::ceil(p.out / p.groups / outputs) * outputs * std::ceil(p.in / inputs) * inputs * taps;
  work.elements = p.ox * p.oy * (p.out + p.in * p.groups) + p.in * p.out * p.kx * p.ky;
  return work;
}

double ceil_div(double a, double b) { return std::ceil(a / b); }

// The digital array of DIANA: output channels by output columns.
double pe_array(const Part& p, const Parameters& c) {
  double channels = ceil_div(p.out / p.groups, c.at("channels")) * p.in * p.groups;
  double products = channels * ceil_div(p.ox, c.at("columns")) * p.oy * p.kx * p.ky;
  return products + p.ox * p.oy * (p.out + p.in * p.groups) / c.at("bytes_per_cycle");
}

// Neighbouring outputs computed at once, by copies of the weights that fit into rows and columns.
double copies(const Part& p, const Parameters& c) {
  double best = 1, taken = std::max(c.at("least_channels"), p.in) * p.ky;
  for (double u = 2; u <= c.at("most_copies"); u *= 2)
    if (p.out * u <= c.at("columns") && taken * (p.kx + u - 1) <= c.at("rows")) best = u;
  return best;
}

// The analog array of DIANA: a matrix held in memory cells, written row by row before it is used.
double analog_array(const Part& p, const Parameters& c) {
  if (p.groups > 1 || p.depthwise) return kCannot;
  double operations =
      ceil_div(p.out, c.at("columns")) * ceil_div(p.in, c.at("block")) * p.ox * p.oy / copies(p, c);
  return operations * c.at("operation") + c.at("weight_row") * p.in * p.kx * p.ky;
}

// A cluster of cores that gathers patches and takes inner products of four channels at a time.
double cluster(const Part& p, const Parameters& c) {
  double outputs = ceil_div(p.out, c.at("channels"));
  if (p.linear) return p.ox * p.oy * ceil_div(p.in, c.at("linear_inputs")) * outputs;
  if (p.depthwise) return c.at("depthwise_product") * outputs * p.ox * p.oy * p.kx * p.ky;
  if (p.groups > 1) return kCannot;
  double patch = p.kx * p.ky * p.in;
  double inner = c.at("overhead") + c.at("product") * ceil_div(patch, c.at("vector"));
  return ceil_div(p.ox, c.at("tile_x")) * ceil_div(p.oy, c.at("tile_y")) *
         (c.at("patch") * patch + outputs * inner);
}

// The depthwise engine of Darkside: 3x3 only.
double depthwise_engine(const Part& p, const Parameters& c) {
  if (!p.depthwise || p.kx != 3 || p.ky != 3) return kCannot;
  return ceil_div(p.out, c.at("channels")) *
         (c.at("setup") + c.at("row") * p.ox + c.at("pixel") * p.ox * p.oy);
}

// NE16: weights streamed bit by bit through a tile of outputs.
double ne16(const Part& p, const Parameters& c) {
  bool square3 = p.kx == 3 && p.ky == 3, square1 = p.kx == 1 && p.ky == 1;
  bool other_groups = p.groups > 1 && !p.depthwise;
  if (other_groups || (!square3 && !(square1 && !p.depthwise))) return kCannot;
  double load = c.at(square3 ? "load_3x3" : "load_1x1"), bits = square3 ? p.weight_bits : 1;
  double step = c.at(p.depthwise ? "depthwise_outputs" : "outputs");
  double repeats = p.depthwise ? 1 : ceil_div(p.in, c.at("inputs"));
  auto iteration = [&](double k) {
    if (k <= 0) return 0.0;
    double setup = p.depthwise ? c.at("start") + k : c.at("start");
    double products = load + setup + c.at("multiply") + k * bits + c.at("end");
    return repeats * products + c.at("normalise") + k + c.at("store");
  };
  double full = std::floor(p.out / step);
  return ceil_div(p.ox, c.at("tile")) * ceil_div(p.oy, c.at("tile")) *
         (full * iteration(step) + iteration(p.out - full * step));
}

// So many multiply-accumulates per cycle, by the bits of the operands.
double macs_per_cycle(const Part& p, const Parameters& c) {
  auto rate = c.find(fmt::format("a{:g}_int{}", c.at("activation_bits"), p.weight_bits));
  if (rate == c.end()) return kCannot;
  return p.in * p.out * p.kx * p.ky * p.ox * p.oy / rate->second;
}

// Products in blocks of channels, each filled up; every element of operands and result moved once; a start. What `platform
// calibrate` fits: it has a form for most hardware that computes in blocks, and is exact for none.
double blocks(const Part& p, const Parameters& c) {
  if (p.out <= 0) return 0;
  const BlockWork work = block_work(p, c.at("outputs"), c.at("inputs"));
  return c.at("start") + work.macs / c.at("macs_per_cycle") +
         work.depthwise_macs / c.at("depthwise_macs_per_cycle") + work.elements / c.at("elements_per_cycle");
}

using Model = double (*)(const Part&, const Parameters&);
struct NamedModel {
  std::string_view name;
  Model model;
};
constexpr std::array<NamedModel, 7> kModels = {{{"pe_array", pe_array},
                                                {"blocks", blocks},
                                                {"analog_array", analog_array},
                                                {"cluster", cluster},
                                                {"depthwise_engine", depthwise_engine},
                                                {"ne16", ne16},
                                                {"macs_per_cycle", macs_per_cycle}}};

Model model_of(const device::Unit& unit) {
  for (const NamedModel& entry : kModels)
    if (entry.name == unit.model) return entry.model;
  throw Error(Code::bug, fmt::format("no cost model '{}'", unit.model));
}

Part part_of(const Workload& w, double channels) {
  Part part;
  part.out = channels, part.linear = w.kind == Kind::gemm;
  part.in = static_cast<double>(w.ic / w.g);
  part.depthwise = is_depthwise(w);
  part.groups = part.depthwise ? channels : static_cast<double>(w.g);
  part.kx = static_cast<double>(w.kw), part.ky = static_cast<double>(w.kh);
  part.ox = static_cast<double>(w.ow), part.oy = static_cast<double>(part.linear ? w.mb : w.oh);
  return part;
}

// Power while exactly the units of `working` (a bit each) work.
double power_mw(const device::Platform& platform, unsigned working) {
  double sum = 0, idle = 0;
  for (std::size_t u = 0; u < platform.units.size(); ++u)
    (working >> u & 1 ? sum : idle) +=
        working >> u & 1 ? platform.units[u].power_mw : platform.units[u].idle_mw;
  for (const device::Together& together : platform.together) {
    unsigned units = 0;
    for (int unit : together.units) units |= 1u << unit;
    if (units == working) sum = together.power_mw;
  }
  return sum + idle;
}

}  // namespace

BlockWork block_work(const Workload& workload, double outputs, double inputs) {
  return block_work(part_of(workload, static_cast<double>(workload.oc)), outputs, inputs);
}

std::vector<UnitChoice> unit_choices(const device::Platform& platform) {
  std::vector<UnitChoice> choices;
  for (std::size_t u = 0; u < platform.units.size(); ++u)
    for (std::size_t f = 0; f < platform.units[u].weights.size(); ++f)
      choices.push_back({static_cast<int>(u), static_cast<int>(f)});
  return choices;
}

std::string name(const device::Platform& platform, UnitChoice choice) {
  const device::Unit& unit = platform.units[static_cast<std::size_t>(choice.unit)];
  if (unit.weights.size() == 1) return unit.name;
  return unit.name + " " + unit.weights[static_cast<std::size_t>(choice.format)].name;
}

bool is_depthwise(const Workload& workload) {
  return workload.kind == Kind::conv && workload.g > 1 && workload.g == workload.ic &&
         workload.g == workload.oc;
}

double cycles(const device::Platform& platform, UnitChoice choice, const Workload& workload,
              std::int64_t channels) {
  if (channels == 0) return 0;
  if (workload.kind == Kind::conv_transpose) return kCannot;
  if (workload.g > 1 && !is_depthwise(workload) && channels != workload.oc) return kCannot;
  const device::Unit& unit = platform.units[static_cast<std::size_t>(choice.unit)];
  Part part = part_of(workload, static_cast<double>(channels));
  part.weight_bits = unit.weights[static_cast<std::size_t>(choice.format)].bits;
  if (unit.computes == device::Computes::depthwise && !is_depthwise(workload)) {
    if (workload.g > 1 || workload.ic != workload.oc) return kCannot;
    part.in = 1, part.groups = part.out, part.depthwise = true;
  }
  return static_cast<double>(workload.kind == Kind::gemm ? 1 : workload.mb) *
         model_of(unit)(part, unit.parameters);
}

double energy_uj(const device::Platform& platform, std::span<const double> unit_cycles) {
  std::vector<std::size_t> order(unit_cycles.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return unit_cycles[a] < unit_cycles[b]; });
  unsigned working = 0;
  for (std::size_t u = 0; u < unit_cycles.size(); ++u)
    if (unit_cycles[u] > 0) working |= 1u << u;
  double milliwatt_cycles = 0, now = 0;
  for (std::size_t u : order) {
    if (unit_cycles[u] > now) milliwatt_cycles += (unit_cycles[u] - now) * power_mw(platform, working);
    now = std::max(now, unit_cycles[u]);
    working &= ~(1u << u);
  }
  return milliwatt_cycles / platform.frequency_mhz * 1e-3;
}

double makespan(std::span<const double> unit_cycles) {
  return unit_cycles.empty() ? 0 : *std::max_element(unit_cycles.begin(), unit_cycles.end());
}

}  // namespace tailor::latency

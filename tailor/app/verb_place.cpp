// tailor place: operators over accelerators and CPUs. The table first, then the words of the command line.
#include "tailor/app/app.h"
#include "tailor/base/table.h"
#include "tailor/pipeline/placement_file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace tailor::app {
namespace {

using pipeline::NamedGraph;

// How far the largest load can be from the least possible one.
std::string certificate(double largest, double bound, bool optimal) {
  if (optimal) return "optimal";
  if (!(bound > 0) || !std::isfinite(largest)) return "";
  return fmt::format("at most {:.1f} % above the optimum", 100 * (largest / bound - 1));
}

std::string devices_text(const NamedGraph& named, const plan::Placement& placement) {
  const plan::OperatorGraph& graph = named.graph;
  plan::Loads loads = plan::loads(graph, placement.device);
  std::vector<int> count(loads.load.size());
  for (int d : placement.device) ++count[static_cast<std::size_t>(d)];
  Table table({{"device"}, {"operators", Align::right}, {"load", Align::right}, {"bytes", Align::right}});
  for (std::size_t d = 0; d < loads.load.size(); ++d) {
    bool accelerator = d < static_cast<std::size_t>(graph.accelerators);
    std::size_t number = accelerator ? d + 1 : d + 1 - static_cast<std::size_t>(graph.accelerators);
    table.row({fmt::format("{} {}", accelerator ? "accelerator" : "CPU", number), std::to_string(count[d]),
               fmt::format("{:.4f}", loads.load[d]), fmt::format("{:.4g}", loads.bytes[d])});
  }
  return table.text({}, output_width());
}

// Everything on one accelerator, or on one CPU where there is none.
double on_one_device(const plan::OperatorGraph& graph) {
  plan::OperatorGraph roomy = graph;
  roomy.memory = std::numeric_limits<double>::infinity();
  plan::Loads found = plan::loads(roomy, std::vector<int>(graph.operators.size(), 0));
  return found.possible ? found.largest : std::numeric_limits<double>::infinity();
}

std::string summary(const NamedGraph& named, const plan::PlacementResult& result, const std::string& file) {
  Table table({{"split"}, {"largest load", Align::right}, {""}});
  auto row = [&](const char* name, double load, const std::string& note) {
    table.row({name, std::isfinite(load) ? fmt::format("{:.4f}", load) : "-", note});
  };
  row("all on one device", on_one_device(named.graph), "memory not looked at");
  row("contiguous", result.contiguous.largest,
      certificate(result.contiguous.largest, result.contiguous_bound, result.optimal));
  row("not contiguous", result.any.largest, certificate(result.any.largest, result.bound, false));
  row("lower bound", result.bound, "of any split");
  std::string ideals =
      result.ideals ? fmt::format("{} ideals", result.ideals) : "too many ideals: linear orders only";
  return fmt::format("{}  {} operators in {} pieces, {}, {} pairs looked at\n", file,
                     named.graph.operators.size(), result.pieces, ideals, result.pairs) +
         table.text({}, output_width());
}

std::string summary(const NamedGraph& named, const plan::LatencyResult& result, const std::string& file) {
  Table table({{"split"}, {"completion", Align::right}, {""}});
  auto row = [&](const char* name, double time, const std::string& note) {
    table.row({name, fmt::format("{:.4f}", time), note});
  };
  row("best sequence of blocks", result.sequential, "one after the other");
  row("best found", result.best.largest, certificate(result.best.largest, result.bound, false));
  row("lower bound", result.bound, "longest path, nothing transferred");
  return fmt::format("{}  {} operators in {} pieces, {} pairs looked at\n", file,
                     named.graph.operators.size(), result.pieces, result.pairs) +
         table.text({}, output_width());
}

Json document(const NamedGraph& named, const plan::LatencyResult& result, const std::string& file) {
  return {{"schema", "tailor/place/1"},
          {"workload", file},
          {"objective", "latency"},
          {"operators", named.graph.operators.size()},
          {"pieces", result.pieces},
          {"ideals", result.ideals ? Json(result.ideals) : Json(nullptr)},
          {"pairs", result.pairs},
          {"sequential", result.sequential},
          {"any", placement_json(named, result.best)},
          {"bound", result.bound}};
}

Json document(const NamedGraph& named, const plan::PlacementResult& result, const std::string& file) {
  return {{"schema", "tailor/place/1"},
          {"workload", file},
          {"objective", "throughput"},
          {"operators", named.graph.operators.size()},
          {"pieces", result.pieces},
          {"ideals", result.ideals ? Json(result.ideals) : Json(nullptr)},
          {"pairs", result.pairs},
          {"contiguous", placement_json(named, result.contiguous)},
          {"optimal", result.optimal},
          {"contiguous_bound", result.contiguous_bound},
          {"any", placement_json(named, result.any)},
          {"bound", result.bound}};
}

void change_devices(plan::OperatorGraph& graph, const PlaceArguments& a) {
  if (a.accelerators >= 0) graph.accelerators = a.accelerators;
  if (a.cpus >= 0) graph.cpus = a.cpus;
  if (a.memory >= 0) graph.memory = a.memory;
}

// The result of either objective, printed.
template <class Result>
void show(const Global& global, const NamedGraph& named, const Result& result,
          const plan::Placement& placement, const std::string& file) {
  if (global.json) return print_document(document(named, result, file));
  print(summary(named, result, file) + "\n" + devices_text(named, placement));
}

void run(const Global& global, const NamedGraph& named, bool latency, const plan::PlacementOptions& options,
         const std::string& file) {
  if (latency) {
    plan::LatencyResult result = plan::place_for_latency(named.graph, options);
    show(global, named, result, result.best, file);
  } else {
    plan::PlacementResult result = plan::place_for_throughput(named.graph, options);
    show(global, named, result, result.any, file);
  }
}

void check_arguments(const PlaceArguments& a) {
  if (a.steps < 0) throw Error(Code::bad_value, "--steps must not be negative", "--steps");
  if (a.objective != "throughput" && a.objective != "latency")
    throw Error(Code::unknown_name, fmt::format("there is no objective '{}'", a.objective), "--objective",
                "write throughput or latency");
}

void check_is_workload(const PlaceArguments& a) {
  if (!a.out.empty() || !a.shapes.empty() || a.stages != PlaceArguments().stages)
    throw Error(Code::usage, "-o, --shape and --stages are of models", a.workload.string(),
                "a workload file has no model that could be cut into stages; give a .onnx file");
}

}  // namespace

int place(const Global& global, const PlaceArguments& arguments) {
  check_arguments(arguments);
  if (arguments.workload.extension() == ".onnx") return place_model(global, arguments);
  check_is_workload(arguments);
  NamedGraph named = pipeline::read_operator_graph(arguments.workload);
  change_devices(named.graph, arguments);
  plan::PlacementOptions options;
  options.search_steps = static_cast<std::uint64_t>(arguments.steps), options.seed = arguments.seed;
  try {
    run(global, named, arguments.objective == "latency", options, arguments.workload.string());
  } catch (const Error& error) {
    throw error.at(arguments.workload.string());
  }
  return 0;
}

}  // namespace tailor::app

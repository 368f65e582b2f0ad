// bench_scale FOLDER [MB [EXTERNAL_MB [NODES]]]: time and peak memory of the straight line read, infer, group, cut of one
// group, write, on models made in FOLDER: one of MB megabytes (default 100 and 500), one of EXTERNAL_MB of external data
// (3000), one of NODES nodes (20000). Each runs in a process of its own, so that its peak is its own. Peaks are VmHWM:
// pages of mapped files count.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/onnx.h"
#include "tailor/rewrite/cut.h"
#include "tests/scale/memory.h"
#include "tests/scale/models.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>

namespace tailor {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double mega(std::size_t bytes) { return static_cast<double>(bytes) * 1e-6; }

template <class Work>
auto timed(double& seconds, Work work) {
  auto start = Clock::now();
  auto result = work();
  seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return result;
}

// Bytes of the constants that the cut of `group` slices.
std::size_t changing(const graph::Model& model, const graph::Channels& channels, int group) {
  std::map<std::string, std::size_t> sizes;
  for (const graph::Binding& binding : channels.bindings)
    for (auto [g, positions] : channels.composition(binding.label))
      if (const std::string& name = model.graph.nodes[static_cast<std::size_t>(binding.node)]
                                        .inputs[static_cast<std::size_t>(binding.input)];
          g == group && positions > 0 && model.graph.initializers.contains(name))
        sizes[name] = model.graph.initializers.at(name).data.size();
  std::size_t sum = 0;
  for (const auto& [name, size] : sizes) sum += size;
  return sum;
}

void report_copy(const fs::path& from, const fs::path& to) {
  double read = 0, write = 0;
  graph::Model model = timed(read, [&] { return onnx::read(from); });
  timed(write, [&] { return onnx::write(model, to), 0; });
  fmt::print("  read {:.3f} s, write {:.3f} s, together {:.3f} s, peak {:.1f} MB\n", read, write,
             read + write, mega(testing::peak_memory()));
}

void report_cut(const fs::path& from, const fs::path& to, const std::string& value) {
  double read = 0, infer = 0, group_s = 0, cut = 0, write = 0;
  graph::Model model = timed(read, [&] { return onnx::read(from); });
  graph::Shapes shapes = timed(infer, [&] { return graph::infer_shapes(model); });
  graph::Channels channels = timed(group_s, [&] { return graph::channel_groups(model, shapes); });
  int group = channels.atoms[static_cast<std::size_t>(channels.find(value, 1)->at(0))].group;
  rewrite::Cut what;
  for (int unit = 0; unit < channels.groups[static_cast<std::size_t>(group)].width(); ++unit)
    if (unit % 4) what.kept[group].push_back(unit);
  std::size_t weights = changing(model, channels, group);
  graph::Model small = timed(cut, [&] { return rewrite::cut(model, shapes, channels, what); });
  timed(write, [&] { return onnx::write(small, to), 0; });
  fmt::print("  read {:.3f} s, infer {:.3f} s, group {:.3f} s, cut {:.3f} s, write {:.3f} s: {:.3f} s\n",
             read, infer, group_s, cut, write, read + infer + group_s + cut + write);
  fmt::print("  the cut changes {:.1f} MB of weights; peak {:.1f} MB\n", mega(weights),
             mega(testing::peak_memory()));
}

// `work` in a child; its peak does not hold what made the model.
void apart(const std::function<void()>& work) {
  std::fflush(stdout);
  pid_t child = ::fork();
  if (child == 0) {
    int code = 1;
    try {
      testing::reset_peak_memory();
      work();
      code = 0;
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    std::fflush(stdout);
    ::_exit(code);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) < 0 || status != 0) std::exit(1);
}

void run_case(const fs::path& folder, const std::string& title, const std::function<graph::Model()>& make,
              const std::string& value, std::size_t most_inline) {
  fs::path from = folder / "in.onnx", to = folder / "out.onnx";
  std::size_t nodes = 0;
  apart([&] { onnx::Draft(make(), from, most_inline).commit(); });
  nodes = onnx::read(from).graph.nodes.size();
  fmt::print("{}: {} nodes, {:.1f} MB\n", title, nodes, mega(onnx::stored_bytes(onnx::read(from))));
  apart([&] { report_copy(from, to); });
  onnx::remove_written(to);
  apart([&] { report_cut(from, to, value); });
  onnx::remove_written(to), onnx::remove_written(from);
}

int run(int count, char** arguments) {
  if (count < 2) return std::fputs("usage: bench_scale FOLDER [MB [EXTERNAL_MB [NODES]]]\n", stderr), 2;
  auto number = [&](int at, int otherwise) { return count > at ? std::atoi(arguments[at]) : otherwise; };
  const fs::path folder = arguments[1];
  const int external = number(3, 3000), nodes = number(4, 20000);
  std::vector<int> sizes = {100, 500};
  if (count > 2) sizes = {number(2, 0)};
  apart([] { fmt::print("an empty process: peak {:.1f} MB\n", mega(testing::peak_memory())); });
  for (int mb : sizes)  // a layer of 1024 channels has 4.2 MB
    if (mb > 0)
      run_case(
          folder, "weights inside", [&] { return testing::chain(mb * 10 / 42 + 1, 1024); }, "a3",
          onnx::kMostBytes);
  if (external > 0)
    run_case(
        folder, "external data", [&] { return testing::chain(external * 10 / 168 + 1, 2048); }, "a3", 0);
  if (nodes > 0)
    run_case(
        folder, "many nodes", [&] { return testing::residual_net(nodes, 16); }, "c0", onnx::kMostBytes);
  return 0;
}

}  // namespace
}  // namespace tailor

int main(int count, char** arguments) {
  try {
    return tailor::run(count, arguments);
  } catch (const tailor::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

#include "tests/fuzz/straight_line.h"

#include "tailor/base/error.h"
#include "tailor/base/random.h"
#include "tailor/latency/extract.h"
#include "tailor/onnx/onnx.h"
#include "tailor/rewrite/branch.h"
#include "tailor/rewrite/cut.h"
#include "tailor/rewrite/tokens.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::fuzz {
namespace {

constexpr std::size_t kAllowed = std::size_t{64} << 20;  // bytes, besides three times the file

// Between one unit and all, of one group or of each.
rewrite::Cut random_cut(const graph::Channels& channels, Random& random) {
  rewrite::Cut what;
  std::vector<int> groups;
  for (std::size_t g = 0; g < channels.groups.size(); ++g)
    if (channels.groups[g].changeable() && channels.groups[g].width() > 1)
      groups.push_back(static_cast<int>(g));
  if (!groups.empty() && random.below(2)) groups = {groups[random.below(groups.size())]};
  for (int g : groups) {
    std::vector<int>& kept = what.kept[g];
    for (int unit = 0; unit < channels.groups[static_cast<std::size_t>(g)].width(); ++unit)
      if (random.below(3)) kept.push_back(unit);
    if (kept.empty()) kept.push_back(0);
  }
  return what;
}

bool may_be_external(std::string_view bytes) { return bytes.find("location") != std::string_view::npos; }

struct Run {
  const Bytes& file;
  Random random;
  Outcome outcome = {};

  void fail(const std::string& what) {
    if (outcome.finding.empty()) outcome.finding = what;
  }

  void all() {
    graph::Model model = onnx::parse(file, "/nonexistent");
    if (!may_be_external(file.view()) && onnx::serialize_to_string(model) != file.view())
      fail("an untouched model is not written back as it was");
    graph::Shapes shapes = graph::infer_shapes(model);
    outcome.reached = Reached::inferred;
    for (const auto& node : model.graph.nodes)
      if (graph::multiply_accumulates(node, shapes) < -1) fail("a negative number of multiplications");
    graph::Channels channels = graph::channel_groups(model, shapes);
    outcome.reached = Reached::grouped;
    leave_tokens_out(model, shapes);
    latency::extract_workloads(model, shapes);
    rewrite::Cut what = random_cut(channels, random);
    if (what.kept.empty()) return;
    graph::Model small = rewrite::cut(model, shapes, channels, what);
    outcome.reached = Reached::cut;
    read_again(small);
    onnx::serialize(rewrite::mask(model, shapes, channels, what));
  }

  // token_sites tries what it finds.
  void leave_tokens_out(const graph::Model& model, const graph::Shapes& shapes) {
    std::vector<std::string> sums;
    for (const rewrite::Branch& branch : rewrite::residual_branches(model, shapes))
      sums.push_back(branch.name);
    for (const graph::TokenFlow& flow : rewrite::token_sites(model, shapes, sums).flows)
      if (!flow.possible()) fail("a site where tokens cannot go");
  }

  void read_again(const graph::Model& small) {
    try {
      onnx::parse(Bytes::own(onnx::serialize_to_string(small)), "/nonexistent");
    } catch (const Error& error) {
      fail(fmt::format("the result of a cut cannot be read: {}", error.what()));
    }
  }
};

}  // namespace

Outcome straight_line(const Bytes& file, std::uint64_t seed) {
  std::size_t before = allocated();
  reset_most_allocated();
  Run run{file, Random(seed)};
  try {
    run.all();
  } catch (const Error& error) {
    run.outcome.refusal = spelling(error.code());
    if (error.code() == Code::bug) run.fail(fmt::format("a bug: {}", error.what()));
  } catch (const std::exception& error) {
    run.fail(fmt::format("not a tailor::Error: {}", error.what()));
  }
  std::size_t used = most_allocated() - std::min(before, most_allocated());
  if (used > kAllowed + 3 * file.size())
    run.fail(fmt::format("{} MB of memory for a file of {} kB", used >> 20, file.size() >> 10));
  return run.outcome;
}

}  // namespace tailor::fuzz

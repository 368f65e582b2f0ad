// The pruned model against the masked one, in the runtime: every changeable group of every real model.
#include "tailor/rewrite/cut.h"

#include "tests/running.h"

#include <set>

namespace tailor::rewrite {
namespace {

using graph::Channels;
using graph::Model;
using graph::Shapes;

// Between one unit and all but one.
std::vector<int> random_units(int width, Random& random) {
  std::vector<int> units(static_cast<std::size_t>(width));
  for (int i = 0; i < width; ++i) units[static_cast<std::size_t>(i)] = i;
  random.shuffle(units);
  units.resize(1 + random.below(static_cast<std::size_t>(width - 1)));
  std::sort(units.begin(), units.end());
  return units;
}

struct Known {
  Model model;
  Shapes shapes;
  Channels channels;
  runtime::NamedTensors inputs;
};

Known known(Model model, std::int64_t free_size) {
  Known k;
  k.shapes = graph::infer_shapes(model, testing::fill_free(model, free_size));
  k.channels = graph::channel_groups(model, k.shapes);
  k.inputs = testing::random_inputs(model, k.shapes, 3);
  k.model = std::move(model);
  return k;
}

std::vector<int> changeable(const Channels& channels) {
  std::vector<int> list;
  for (std::size_t g = 0; g < channels.groups.size(); ++g)
    if (channels.groups[g].changeable() && channels.groups[g].width() > 1)
      list.push_back(static_cast<int>(g));
  return list;
}

Cut random_cut(const Channels& channels, const std::vector<int>& groups, std::uint64_t seed) {
  Random random(seed);
  Cut what;
  for (int g : groups) what.kept[g] = random_units(channels.groups[g].width(), random);
  return what;
}

double apart(const Known& k, const Cut& what) {
  Model small = cut(k.model, k.shapes, k.channels, what);
  return testing::difference(testing::run_model(mask(k.model, k.shapes, k.channels, what), k.inputs),
                             testing::run_model(small, k.inputs));
}

struct Count {
  int groups = 0, telling = 0;  // telling: the mask does change the outputs
};

// Each group alone.
Count expect_cuts_like_masks(const std::string& name, std::int64_t free_size, double tolerance) {
  SCOPED_TRACE(name);
  Known k = known(onnx::read(testing::real_model(name)), free_size);
  Count count;
  if (changeable(k.channels).empty()) return count;
  runtime::NamedTensors whole = testing::run_model(k.model, k.inputs);
  for (int g : changeable(k.channels)) try {
      Cut what = random_cut(k.channels, {g}, static_cast<std::uint64_t>(g));
      runtime::NamedTensors masked = testing::run_model(mask(k.model, k.shapes, k.channels, what), k.inputs),
                            pruned = testing::run_model(cut(k.model, k.shapes, k.channels, what), k.inputs);
      EXPECT_LE(testing::difference(masked, pruned), tolerance) << k.channels.groups[g].name;
      ++count.groups, count.telling += testing::difference(masked, whole) > tolerance;
    } catch (const Error& e) {
      ADD_FAILURE() << k.channels.groups[g].name << ": " << e.what();
    }
  return count;
}

// Models that nobody can cut: their layers are hidden in bodies, behind recurrence, or not there at all.
const std::set<std::string> kUncut = {"silero_vad", "dtln_model_1", "tract_byte_sb_bidi_lstm"};

TEST(Cut, EveryGroupOfEveryRealModel) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  TAILOR_NEEDS_RUNNER();
  int groups = 0, telling = 0;
  for (const auto& path : testing::real_models()) {
    std::string name = path.stem().string();
    if (name == "espcn_x3_subpixel_quant" || name == "old_no_opset_super_resolution") continue;
    Count count = expect_cuts_like_masks(name, 96, name.ends_with("int8") ? 0 : 1e-4);
    EXPECT_EQ(count.groups == 0, kUncut.contains(name)) << name;
    groups += count.groups, telling += count.telling;
  }
  EXPECT_GT(groups, 500);
  EXPECT_GT(telling, groups * 9 / 10) << "cuts that change nothing prove nothing";
}

TEST(Cut, AllGroupsTogether) {
  TAILOR_NEEDS(testing::shared_data() / "onnx");
  TAILOR_NEEDS_RUNNER();
  for (const auto& path : testing::real_models()) {
    std::string name = path.stem().string();
    if (name == "espcn_x3_subpixel_quant" || name == "old_no_opset_super_resolution") continue;
    Known k = known(onnx::read(path), 64);
    EXPECT_LE(apart(k, random_cut(k.channels, changeable(k.channels), 5)), name.ends_with("int8") ? 0 : 1e-3)
        << name;
  }
}

}  // namespace
}  // namespace tailor::rewrite

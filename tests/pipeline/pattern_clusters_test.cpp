// Clusters from a file: which units are in them, in the present network's positions; that each keeps one; files that
// cannot be used.
#include "tailor/pipeline/pattern_clusters.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/pipeline/criterion.h"
#include "tests/rewrite/graphs.h"

#include <gtest/gtest.h>

#include <set>

namespace tailor::pipeline {
namespace {

Subject two_layers() {
  return make_subject(testing::graph_of({"Conv x 6x4x1x1 6 -> a", "Relu a -> r", "Conv r 5x6x1x1 -> y"},
                                        {graph::kUnknown, 4, 2, 2}),
                      {});
}

int group_of(const Subject& subject) {
  return subject.channels.atoms[static_cast<std::size_t>(subject.channels.find("r", 1)->front())].group;
}

const PatternClusters kClusters{{{"a", {0, 0, 1, 1, 0, -1}}}};

TEST(PatternClusters, AreThoseOfTheLayersThatMakeTheGroup) {
  const Subject s = two_layers();
  EXPECT_EQ(unit_clusters(s, group_of(s), kClusters, {}), (std::vector<int>{0, 0, 1, 1, 0, 2}))
      << "what is in none is alone";
  EXPECT_TRUE(unit_clusters(s, group_of(s), {{{"other", {0}}}}, {}).empty());
  EXPECT_THROW(unit_clusters(s, group_of(s), {{{"a", {0, 1}}}}, {}), Error);
}

TEST(PatternClusters, PositionsAreThoseOfTheOriginal) {
  const Subject original = two_layers();
  Surgery surgery;
  surgery.kept[group_of(original)] = {1, 3, 5};
  const Subject present = make_subject(apply(original, surgery), {});
  EXPECT_EQ(unit_clusters(present, group_of(present), kClusters, kept_values(original, surgery)),
            (std::vector<int>{0, 1, 2}));
}

// Before anything else goes, every cluster is down to its worthiest.
TEST(PatternClusters, WithGradientsTheWorthiestOfEachStay) {
  const Subject s = two_layers();
  GradientWorth worth;
  worth.taylor["r"] = {5, 1, 4, 3, 2, 0.5};
  Evidence evidence;
  evidence.worth = &worth, evidence.patterns = &kClusters;
  EXPECT_EQ(removal_order(s, group_of(s), Criterion::functionality, evidence),
            (std::vector<int>{1, 4, 3, 5, 2, 0}));
  EXPECT_EQ(removal_order(s, group_of(s), Criterion::taylor, evidence), (std::vector<int>{5, 1, 4, 3, 2, 0}))
      << "other criteria do not look at patterns";
}

TEST(PatternClusters, WithoutGradientsChannelsGoToTheirOwnCluster) {
  TAILOR_NEEDS_RUNNER();
  const Subject s = two_layers();
  const runtime::NamedTensors samples = testing::random_inputs(s.model, s.shapes, 4, 40);
  rewrite::Activations now(*testing::runner(), s.shapes, samples, 1, std::size_t{1} << 30);
  Evidence evidence;
  evidence.now = &now, evidence.patterns = &kClusters;
  const std::vector<int> order = removal_order(s, group_of(s), Criterion::functionality, evidence);
  const std::vector<int> cluster = unit_clusters(s, group_of(s), kClusters, {});
  std::set<int> last;
  for (std::size_t i = order.size() - 3; i < order.size(); ++i)
    last.insert(cluster[static_cast<std::size_t>(order[i])]);
  EXPECT_EQ(last, (std::set<int>{0, 1, 2}));
}

std::string document(const std::string& groups, const std::string& filters,
                     const std::string& sha256 = "aa") {
  return R"({"schema":"tailor/patterns/1","model":"m.onnx","sha256":")" + sha256 + R"(","groups":)" + groups +
         R"(,"layers":[{"layer":"conv","value":"a","filters":)" + filters + "}]}";
}

PatternClusters read(const std::string& text) {
  TemporaryFolder folder;
  const std::filesystem::path path = folder.fresh(".json");
  write_file(path, text);
  return read_pattern_clusters(path, "aa");
}

Code code_of(const std::string& text) {
  try {
    read(text);
  } catch (const Error& error) {
    return error.code();
  }
  return Code::bug;
}

TEST(PatternClusters, OfDifferentGroupsAreDifferent) {
  const PatternClusters found = read(
      document(R"([{"clusters":[0,1,0]},{"clusters":[0,-1]}])",
               R"([{"group":0,"unit":2},{"group":1,"unit":0},{"group":-1,"unit":7},{"group":1,"unit":1}])"));
  EXPECT_EQ(found.of_value.at("a"), (std::vector<int>{0, 3, -1, -1}));
}

TEST(PatternClusters, FilesAreChecked) {
  const std::string groups = R"([{"clusters":[0,1]}])", filters = R"([{"group":0,"unit":0}])";
  EXPECT_EQ(read(document(groups, filters)).of_value.at("a"), (std::vector<int>{0}));
  EXPECT_EQ(code_of(document(groups, filters, "bb")), Code::dataset_mismatch);
  for (const char* bad :
       {"7", "[7]", R"([{"clusters":7}])", R"([{"clusters":[2,0]}])", R"([{"clusters":[-2,0]}])",
        R"([{"clusters":[0.5,0]}])", R"([{"clusters":[1e300]}])", R"([{"clusters":["0"]}])"})
    EXPECT_EQ(code_of(document(bad, filters)), Code::bad_json) << bad;
  for (const char* bad :
       {"{}", "[7]", R"([{"group":1,"unit":0}])", R"([{"group":-2,"unit":0}])", R"([{"group":0,"unit":2}])",
        R"([{"group":0,"unit":-1}])", R"([{"unit":0}])", R"([{"group":99999999999,"unit":0}])"})
    EXPECT_EQ(code_of(document(groups, bad)), Code::bad_json) << bad;
  EXPECT_EQ(code_of("{"), Code::bad_json);
  EXPECT_EQ(code_of(R"({"schema":"tailor/worth/1"})"), Code::bad_json);
}

}  // namespace
}  // namespace tailor::pipeline

// plan apply: what the plan says and nothing else, or no file at all.
#include "tailor/pipeline/width_plan.h"
#include "tests/app/program.h"
#include "tests/app/schema_check.h"
#include "tests/running.h"

#include <nlohmann/json.hpp>

namespace tailor::testing {
namespace {

const std::string kModel = std::string(TAILOR_SOURCE_DIR) + "/demo/shapes.onnx";

class PlanApply : public ::testing::Test {
 protected:
  void SetUp() override { subject = pipeline::read_subject(kModel, {}); }

  // The first groups that can change, in the model's order.
  int changeable(int number) const {
    for (std::size_t g = 0; g < subject.channels.groups.size(); ++g)
      if (subject.channels.groups[g].changeable() && number-- == 0) return static_cast<int>(g);
    return -1;
  }
  // All units but the first `gone` of a group.
  std::vector<int> all_but(int group, int gone) const {
    std::vector<int> kept;
    for (int u = gone; u < subject.channels.groups[static_cast<std::size_t>(group)].width(); ++u)
      kept.push_back(u);
    return kept;
  }
  std::string plan(const pipeline::Surgery& surgery, const std::function<void(Json&)>& edit = {}) {
    Json json = to_json(pipeline::describe(subject, surgery));
    if (edit) edit(json);
    std::filesystem::path path = folder.fresh(".plan.json");
    write_file(path, json.dump());
    return path.string();
  }
  Finished apply(const std::string& plan, std::vector<std::string> more = {}) {
    std::vector<std::string> words = {"plan", "apply", plan, kModel, "-o", out().string()};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  void expect_refused(const std::string& plan, int exit, const std::string& code) {
    Finished finished = apply(plan);
    EXPECT_EQ(finished.exit, exit) << finished.err;
    EXPECT_NE(finished.err.find("error[" + code + "]"), std::string::npos) << finished.err;
    EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "out"));
  }
  std::filesystem::path out() {
    std::filesystem::create_directory(folder.path() / "out");
    return folder.path() / "out" / "applied.onnx";
  }
  TemporaryFolder folder;
  pipeline::Subject subject;
};

TEST(PlanOfTokens, IsShownComparedAndApplied) {
  const std::filesystem::path model = real_model("vit_cifar10_pgd_2_3_16");
  TAILOR_NEEDS(model);
  const pipeline::Subject subject = pipeline::read_subject(model, {});
  pipeline::Surgery surgery;
  surgery.tokens[subject.branches[1].name] = {1, {0, 2, 3}};
  TemporaryFolder folder;
  const std::filesystem::path plan = folder.fresh(".plan.json"), nothing = folder.fresh(".plan.json"),
                              out = folder.fresh(".onnx");
  write_file(plan, to_json(pipeline::describe(subject, surgery)).dump());
  write_file(nothing, to_json(pipeline::describe(subject, {})).dump());
  for (const std::string& line : violations(document(run({"schema", "plan"})),
                                            document(run({"plan", "show", plan.string(), "--json"}))))
    ADD_FAILURE() << line;
  EXPECT_NE(run({"plan", "show", plan.string()}).out.find("tokens behind " + subject.branches[1].name),
            std::string::npos);
  EXPECT_NE(run({"plan", "diff", nothing.string(), plan.string()}).out.find("5 -> 3"), std::string::npos);
  const Finished applied = run({"plan", "apply", plan.string(), model.string(), "-o", out.string()});
  ASSERT_EQ(applied.exit, 0) << applied.err;
  EXPECT_EQ(map_file(out).view(), onnx::serialize_to_string(pipeline::apply(subject, surgery)));
}

TEST_F(PlanApply, CutsDropsAndWidens) {
  pipeline::Surgery surgery;
  surgery.kept[changeable(1)] = all_but(changeable(1), 3);
  surgery.added[changeable(1)] = 2;
  surgery.kept[changeable(3)] = all_but(changeable(3), 4);
  surgery.dropped = {subject.branches.front().name};
  Finished finished = apply(plan(surgery), {"--json"});
  ASSERT_EQ(finished.exit, 0) << finished.err;
  Json json = document(finished);
  for (const std::string& line : violations(document(run({"schema", "plan-apply"})), json))
    ADD_FAILURE() << line;
  EXPECT_LT(json["after"]["macs"], json["before"]["macs"]);
  graph::Model expected = final_form(subject, surgery, pipeline::apply(subject, surgery));
  EXPECT_EQ(map_file(out()).view(), onnx::serialize_to_string(expected)) << "the surgery and nothing else";
}

// What stays of a layer is what it was, bit by bit.
TEST_F(PlanApply, WeightsAndStatisticsStay) {
  int group = changeable(1);
  ASSERT_EQ(apply(plan({{{group, all_but(group, 3)}}, {}, {}})).exit, 0);
  graph::Model after = onnx::read(out());
  int compared = 0;
  for (const auto& [name, tensor] : after.graph.initializers) {
    const graph::Tensor& before = subject.model.graph.initializers.at(name);
    if (tensor.type != graph::DataType::f32) continue;
    std::vector<float> kept = tensor.values<float>(), all = before.values<float>();
    compared += kept.size() < all.size();
    std::size_t at = 0;
    for (float value : all) at += at < kept.size() && value == kept[at];
    EXPECT_EQ(at, kept.size()) << name << " is no part of what it was, in order";
  }
  EXPECT_GE(compared, 5) << "weights, normalisation, and the reader's weights";
}

TEST_F(PlanApply, WideningComputesTheSame) {
  TAILOR_NEEDS_RUNTIME();
  int group = changeable(1);
  ASSERT_EQ(apply(plan({{}, {{group, 5}}, {}})).exit, 0);
  auto inputs = random_inputs(subject.model, subject.shapes, 3, 4);
  EXPECT_LE(difference(run_model(subject.model, inputs), run_model(onnx::read(out()), inputs)), 1e-5);
}

TEST_F(PlanApply, ThePlanOfNothingGivesTheModel) {
  Finished finished = apply(plan({}));
  EXPECT_EQ(finished.exit, 0) << finished.err;
  EXPECT_NE(finished.out.find("nothing is changed"), std::string::npos) << finished.out;
  EXPECT_EQ(map_file(out()).view(), map_file(kModel).view());
}

TEST_F(PlanApply, RefusesPlansThatDoNotFit) {
  int group = changeable(1);
  pipeline::Surgery surgery{{{group, all_but(group, 3)}}, {}, {}};
  expect_refused(plan(surgery, [](Json& j) { j["model"]["sha256"] = "00"; }), 2, "E2107");
  expect_refused(plan(surgery, [](Json& j) { j["groups"][0]["before"] = 7; }), 3, "E3202");
  expect_refused(plan(surgery, [](Json& j) { j["groups"][0]["after"] = 7; }), 3, "E3202");
  expect_refused(plan(surgery, [](Json& j) { j["groups"][0]["group"] = 1000; }), 3, "E3202");
  expect_refused(plan(surgery, [](Json& j) { j["groups"][0]["kept"][0] = 0, j["groups"][0]["kept"][1] = 0; }),
                 3, "E3202");
  expect_refused(plan(surgery, [](Json& j) { j["dropped"] = {"no such branch"}; }), 3, "E3202");
  expect_refused(plan(surgery, [](Json& j) { j.erase("groups"); }), 2, "E2103");
}

TEST_F(PlanApply, WritesNothingWhereItMayNot) {
  std::string good = plan({});
  EXPECT_EQ(run({"plan", "apply", good, kModel, "-o", folder.path().string()}).exit, 8);
  EXPECT_EQ(run({"plan", "apply", good, kModel, "-o", good}).exit, 2);
  EXPECT_EQ(run({"plan", "apply", good, "-o", out().string()}).exit, 2);
  Finished guessed = run({"plan", "aply", good, kModel, "-o", out().string()});
  EXPECT_NE(guessed.err.find("did you mean 'apply'?"), std::string::npos) << guessed.err;
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "out"));
}

}  // namespace
}  // namespace tailor::testing

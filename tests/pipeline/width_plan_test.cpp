// Plans of every kind of decision, there and back; what a plan may not say.
#include "tailor/pipeline/width_plan.h"

#include "tailor/base/error.h"
#include "tests/testing.h"

#include <nlohmann/json.hpp>

#include <functional>

namespace tailor::pipeline {
namespace {

Subject resnet20() { return read_subject(testing::real_model("resnet20_cifar10"), {}); }

Surgery some_surgery(const Subject& subject) {
  Surgery surgery;
  for (int g = 0; g < static_cast<int>(subject.channels.groups.size()) && surgery.kept.empty(); ++g)
    if (subject.channels.groups[static_cast<std::size_t>(g)].changeable())
      surgery.kept[g] = {0, 2, 3}, surgery.added[g] = 5;
  surgery.dropped = {subject.branches[1].name};
  surgery.folded = {{subject.branches[2].name, 3}, {subject.branches[5].name, 1}};
  surgery.kernels[rewrite::folded_value(subject.branches[2], 3)] = {0, 1, 3, 1};
  surgery.kernels[rewrite::linear_layers(subject.model, subject.shapes)[1].y] = {1, 0, 2, 3};
  return surgery;
}

Code code_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.code();
  }
  return Code::bug;
}

TEST(WidthPlan, ThereAndBack) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  Subject read = resnet20();
  for (const Subject& subject : {read, with_shortcuts(read)}) {
    Surgery surgery = some_surgery(subject);
    WidthPlan plan = width_plan_from_json(to_json(describe(subject, surgery)), "here");
    Subject again = subject_of(read, plan);
    EXPECT_EQ(again.shortcuts, subject.shortcuts);
    EXPECT_EQ(surgery_of(again, plan), surgery);
  }
}

TEST(WidthPlan, ShortcutsPartTheStages) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  Subject read = resnet20(), with = with_shortcuts(read);
  EXPECT_EQ(with.shortcuts.size(), 2u);
  EXPECT_EQ(with.path, read.path);
  EXPECT_EQ(with.sha256(), read.sha256());
  EXPECT_EQ(with.branches.size(), read.branches.size());
  Subject again = with_shortcuts(with);
  EXPECT_TRUE(again.shortcuts == with.shortcuts) << "nothing is left to change";
}

TEST(WidthPlan, ShortcutsThatAreNotThereAreRefused) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  Subject read = resnet20();
  WidthPlan plan = describe(with_shortcuts(read), {});
  plan.shortcuts.push_back("nowhere");
  EXPECT_EQ(code_of([&] { subject_of(read, plan); }), Code::plan_mismatch);
  plan.shortcuts.clear(), plan.sha256 = "0";
  EXPECT_EQ(code_of([&] { subject_of(read, plan); }), Code::plan_mismatch);
}

Json kernel(const Json& after, const Json& at) {
  return {{"layer", "a"}, {"before", {3, 3}}, {"after", after}, {"at", at}};
}

TEST(WidthPlan, MalformedDecisionsAreRefused) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  Json good = to_json(describe(resnet20(), {}));
  for (const auto& [member, value] :
       std::vector<std::pair<std::string, Json>>{{"folded", {{"a", "3"}}},
                                                 {"folded", Json::array({1})},
                                                 {"shortcuts", "all"},
                                                 {"shortcuts", Json::array({1})},
                                                 {"kernels", {{"a", 1}}},
                                                 {"kernels", Json::array({kernel({3}, {0, 0})})},
                                                 {"kernels", Json::array({kernel({1, 1}, {0, -1})})},
                                                 {"kernels", Json::array({kernel({1, 1.5}, {0, 0})})},
                                                 {"kernels", Json::array({kernel({1, 1 << 20}, {0, 0})})},
                                                 {"dropped", Json::array({1})}}) {
    Json bad = good;
    bad[member] = value;
    EXPECT_EQ(code_of([&] { width_plan_from_json(bad, "here"); }), Code::bad_json) << member << value;
  }
}

TEST(WidthPlan, AKernelThatDoesNotFitIsRefused) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  Subject read = resnet20();
  Surgery surgery;
  surgery.folded[read.branches[0].name] = 7;
  EXPECT_EQ(code_of([&] { apply(read, surgery); }), Code::bad_cut);
  surgery.folded = {{"nowhere", 3}};
  EXPECT_EQ(code_of([&] { apply(read, surgery); }), Code::bad_cut);
  surgery.folded.clear(), surgery.kernels = {{"nowhere", {1, 1, 1, 1}}};
  EXPECT_EQ(code_of([&] { apply(read, surgery); }), Code::bad_cut);
  EXPECT_EQ(code_of([&] { describe(read, surgery); }), Code::bad_cut);
}

TEST(WidthPlan, AKernelThatWasAnotherIsRefused) {
  TAILOR_NEEDS(testing::real_model("resnet20_cifar10"));
  Subject read = resnet20();
  WidthPlan plan = describe(read, some_surgery(read));
  EXPECT_EQ(surgery_of(read, plan).kernels.size(), 2u);
  plan.kernels[0].kw_before = 5;
  EXPECT_EQ(code_of([&] { surgery_of(read, plan); }), Code::bad_cut);
}

}  // namespace
}  // namespace tailor::pipeline

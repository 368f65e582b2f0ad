// ResNet-50 as a mixed integer program for CBC: x[v][c] picks candidates, y[f][entry] >= 0 is the product of
// the picks of a pair, tied by its two marginals (Sherali-Adams; with binary x the products are exact). With
// all 30 widths these are 48,000 products, for which CBC takes some ten seconds.
#include "tailor/plan/width_planner.h"
#include "tests/plan/instances.h"

#include <Cbc_C_Interface.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace tailor::plan {
namespace {

// CBC prints two lines whatever its log level; standard output belongs to the test.
class QuietStdout {
 public:
  QuietStdout() : kept_(dup(STDOUT_FILENO)) {
    fflush(stdout);
    int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, STDOUT_FILENO);
    close(nowhere);
  }
  ~QuietStdout() {
    fflush(stdout);
    dup2(kept_, STDOUT_FILENO);
    close(kept_);
  }
  QuietStdout(const QuietStdout&) = delete;
  QuietStdout& operator=(const QuietStdout&) = delete;

 private:
  int kept_;
};

class Mip {
 public:
  Mip() : model_(Cbc_newModel(), Cbc_deleteModel) {}

  int column(double cost, double upper, bool integer) {
    Cbc_addCol(model_.get(), "", 0, upper, cost, integer, 0, nullptr, nullptr);
    return columns_++;
  }
  void row(std::vector<int> columns, std::vector<double> weights, char sense, double rhs) {
    Cbc_addRow(model_.get(), "", static_cast<int>(columns.size()), columns.data(), weights.data(), sense,
               rhs);
  }
  // Value of the optimum; -1 if it was not proven.
  double minimum() {
    Cbc_setParameter(model_.get(), "log", "0");
    Cbc_setParameter(model_.get(), "sec", "50");
    Cbc_setParameter(model_.get(), "ratioGap", "0");
    Cbc_setParameter(model_.get(), "allowableGap", "1e-9");
    QuietStdout quiet;
    Cbc_solve(model_.get());
    return Cbc_isProvenOptimal(model_.get()) ? Cbc_getObjValue(model_.get()) : -1;
  }

 private:
  std::unique_ptr<Cbc_Model, void (*)(Cbc_Model*)> model_;
  int columns_ = 0;
};

// Columns of one factor, one per entry; a factor of one variable needs none of its own.
std::vector<int> entry_columns(const Problem& problem, const Factor& factor,
                               const std::vector<std::vector<int>>& x, Mip& mip) {
  if (factor.scope.size() == 1) return x[factor.scope[0]];
  const int rows = problem.variables[factor.scope[0]].candidates,
            count = problem.variables[factor.scope[1]].candidates;
  std::vector<int> y;
  for (const Cost& cost : factor.table) y.push_back(mip.column(cost.loss, 1, false));
  auto tie = [&](int pick, int first, int step, int length) {
    std::vector<int> columns{pick};
    std::vector<double> weights{-1};
    for (int i = 0; i < length; ++i) columns.push_back(y[first + i * step]), weights.push_back(1);
    mip.row(columns, weights, 'E', 0);
  };
  for (int i = 0; i < rows; ++i) tie(x[factor.scope[0]][i], i * count, 1, count);
  for (int j = 0; j < count; ++j) tie(x[factor.scope[1]][j], j, count, rows);
  return y;
}

double minimum_by_cbc(const Problem& problem, double budget_us) {
  Mip mip;
  std::vector<std::vector<int>> x;
  for (std::size_t v = 0; v < problem.variables.size(); ++v) {
    std::vector<double> loss(problem.variables[v].candidates, 0.0);
    for (const Factor& factor : problem.factors)
      if (factor.scope == std::vector<int>{static_cast<int>(v)})
        for (std::size_t c = 0; c < loss.size(); ++c) loss[c] += factor.table[c].loss;
    x.emplace_back();
    for (double each : loss) x.back().push_back(mip.column(each, 1, true));
    mip.row(x.back(), std::vector<double>(loss.size(), 1.0), 'E', 1);
  }
  std::vector<int> columns;
  std::vector<double> latency;
  for (const Factor& factor : problem.factors) {
    std::vector<int> entries = entry_columns(problem, factor, x, mip);
    for (std::size_t e = 0; e < entries.size(); ++e)
      columns.push_back(entries[e]), latency.push_back(factor.table[e].latency_us);
  }
  // One weight per column: unary factors share the columns of their variable.
  std::vector<double> total(static_cast<std::size_t>(*std::max_element(columns.begin(), columns.end())) + 1,
                            0.0);
  for (std::size_t i = 0; i < columns.size(); ++i) total[columns[i]] += latency[i];
  std::vector<int> all(total.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
  mip.row(all, total, 'L', budget_us);
  return mip.minimum();
}

void expect_same_minimum(const Problem& problem, double share) {
  std::vector<int> widest;
  for (const Variable& variable : problem.variables) widest.push_back(variable.candidates - 1);
  const double budget = share * evaluate(problem, widest).latency_us;
  Front front = plan_widths(problem, {.budget_us = budget});
  ASSERT_FALSE(front.points.empty());
  ASSERT_EQ(front.points.back().certificate.quantum_us, 0);
  const double minimum = minimum_by_cbc(problem, budget);
  if (minimum < 0) GTEST_SKIP() << "CBC did not prove its optimum in time";
  EXPECT_NEAR(front.points.back().cost.loss, minimum, 1e-5 * minimum);
}

TEST(WidthPlannerAgainstCbc, ResNet50WithTenWidths) {
  for (double share : {0.5, 0.75, 0.9}) expect_same_minimum(testing::resnet50_problem(10, 7), share);
}

TEST(WidthPlannerAgainstCbc, ResNet50WithThirtyWidths) {
  expect_same_minimum(testing::resnet50_problem(30, 7), 0.75);
}

}  // namespace
}  // namespace tailor::plan

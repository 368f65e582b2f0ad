// The matrix of slowdowns on a bench of numbers: what is computed, what is thrown away, and which samples count.
#include "tailor/tune/interference.h"

#include "tailor/base/interrupt.h"
#include "tests/tune/spaces.h"

#include <set>

namespace tailor::tune {
namespace {

using testing::code_of;

// Kernel k takes 10 (k + 1) us alone and slowdown(own, other) times as long beside another. Every visit has a speed of
// its own, which must cancel. Where `drifts` says so the speed changes within the visit.
struct Numbers {
  std::function<double(std::size_t own, std::size_t other)> slowdown = [](std::size_t own,
                                                                          std::size_t other) {
    return 1 + 0.1 * static_cast<double>(own) + 0.012 * static_cast<double>(other);
  };
  std::function<bool(int visit)> drifts = [](int) { return false; };
  int sentinels = 0;              // calls
  std::vector<int> windows = {};  // 0: first alone, 1: second alone, 2: both
  std::set<std::pair<std::size_t, std::size_t>> pairs = {};

  int visit() const { return (sentinels - 1) / 2; }
  double speed() const { return 1 + 0.3 * (visit() % 7); }
  double time(std::size_t kernel) const {
    return (drifts(visit()) ? 1000 * speed() : speed()) * 10 * static_cast<double>(kernel + 1);
  }
  InterferenceBench bench() {
    return {[this](std::optional<std::size_t> first, std::optional<std::size_t> second) {
              windows.push_back(first && second ? 2 : first ? 0 : 1);
              if (first && second) pairs.emplace(*first, *second);
              WindowTimes times;
              auto samples = [](double us) { return std::vector<double>{3 * us, us, 0.5 * us}; };
              if (first) times[0] = samples(time(*first) * (second ? slowdown(*first, *second) : 1));
              if (second) times[1] = samples(time(*second) * (first ? 2 * slowdown(*second, *first) : 1));
              return times;
            },
            [this] {
              const bool after = sentinels++ % 2 == 1;
              const double us = after && drifts(visit()) ? 51.5 : 50;
              return std::array{50.0, us};
            }};
  }
};

TEST(Interference, EveryCellIsItsRatioInEachPart) {
  Numbers numbers;
  const InterferenceMatrix matrix = measure_interference(3, numbers.bench(), {.rounds = 6});
  ASSERT_EQ(matrix.cells.size(), 9u);
  EXPECT_EQ(matrix.rounds, 6);
  for (std::size_t a = 0; a < 3; ++a)
    for (std::size_t b = 0; b < 3; ++b) {
      const InterferenceCell& cell = matrix.at(a, b);
      EXPECT_EQ(cell.kept, 6);
      EXPECT_EQ(cell.thrown, 0);
      EXPECT_NEAR(cell.first.over_alone.ratio, numbers.slowdown(a, b), 1e-12);
      EXPECT_NEAR(cell.second.over_alone.ratio, 2 * numbers.slowdown(b, a), 1e-12);
      EXPECT_NEAR(cell.first.over_alone.lo, cell.first.over_alone.hi, 1e-12)
          << "the speed of a visit cancels";
      EXPECT_EQ(cell.second.over_alone.verdict, runtime::Verdict::slower);
      EXPECT_EQ(cell.first.over_alone.verdict,
                numbers.slowdown(a, b) > 1.02 ? runtime::Verdict::slower : runtime::Verdict::same);
    }
  EXPECT_NEAR(*matrix.percentile(100), 2 * numbers.slowdown(2, 2), 1e-12);
  EXPECT_EQ(matrix.at(0, 0).first.over_alone.ratio, *matrix.percentile(1));
}

TEST(Interference, VisitsAreInterleavedAndWhole) {
  Numbers numbers;
  measure_interference(4, numbers.bench(), {.rounds = 5});
  EXPECT_EQ(numbers.pairs.size(), 16u);
  ASSERT_EQ(numbers.windows.size(), 5u * 16 * 3);
  std::set<std::vector<int>> orders;
  for (std::size_t v = 0; v < numbers.windows.size(); v += 3) {
    std::vector<int> order(numbers.windows.begin() + static_cast<std::ptrdiff_t>(v),
                           numbers.windows.begin() + static_cast<std::ptrdiff_t>(v + 3));
    orders.insert(order);
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  }
  EXPECT_EQ(orders.size(), 6u) << "all orders of the three windows occur";
}

TEST(Interference, VisitsInWhichTheSpeedChangedAreThrownAway) {
  Numbers numbers;
  numbers.drifts = [](int visit) { return visit % 3 == 1; };
  const InterferenceMatrix matrix = measure_interference(2, numbers.bench(), {.rounds = 9});
  int thrown = 0;
  for (const InterferenceCell& cell : matrix.cells) {
    EXPECT_EQ(cell.kept, 9) << "they are visited again";
    thrown += cell.thrown;
    EXPECT_LT(cell.first.alone_us, 100) << "none of the spoilt times is among them";
  }
  EXPECT_GE(thrown, 4 * 9 / 3);
  EXPECT_NEAR(matrix.at(1, 0).first.over_alone.ratio, numbers.slowdown(1, 0), 1e-12);
}

TEST(Interference, WhatNeverHoldsStillHasNoNumber) {
  Numbers numbers;
  numbers.drifts = [](int) { return true; };
  const InterferenceMatrix matrix = measure_interference(2, numbers.bench(), {.rounds = 4, .patience = 2});
  for (const InterferenceCell& cell : matrix.cells) {
    EXPECT_EQ(cell.kept, 0);
    EXPECT_EQ(cell.thrown, 8);
    EXPECT_EQ(cell.first.over_alone.verdict, runtime::Verdict::ambiguous);
  }
  EXPECT_FALSE(matrix.percentile(100));
  Numbers wide;
  wide.drifts = numbers.drifts;
  EXPECT_EQ(measure_interference(1, wide.bench(), {.rounds = 5, .drift = 0.05}).cells[0].kept, 5)
      << "3 % is within 5 %";
}

TEST(Interference, UnknownSentinelsAndEmptyWindowsAreNoVisits) {
  Numbers numbers;
  InterferenceBench blind = numbers.bench();
  blind.sentinels = [] { return std::array{0.0, 50.0}; };
  EXPECT_EQ(measure_interference(1, blind, {.rounds = 5}).cells[0].kept, 0);
  InterferenceBench apart = numbers.bench();
  apart.run = [](std::optional<std::size_t> first, std::optional<std::size_t> second) {
    return first && second ? WindowTimes{} : WindowTimes{std::vector{1.0}, std::vector{1.0}};
  };
  EXPECT_EQ(measure_interference(1, apart, {.rounds = 5}).cells[0].kept, 0);
}

TEST(Interference, FewVisitsAreAmbiguousAndTimeEndsIt) {
  Numbers numbers;
  const InterferenceMatrix few = measure_interference(2, numbers.bench(), {.rounds = 4});
  EXPECT_EQ(few.at(1, 1).second.over_alone.verdict, runtime::Verdict::ambiguous);
  EXPECT_FALSE(few.percentile(100));
  Numbers again;
  EXPECT_EQ(measure_interference(2, again.bench(), {.rounds = 1000000, .seconds = 1e-9}).rounds, 1);
}

TEST(Interference, CtrlCEndsIt) {
  Numbers numbers;
  set_interrupted(true);
  EXPECT_EQ(code_of([&] { measure_interference(2, numbers.bench(), {}); }), Code::interrupted);
  set_interrupted(false);
}

// Against every pair of a sample and a window.
TEST(Interference, OnlySamplesOfBothCount) {
  Random random(5);
  for (int i = 0; i < 500; ++i) {
    std::array<std::vector<TimedSample>, 2> lists;
    for (auto& list : lists) {
      double now = random.uniform(0, 20);
      for (std::size_t n = random.below(8); n > 0; --n) {
        const double begin = now + random.uniform(0, 2), end = begin + random.uniform(0.1, 5);
        list.push_back({random.uniform(1, 9), begin, end});
        now = end;
      }
    }
    const WindowTimes times = samples_of_both(lists[0], lists[1]);
    for (std::size_t part = 0; part < 2; ++part) {
      std::vector<double> expected;
      const auto& other = lists[1 - part];
      for (const TimedSample& sample : lists[part]) {
        double first = 1e300, last = -1e300;
        for (const TimedSample& o : other)
          first = std::min(first, o.begin_us), last = std::max(last, o.end_us);
        if (first <= sample.begin_us && sample.end_us <= last) expected.push_back(sample.us);
      }
      EXPECT_EQ(times[part], expected);
    }
  }
}

}  // namespace
}  // namespace tailor::tune

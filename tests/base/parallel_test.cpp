#include "tailor/base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace tailor {
namespace {

TEST(Parallel, EveryPartOnce) {
  for (int count : {0, 1, 2, 7, 1000}) {
    std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
    in_parallel(count, [&](int i) { ++calls[static_cast<std::size_t>(i)]; });
    for (const std::atomic<int>& n : calls) EXPECT_EQ(n, 1) << count;
  }
}

TEST(Parallel, ThrowsWhatAPartThrowsOnceAllHaveEnded) {
  std::atomic<int> running = 0;
  try {
    in_parallel(100, [&](int i) {
      ++running;
      if (i == 3) {
        --running;
        throw std::runtime_error("third");
      }
      --running;
    });
    FAIL() << "nothing was thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "third");
  }
  EXPECT_EQ(running, 0);
}

TEST(Parallel, LeavesOutWhatHasNotBegunAfterAThrow) {
  std::atomic<int> begun = 0;
  EXPECT_THROW(in_parallel(1'000'000,
                           [&](int) {
                             ++begun;
                             throw std::runtime_error("all");
                           }),
               std::runtime_error);
  EXPECT_LE(begun, cores());
}

TEST(Parallel, AtLeastOneCore) {
  EXPECT_GE(cores(), 1);
  EXPECT_LE(cores(), 8);
}

}  // namespace
}  // namespace tailor

// Figures of drivers and descriptions, from one to the other.
#include "tailor/device/facts.h"

#include "tailor/base/error.h"
#include "tailor/device/occupancy.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tailor::device {
namespace {

TEST(Facts, GoThroughJsonAndBack) {
  for (const Device& d : known_devices()) {
    if (d.vendor != "nvidia") continue;
    const Facts facts = facts_of(d);
    const Facts again = facts_from_json(to_json(facts));
    EXPECT_EQ(to_json(again), to_json(facts));
    const Device made = describe(again);
    EXPECT_EQ(made.sm.count, d.sm.count) << d.name;
    EXPECT_EQ(made.sm.lanes, d.sm.lanes) << d.name;
    for (int threads : {64, 256, 1024})
      EXPECT_EQ(occupancy(made, {threads, 64, 16384}).blocks, occupancy(d, {threads, 64, 16384}).blocks)
          << d.name;
    EXPECT_NEAR(made.gbytes_per_s, d.gbytes_per_s, 0.01 * d.gbytes_per_s) << d.name;
    EXPECT_NO_THROW(parse_device(to_toml(made), "made")) << d.name;
  }
  EXPECT_THROW(facts_from_json(Json::object()), Error);
}

}  // namespace
}  // namespace tailor::device

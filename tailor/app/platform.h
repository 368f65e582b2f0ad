/// \file `tailor platform` and its verbs. Private.
#pragma once

#include "tailor/app/app.h"

namespace tailor::app {

struct PlatformArguments {
  std::string name;  // of show
};
struct PlatformCalibrateArguments {
  std::string platform, unit, precision = "f32";
  std::filesystem::path model, out;
  int layers = 50, rounds = 15;
  std::uint64_t seed = 0;
};
struct PlatformPredictArguments {
  std::string name, objective = "latency", layer;
  std::filesystem::path model;
  std::vector<std::string> shapes;
};

int platform_list(const Global& global, const PlatformArguments& arguments);
int platform_show(const Global& global, const PlatformArguments& arguments);
int platform_calibrate(const Global& global, const PlatformCalibrateArguments& arguments);
int platform_predict(const Global& global, const PlatformPredictArguments& arguments);

}  // namespace tailor::app

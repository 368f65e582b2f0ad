#include "tailor/tune/opencl_source.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/tune/kernel_source.h"
#include "tailor/tune/product.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace tailor::tune {

using latency::Kind;
using latency::Workload;

namespace {

constexpr std::int64_t kMostElements = std::int64_t{1} << 28;

std::int64_t up(std::int64_t value, std::int64_t unit) { return (value + unit - 1) / unit; }

std::int64_t bounded(const Json& json, const char* key, std::int64_t high, const std::string& place) {
  const std::int64_t value = integer(json, key, place);
  if (value < 1 || value > high)
    throw Error(Code::bad_json, fmt::format("\"{}\" must be 1 to {}", key, high), place);
  return value;
}

bool padded(const Workload& w) { return w.kind == Kind::conv && (w.pt || w.pl || w.pb || w.pr); }

// Floats of the image with its border; 0: it is read as it is.
std::int64_t padded_image(const Workload& w) {
  return padded(w) ? w.mb * w.ic * (w.ih + w.pt + w.pb) * (w.iw + w.pl + w.pr) : 0;
}

// Registers and floats of each that a work-item may fill. Of processors with 512 bits it is 32, else 16; of others there
// is no telling, and 128 floats are seldom too many.
struct Registers {
  std::int64_t count, floats;
};
Registers registers_of(const OpenClDevice& device) {
  if (!device.processor) return {32, 4};
  return {device.vector_floats >= 16 ? 32 : 16, device.vector_floats};
}

// The sizes that follow from a configuration.
struct Cut {
  std::int64_t mr, nr, wm, wn, tall, wide;  // tall, wide: work-items, whole groups
};
Cut cut_of(const Product& p, const Space& space, const Configuration& c) {
  Cut cut{setting(space, c, "mr"),
          setting(space, c, "nv") * setting(space, c, "vl"),
          setting(space, c, "wm"),
          setting(space, c, "wn"),
          0,
          0};
  cut.tall = up(p.m, cut.mr * cut.wm) * cut.wm, cut.wide = up(p.n, cut.nr * cut.wn) * cut.wn;
  return cut;
}

// The text's first line.
Json launches(const Workload& w, const Cut& cut, bool swapped) {
  const Product p = product_of(w);
  const bool conv = w.kind == Kind::conv;
  auto ordered = [&](std::int64_t rows, std::int64_t columns, std::int64_t last) {
    return swapped ? Json{columns, rows, last} : Json{rows, columns, last};
  };
  const std::int64_t panels = conv ? cut.tall : cut.wide;
  Json json = {{"packed", panels * p.k * (conv ? cut.mr : cut.nr)},
               {"scratch", padded_image(w) + (conv ? p.k : 0)},
               {"prepare", {{{"kernel", "pack"}, {"global", {panels, p.k}}}}},
               {"run", Json::array()}};
  if (conv) json["prepare"].push_back({{"kernel", "taps"}, {"global", {p.k}}});
  if (padded(w)) json["run"].push_back({{"kernel", "pad"}, {"global", {w.mb * w.ic * (w.ih + w.pt + w.pb)}}});
  json["run"].push_back({{"kernel", "product"},
                         {"global", ordered(cut.tall, cut.wide, p.images)},
                         {"local", ordered(cut.wm, cut.wn, 1)}});
  return json;
}

}  // namespace

OpenClDevice opencl_device_from(const Json& json, const std::string& place) {
  OpenClDevice device;
  device.name = text(json, "name", place), device.platform = text(json, "platform", place);
  device.version = text(json, "version", place), device.driver = text(json, "driver", place);
  device.processor = boolean(json, "processor", place), device.by_counts = boolean(json, "by_counts", place);
  device.units = static_cast<int>(bounded(json, "units", 1 << 20, place));
  device.vector_floats = static_cast<int>(bounded(json, "vector_floats", 64, place));
  device.group = bounded(json, "group", 1 << 20, place);
  device.local_bytes =
      std::clamp(integer(json, "local_bytes", place), std::int64_t{0}, std::int64_t{1} << 40);
  return device;
}

std::string no_opencl_kernel(const Workload& w) {
  if (std::string reason = no_kernel(w); !reason.empty()) return reason;
  const Product p = product_of(w);
  const bool large = p.images > kMostElements / (p.m * p.n) ||
                     (w.kind == Kind::conv && padded_image(w) + p.k > kMostElements) ||
                     p.m * p.k * 2 > kMostElements ||
                     p.k * p.n * 2 > kMostElements;  // whole tiles: at most twice
  return large ? "tensors of more than 2^28 elements" : "";
}

Space opencl_space(const Workload& workload, const OpenClDevice& device) {
  TAILOR_CHECK(no_opencl_kernel(workload).empty());
  const Product p = product_of(workload);
  const Registers registers = registers_of(device);
  auto numbers = [](const std::vector<std::int64_t>& list) {
    return std::vector<Value>(list.begin(), list.end());
  };
  std::vector<Parameter> parameters = {{"mr", numbers({1, 2, 3, 4, 5, 6, 8, 10, 12, 14})},
                                       {"nv", numbers({1, 2, 3, 4, 6})},
                                       {"vl", numbers({4, 8, 16})},
                                       {"unroll", numbers({1, 2, 4})},
                                       {"wm", numbers({1, 2, 4, 8, 16})},
                                       {"wn", numbers({1, 2, 4, 8, 16})},
                                       {"stage", numbers({0, 1})},
                                       {"kc", sizes_up_to({32, 64, 128, 256, 512}, p.k)},
                                       {"order", numbers({0, 1})}};
  const char* shared = workload.kind == Kind::conv ? "wn * nv * vl" : "wm * mr";
  return Space(
      std::move(parameters),
      std::vector<std::string>{
          fmt::format("mr * nv + nv + 1 <= {}",
                      registers.count),  // accumulators, one row of right, one of left
          fmt::format("(mr * nv + nv + 1) * vl <= {}", registers.count * registers.floats),
          fmt::format("mr == 1 or mr <= {}", p.m), fmt::format("vl == 4 or vl < {}", 2 * p.n),
          fmt::format("nv == 1 or (nv - 1) * vl < {}", p.n), fmt::format("wm * wn <= {}", device.group),
          fmt::format("wm == 1 or (wm - 1) * mr < {}", p.m),
          fmt::format("wn == 1 or (wn - 1) * nv * vl < {}", p.n),
          fmt::format("stage == 0 or 4 * {} * kc <= {}", shared, device.local_bytes)});
}

std::string opencl_source(const Workload& workload, const Space& space, const Configuration& configuration) {
  const Cut cut = cut_of(product_of(workload), space, configuration);
  auto chosen = [&](std::string_view name) { return setting(space, configuration, name); };
  const bool conv = workload.kind == Kind::conv;
  const std::int64_t stage = (conv ? cut.wn * cut.nr : cut.wm * cut.mr) * chosen("kc");
  std::string text = "// tailor " + to_line(launches(workload, cut, chosen("order") == 1)) + "\n";
  text += defines(constants_of(workload), "");
  auto add = [&](const char* name, std::int64_t number) {
    text += fmt::format("#define {} {}\n", name, number);
  };
  add("MR", cut.mr), add("NV", chosen("nv")), add("VL", chosen("vl")), add("UNROLL", chosen("unroll"));
  add("WM", cut.wm), add("WN", cut.wn), add("STAGE", chosen("stage")), add("KC", chosen("kc"));
  add("ORDER", chosen("order")), add("STAGE_FLOATS", stage), add("IMAGE", padded_image(workload));
  return text + std::string(opencl_texts().front().second);
}

std::string opencl_hash() { return sha256(opencl_texts().front().second); }

}  // namespace tailor::tune

// parse_device: one function per table of the file. find_device: presets by name, else a file.
#include "tailor/device/device.h"

#include "tailor/base/error.h"
#include "tailor/base/text.h"
#include "tailor/device/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

namespace tailor::device {
namespace {

constexpr const char* kSchema = "tailor/device/1";
constexpr const char* kHelp = "tailor devices show a100 prints a whole description";
const std::set<std::string, std::less<>> kPrecisions = {"f32", "tf32", "f16", "bf16", "i8"};

// A table of a number for each precision that it names.
std::map<std::string, double> precisions(Settings table, double least, double most) {
  std::map<std::string, double> values;
  for (const std::string& key : table.keys()) {
    if (!kPrecisions.contains(key))
      table.fail(fmt::format("'{}' is no precision (f32, tf32, f16, bf16, i8)", key), key);
    values[key] = table.need_number(key, least, most);
  }
  return values;
}

Multiprocessors multiprocessors(Settings r) {
  auto small = [&r](const char* key, int least, int most) {
    return static_cast<int>(r.need_integer(key, least, most));
  };
  Multiprocessors sm;
  sm.count = small("count", 1, 4096), sm.lanes = small("lanes", 1, 4096);
  sm.threads = small("threads", 32, 65536), sm.blocks = small("blocks", 1, 4096);
  sm.warp = small("warp", 1, 128);
  sm.registers = small("registers", 1, 1 << 24);
  sm.registers_per_block = small("registers_per_block", 1, 1 << 24);
  sm.shared_bytes = r.need_integer("shared_bytes", 0, 1 << 26);
  sm.shared_bytes_per_block = r.need_integer("shared_bytes_per_block", 0, 1 << 26);
  sm.shared_bytes_reserved = r.need_integer("shared_bytes_reserved", 0, 1 << 20);
  r.done();
  return sm;
}

void memory(Settings r, Device& device) {
  device.gbytes_per_s = r.need_number("gbytes_per_s", 0.1, 1e6),
  device.gbytes = r.need_number("gbytes", 0.001, 1e6);
  device.l2_mbytes = r.need_number("l2_mbytes", 0, 1e6);
  r.done();
}

bool is_name(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

std::string short_text(Settings& r, const char* key) {
  std::string text = r.need_text(key);
  if (text.size() > 200) r.fail(fmt::format("'{}' is longer than 200 bytes", key), key);
  return text;
}

void identity(Settings& r, Device& device) {
  if (r.need_text("schema") != kSchema) r.fail(fmt::format("the schema must be '{}'", kSchema), "schema");
  device.name = short_text(r, "name"), device.title = short_text(r, "title");
  device.vendor = short_text(r, "vendor"), device.architecture = short_text(r, "architecture");
  if (!is_name(device.name)) r.fail("'name' must be of a-z, 0-9, _ and -", "name");
  if (device.vendor != "nvidia" && device.vendor != "amd") r.fail("'vendor' must be nvidia or amd", "vendor");
}

std::string precisions_text(const char* table, const std::map<std::string, double>& values) {
  if (values.empty()) return {};
  std::string text = fmt::format("\n[{}]\n", table);
  for (const auto& [precision, value] : values) text += fmt::format("{} = {}\n", precision, value);
  return text;
}

}  // namespace

namespace {

Device read(Settings r) {
  Device device;
  identity(r, device);
  device.clock_mhz = r.need_number("clock_mhz", 1, 1e5),
  device.launch_us = r.need_number("launch_us", 0, 1e4);
  device.sm = multiprocessors(r.need_table("multiprocessors"));
  memory(r.need_table("memory"), device);
  Settings peaks = r.need_table("peak_tflops");
  device.peak_tflops = precisions(peaks, 1e-6, 1e6);
  if (!device.peak_tflops.contains("f32")) peaks.fail("'f32' is missing");
  if (auto work = r.table("work")) device.work = precisions(*std::move(work), 0.1, 100);
  if (auto error = r.table("error")) device.error = precisions(*std::move(error), 0, 10);
  r.done();
  return device;
}

}  // namespace

Device parse_device(std::string_view text, const std::string& place) {
  return read(parse_settings(text, place, kHelp));
}

std::string to_toml(const Device& d) {
  const Multiprocessors& sm = d.sm;
  std::string text = fmt::format(
      "schema = \"{}\"\nname = {}\ntitle = {}\nvendor = {}\narchitecture = {}\nclock_mhz = {}\nlaunch_us = "
      "{}\n",
      kSchema, quoted(d.name), quoted(d.title), quoted(d.vendor), quoted(d.architecture), d.clock_mhz,
      d.launch_us);
  text += fmt::format(
      "\n[multiprocessors]\ncount = {}\nlanes = {}\nthreads = {}\nblocks = {}\nwarp = {}\nregisters = {}\n"
      "registers_per_block = {}\nshared_bytes = {}\nshared_bytes_per_block = {}\nshared_bytes_reserved = "
      "{}\n",
      sm.count, sm.lanes, sm.threads, sm.blocks, sm.warp, sm.registers, sm.registers_per_block,
      sm.shared_bytes, sm.shared_bytes_per_block, sm.shared_bytes_reserved);
  text += fmt::format("\n[memory]\ngbytes_per_s = {}\ngbytes = {}\nl2_mbytes = {}\n", d.gbytes_per_s,
                      d.gbytes, d.l2_mbytes);
  return text + precisions_text("peak_tflops", d.peak_tflops) + precisions_text("work", d.work) +
         precisions_text("error", d.error);
}

const std::vector<Device>& known_devices() {
  static const std::vector<Device> devices = [] {
    std::vector<Device> list;
    for (const auto& [name, text] : device_texts())
      list.push_back(parse_device(text, fmt::format("devices/{}.toml", name)));
    return list;
  }();
  return devices;
}

Device find_device(const std::string& name) {
  for (const Device& device : known_devices())
    if (device.name == name) return device;
  if (name.find_first_of("./") != std::string::npos) return read(read_settings(name, kHelp));
  std::vector<std::string> names = {"cpu"};
  for (const Device& device : known_devices()) names.push_back(device.name);
  throw Error(Code::unknown_device, fmt::format("there is no device '{}'{}", name, did_you_mean(name, names)),
              "device", "tailor devices list names them; a file of your own is given by its path");
}

}  // namespace tailor::device

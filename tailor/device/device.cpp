// parse_device: the text as a table -> fields by name (Reader), each taken out of the table; what is left over at the
// end is an unknown key. find_device: presets by name, else a file.
#include "tailor/device/device.h"

#include "tailor/base/bytes.h"
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/text.h"

#include <fmt/format.h>

// Last of the libraries: it changes what assertions do.
#include "tailor/device/toml.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace tailor::device {
namespace {

constexpr std::size_t kMostBytes = std::size_t{1} << 20;
constexpr const char* kSchema = "tailor/device/1";
const std::set<std::string, std::less<>> kPrecisions = {"f32", "tf32", "f16", "bf16", "i8"};

[[noreturn]] void reject(const std::string& what, const std::string& place) {
  throw Error(Code::bad_toml, what, place, "tailor devices show a100 prints a whole description");
}

// One table of the file. Keys that nobody asked for are errors: a misspelt one must not be ignored.
class Reader {
 public:
  Reader(const toml::table& table, std::string place) : table_(table), place_(std::move(place)) {}

  double number(const char* key, double least, double most) {
    std::optional<double> value = node(key).value<double>();
    if (!value || !std::isfinite(*value) || *value < least || *value > most)
      reject(fmt::format("'{}' must be a number from {:g} to {:g}", key, least, most), place_);
    return *value;
  }
  std::int64_t integer(const char* key, std::int64_t least, std::int64_t most) {
    std::optional<std::int64_t> value = node(key).value_exact<std::int64_t>();
    if (!value || *value < least || *value > most)
      reject(fmt::format("'{}' must be a whole number from {} to {}", key, least, most), place_);
    return *value;
  }
  int small(const char* key, int least, int most) { return static_cast<int>(integer(key, least, most)); }
  std::string text(const char* key) {
    std::optional<std::string> value = node(key).value_exact<std::string>();
    if (!value || value->empty() || value->size() > 200)
      reject(fmt::format("'{}' must be a text", key), place_);
    return *value;
  }
  Reader table(const char* key) {
    const toml::table* inner = node(key).as_table();
    if (!inner) reject(fmt::format("'{}' must be a table", key), place_);
    return {*inner, place_ + " [" + key + "]"};
  }
  bool has(const char* key) const { return table_.contains(key); }
  std::map<std::string, double> precisions(double least, double most) {
    std::map<std::string, double> values;
    for (const auto& [key, value] : table_) {
      std::string name(key.str());
      if (!kPrecisions.contains(name))
        reject(fmt::format("'{}' is no precision (f32, tf32, f16, bf16, i8)", name), place_);
      values[name] = number(name.c_str(), least, most);
    }
    return values;
  }
  void done() const {
    for (const auto& [key, value] : table_)
      if (!asked_.contains(key.str()))
        reject(fmt::format("unknown key '{}'{}", key.str(),
                           did_you_mean(key.str(), {asked_.begin(), asked_.end()})),
               place_);
  }

 private:
  const toml::node& node(const char* key) {
    asked_.insert(key);
    const toml::node* found = table_.get(key);
    if (!found) reject(fmt::format("'{}' is missing", key), place_);
    return *found;
  }

  const toml::table& table_;
  std::string place_;
  std::set<std::string, std::less<>> asked_;
};

toml::table parse(std::string_view text, const std::string& place) {
  if (text.size() > kMostBytes) reject("larger than 1 MB", place);
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    reject(std::string(error.description()), fmt::format("{}:{}", place, error.source().begin.line));
  } catch (const std::logic_error& error) {
    reject(error.what(), place);
  }
}

Multiprocessors multiprocessors(Reader r) {
  Multiprocessors sm;
  sm.count = r.small("count", 1, 4096), sm.lanes = r.small("lanes", 1, 4096);
  sm.threads = r.small("threads", 32, 65536), sm.blocks = r.small("blocks", 1, 4096);
  sm.warp = r.small("warp", 1, 128);
  sm.registers = r.small("registers", 1, 1 << 24);
  sm.registers_per_block = r.small("registers_per_block", 1, 1 << 24);
  sm.shared_bytes = r.integer("shared_bytes", 0, 1 << 26);
  sm.shared_bytes_per_block = r.integer("shared_bytes_per_block", 0, 1 << 26);
  sm.shared_bytes_reserved = r.integer("shared_bytes_reserved", 0, 1 << 20);
  r.done();
  return sm;
}

void memory(Reader r, Device& device) {
  device.gbytes_per_s = r.number("gbytes_per_s", 0.1, 1e6), device.gbytes = r.number("gbytes", 0.001, 1e6);
  device.l2_mbytes = r.number("l2_mbytes", 0, 1e6);
  r.done();
}

bool is_name(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

void identity(Reader& r, Device& device, const std::string& place) {
  if (r.text("schema") != kSchema) reject(fmt::format("the schema must be '{}'", kSchema), place);
  device.name = r.text("name"), device.title = r.text("title"), device.vendor = r.text("vendor");
  device.architecture = r.text("architecture");
  if (!is_name(device.name)) reject("'name' must be of a-z, 0-9, _ and -", place);
  if (device.vendor != "nvidia" && device.vendor != "amd") reject("'vendor' must be nvidia or amd", place);
}

std::string precisions_text(const char* table, const std::map<std::string, double>& values) {
  if (values.empty()) return {};
  std::string text = fmt::format("\n[{}]\n", table);
  for (const auto& [precision, value] : values) text += fmt::format("{} = {}\n", precision, value);
  return text;
}

// A basic string; control characters are written by their code.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      result += {'\\', c};
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      result += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    else
      result += c;
  }
  return result + '"';
}

}  // namespace

Device parse_device(std::string_view text, const std::string& place) {
  const toml::table table = parse(text, place);
  Reader r(table, place);
  Device device;
  identity(r, device, place);
  device.clock_mhz = r.number("clock_mhz", 1, 1e5), device.launch_us = r.number("launch_us", 0, 1e4);
  device.sm = multiprocessors(r.table("multiprocessors"));
  memory(r.table("memory"), device);
  device.peak_tflops = r.table("peak_tflops").precisions(1e-6, 1e6);
  if (!device.peak_tflops.contains("f32")) reject("'f32' is missing", place + " [peak_tflops]");
  if (r.has("work")) device.work = r.table("work").precisions(0.1, 100);
  if (r.has("error")) device.error = r.table("error").precisions(0, 10);
  r.done();
  return device;
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
  if (name.find_first_of("./") != std::string::npos) {
    Bytes bytes = map_file(name);
    return parse_device({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name);
  }
  std::vector<std::string> names = {"cpu"};
  for (const Device& device : known_devices()) names.push_back(device.name);
  throw Error(Code::unknown_device, fmt::format("there is no device '{}'{}", name, did_you_mean(name, names)),
              "device", "tailor devices list names them; a file of your own is given by its path");
}

}  // namespace tailor::device

// An accelerator out of TOML: memories, then who lies where, networks, and the dataflow, whose lists hold loops and
// refresh points.
#include "tailor/device/accelerator.h"

#include "tailor/base/error.h"
#include "tailor/base/text.h"
#include "tailor/device/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace tailor::device {
namespace {

constexpr const char* kSchema = "tailor/accelerator/1";
constexpr const char* kHelp = "docs/devices.md describes accelerators; the built-in ones are examples";
// Of a file that may describe something else.
constexpr const char* kHelpForAny =
    "docs/devices.md describes GPUs and accelerators; tailor devices show and tailor platform show print "
    "examples";
constexpr double kLargest = 1e15;         // of any number in a description
constexpr double kMostElements = 1e6;     // of a row or a column of PEs
constexpr std::size_t kMostMemories = 3;  // as many as there are tensors
constexpr std::string_view kRefresh = "refresh ";

template <class Key, std::size_t kCount>
std::vector<std::string> names_of(const std::array<Key, kCount>& all) {
  std::vector<std::string> names;
  for (Key key : all) names.emplace_back(name(key));
  return names;
}

template <class Key, std::size_t kCount>
Key named(const Settings& table, const std::string& key, const std::array<Key, kCount>& all,
          const std::string& word, const char* what) {
  for (Key known : all)
    if (word == name(known)) return known;
  const std::vector<std::string> names = names_of(all);
  table.fail(fmt::format("there is no {} '{}'{}; there are {}", what, word, did_you_mean(word, names),
                         fmt::join(names, ", ")),
             key);
}

Memory read_memory(Settings& table) {
  Memory memory;
  memory.name = table.need_text("name");
  memory.bytes = table.number("bytes", 1, kLargest).value_or(0);
  memory.bytes_per_cycle = table.number("bytes_per_cycle", 1e-6, kLargest).value_or(0);
  memory.pj_per_byte = table.need_number("pj_per_byte", 0, kLargest);
  return memory;
}

// [[buffer]] or [[registers]], and which of them each tensor lies in.
std::vector<Memory> read_memories(Settings& root, const std::string& key, PerTensor<std::size_t>& where) {
  std::vector<Memory> memories;
  PerTensor<bool> placed = {};
  for (Settings& table : root.tables(key)) {
    memories.push_back(read_memory(table));
    for (const Memory& other : memories)
      if (&other != &memories.back() && other.name == memories.back().name)
        table.fail(fmt::format("two memories are called '{}'", other.name), "name");
    for (const std::string& word : table.need_texts("holds")) {
      const Tensor tensor = named(table, "holds", kTensors, word, "tensor");
      if (placed[tensor]) table.fail(fmt::format("{} lie in two places", word), "holds");
      placed[tensor] = true, where[tensor] = memories.size() - 1;
    }
    table.done();
  }
  for (Tensor tensor : kTensors)
    if (!placed[tensor]) root.fail(fmt::format("no [[{}]] holds {}", key, name(tensor)), key);
  if (memories.size() > kMostMemories) root.fail(fmt::format("more than {} [[{}]]", kMostMemories, key), key);
  return memories;
}

Network read_network(Settings& parent, const std::string& key) {
  std::optional<Settings> table = parent.table(key);
  if (!table) return {};
  Network network;
  network.bytes_per_cycle = table->number("bytes_per_cycle", 1e-6, kLargest).value_or(0);
  network.pj_per_byte = table->need_number("pj_per_byte", 0, kLargest);
  for (const std::string& word : table->need_texts("carries"))
    network.carries[named(*table, "carries", kTensors, word, "tensor")] = true;
  table->done();
  return network;
}

void read_networks(Settings& root, Accelerator& a) {
  Settings noc = root.need_table("noc");
  a.unicast = read_network(noc, "unicast");
  a.multicast = read_network(noc, "multicast");
  a.forward = read_network(noc, "forward");
  for (Tensor tensor : {Tensor::inputs, Tensor::weights})
    if (!a.unicast.carries[tensor] && !a.multicast.carries[tensor])
      noc.fail(fmt::format("{} are carried by neither unicast nor multicast", name(tensor)));
  if (!a.unicast.carries[Tensor::outputs]) noc.fail("outputs are not carried by unicast");
  if (a.multicast.carries[Tensor::outputs])
    noc.fail("outputs are carried by multicast: they go up, each from one PE");
  if (a.forward.carries[Tensor::weights])
    noc.fail("weights are carried by forward: only inputs and outputs can be");
  noc.done();
}

void add_loop(const Settings& table, const std::string& key, const std::string& word,
              std::vector<Dimension>& loops) {
  const Dimension loop = named(table, key, kDimensions, word, "loop");
  if (std::find(loops.begin(), loops.end(), loop) != loops.end())
    table.fail(fmt::format("'{}' stands in '{}' twice", word, key), key);
  loops.push_back(loop);
}

std::vector<Dimension> read_loops(Settings& table, const std::string& key) {
  std::vector<Dimension> loops;
  for (const std::string& word : table.texts(key).value_or(std::vector<std::string>{}))
    add_loop(table, key, word, loops);
  return loops;
}

// Loops with "refresh inputs" among them; a tensor that has none is loaded inside all loops.
Order read_order(Settings& table, const std::string& key) {
  Order order;
  PerTensor<bool> seen = {};
  for (const std::string& word : table.texts(key).value_or(std::vector<std::string>{})) {
    if (!word.starts_with(kRefresh)) {
      add_loop(table, key, word, order.loops);
      continue;
    }
    const Tensor tensor = named(table, key, kTensors, word.substr(kRefresh.size()), "tensor");
    if (seen[tensor]) table.fail(fmt::format("'{}' stands in '{}' twice", word, key), key);
    seen[tensor] = true, order.refresh[tensor] = order.loops.size();
  }
  for (Tensor tensor : kTensors)
    if (!seen[tensor]) order.refresh[tensor] = order.loops.size();
  return order;
}

Dataflow read_dataflow(Settings table) {
  Dataflow flow;
  flow.dram = read_loops(table, "dram");
  flow.buffer = read_order(table, "buffer");
  flow.registers = read_order(table, "registers");
  flow.rows = read_loops(table, "rows"), flow.columns = read_loops(table, "columns");
  flow.array = read_loops(table, "array");
  flow.reuse_windows = table.flag("reuse_windows").value_or(false);
  if (!flow.array.empty() && !(flow.rows.empty() && flow.columns.empty()))
    table.fail("loops lie over 'array' or over 'rows' and 'columns', not both", "array");
  for (Dimension loop : flow.rows)
    if (std::find(flow.columns.begin(), flow.columns.end(), loop) != flow.columns.end())
      table.fail(fmt::format("'{}' stands in 'rows' and in 'columns'", name(loop)), "columns");
  table.done();
  return flow;
}

void read_array(Settings& root, Accelerator& a) {
  Settings array = root.need_table("array");
  a.rows = static_cast<double>(array.need_integer("rows", 1, static_cast<std::int64_t>(kMostElements)));
  a.columns = static_cast<double>(array.need_integer("columns", 1, static_cast<std::int64_t>(kMostElements)));
  a.mac_pj = array.need_number("mac_pj", 0, kLargest);
  array.done();
  Settings bytes = root.need_table("bytes");
  a.activations = bytes.need_number("activations", 1e-3, 1e3);
  a.partial_sums = bytes.need_number("partial_sums", 1e-3, 1e3);
  a.weights = bytes.need_number("weights", 1e-3, 1e3);
  if (a.partial_sums < a.activations)
    bytes.fail("'partial_sums' is less than 'activations', which are made of them", "partial_sums");
  bytes.done();
}

Accelerator read(Settings root) {
  if (root.need_text("schema") != kSchema)
    root.fail(fmt::format("'schema' is not \"{}\"", kSchema), "schema");
  Accelerator a;
  a.name = root.need_text("name");
  a.title = root.need_text("title");
  a.frequency_mhz = root.number("frequency_mhz", 1e-3, kLargest).value_or(0);
  read_array(root, a);
  Settings dram = root.need_table("dram");
  a.dram.name = "dram";
  a.dram.bytes_per_cycle = dram.number("bytes_per_cycle", 1e-6, kLargest).value_or(0);
  a.dram.pj_per_byte = dram.need_number("pj_per_byte", 0, kLargest);
  dram.done();
  a.buffers = read_memories(root, "buffer", a.buffer_of);
  a.registers = read_memories(root, "registers", a.register_of);
  read_networks(root, a);
  a.dataflow = read_dataflow(root.need_table("dataflow"));
  root.done();
  return a;
}

bool is_file(const std::string& name) {
  return name.find('/') != std::string::npos || name.ends_with(".toml");
}

}  // namespace

const char* name(Tensor tensor) {
  constexpr std::array names = {"inputs", "outputs", "weights"};
  return names[static_cast<std::size_t>(tensor)];
}

const char* name(Dimension dimension) {
  constexpr std::array names = {"mb", "ic", "oc", "oh", "ow", "kh", "kw"};
  return names[static_cast<std::size_t>(dimension)];
}

Accelerator parse_accelerator(std::string_view toml, const std::string& place) {
  return read(parse_settings(toml, place, kHelp));
}

Accelerator read_accelerator(const std::filesystem::path& path) { return read(read_settings(path, kHelp)); }

Accelerator find_accelerator(const std::string& name) {
  if (is_file(name)) return read_accelerator(name);
  std::vector<std::string> names;
  for (const auto& [known, toml] : accelerator_presets()) {
    if (known == name) return parse_accelerator(toml, fmt::format("built-in accelerator {}", name));
    names.emplace_back(known);
  }
  throw Error(Code::unknown_device,
              fmt::format("there is no accelerator '{}'{}", name, did_you_mean(name, names)), "NAME",
              fmt::format("built in are {}; or give a file NAME.toml", fmt::join(names, ", ")));
}

bool names_accelerator(const std::string& name) {
  if (is_file(name)) return read_settings(name, kHelpForAny).text("schema").value_or("") == kSchema;
  const auto& known = accelerator_presets();
  return std::any_of(known.begin(), known.end(), [&](const auto& preset) { return preset.first == name; });
}

}  // namespace tailor::device

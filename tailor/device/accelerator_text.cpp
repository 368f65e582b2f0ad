// An accelerator as TOML: what parse_accelerator reads, in the same order.
#include "tailor/device/accelerator.h"
#include "tailor/device/settings.h"

#include <fmt/format.h>

namespace tailor::device {
namespace {

std::string list(const std::string& key, const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + quoted(word);
  return fmt::format("{} = [{}]\n", key, text);
}

std::string bandwidth(double bytes_per_cycle) {
  return bytes_per_cycle > 0 ? fmt::format("bytes_per_cycle = {}\n", bytes_per_cycle) : "";
}

std::string memory_text(const char* key, const Memory& memory, std::size_t index,
                        const PerTensor<std::size_t>& where) {
  std::vector<std::string> holds;
  for (Tensor tensor : kTensors)
    if (where[tensor] == index) holds.emplace_back(name(tensor));
  return fmt::format("\n[[{}]]\nname = {}\n{}{}pj_per_byte = {}\n{}", key, quoted(memory.name),
                     memory.bytes > 0 ? fmt::format("bytes = {}\n", memory.bytes) : "",
                     bandwidth(memory.bytes_per_cycle), memory.pj_per_byte, list("holds", holds));
}

std::string network_text(const char* key, const Network& network) {
  std::vector<std::string> carries;
  for (Tensor tensor : kTensors)
    if (network.carries[tensor]) carries.emplace_back(name(tensor));
  if (carries.empty()) return "";
  return fmt::format("[noc.{}]\n{}pj_per_byte = {}\n{}", key, bandwidth(network.bytes_per_cycle),
                     network.pj_per_byte, list("carries", carries));
}

std::string loops_text(const char* key, const std::vector<Dimension>& loops) {
  std::vector<std::string> words;
  for (Dimension loop : loops) words.emplace_back(name(loop));
  return words.empty() ? "" : list(key, words);
}

std::string order_text(const char* key, const Order& order) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at <= order.loops.size(); ++at) {
    for (Tensor tensor : kTensors)
      if (order.refresh[tensor] == at) words.push_back(fmt::format("refresh {}", name(tensor)));
    if (at < order.loops.size()) words.emplace_back(name(order.loops[at]));
  }
  return list(key, words);
}

std::string dataflow_text(const Dataflow& flow) {
  return "\n[dataflow]\n" + loops_text("dram", flow.dram) + order_text("buffer", flow.buffer) +
         loops_text("rows", flow.rows) + loops_text("columns", flow.columns) +
         loops_text("array", flow.array) + order_text("registers", flow.registers) +
         (flow.reuse_windows ? "reuse_windows = true\n" : "");
}

}  // namespace

std::string to_toml(const Accelerator& a) {
  std::string text = fmt::format("schema = \"tailor/accelerator/1\"\nname = {}\ntitle = {}\n", quoted(a.name),
                                 quoted(a.title));
  if (a.frequency_mhz > 0) text += fmt::format("frequency_mhz = {}\n", a.frequency_mhz);
  text +=
      fmt::format("\n[array]\nrows = {:.0f}\ncolumns = {:.0f}\nmac_pj = {}\n", a.rows, a.columns, a.mac_pj);
  text += fmt::format("\n[bytes]\nactivations = {}\npartial_sums = {}\nweights = {}\n", a.activations,
                      a.partial_sums, a.weights);
  text +=
      fmt::format("\n[dram]\n{}pj_per_byte = {}\n", bandwidth(a.dram.bytes_per_cycle), a.dram.pj_per_byte);
  for (std::size_t i = 0; i < a.buffers.size(); ++i)
    text += memory_text("buffer", a.buffers[i], i, a.buffer_of);
  for (std::size_t i = 0; i < a.registers.size(); ++i)
    text += memory_text("registers", a.registers[i], i, a.register_of);
  text += "\n" + network_text("unicast", a.unicast) + network_text("multicast", a.multicast) +
          network_text("forward", a.forward);
  return text + dataflow_text(a.dataflow);
}

}  // namespace tailor::device

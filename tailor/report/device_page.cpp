// The page of tailor analyze -d: everything is modelled, and says so.
#include "tailor/console/console.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cctype>

namespace tailor::report {
namespace {

constexpr std::pair<const char*, const char*> kSpent[] = {{"work_us", "work us"},
                                                          {"idle_us", "idle us"},
                                                          {"padding_us", "padding us"},
                                                          {"bytes_us", "bytes us"},
                                                          {"launch_us", "launch us"}};

Row layer_row(const Json& layer, const std::string& at, std::size_t index) {
  const Json& model = member(layer, "model", at);
  const std::string inner = member_place(at, "model");
  Row row{{name_cell(text(layer, "name", at)),
           {width_text(text(layer, "workload", at))},
           number_cell(number(model, "us", inner), 2),
           number_cell(100 * number(layer, "share", at), 1)},
          index};
  const Json& spent = member(layer, "spent", at);
  for (const auto& [key, title] : kSpent)
    row.cells.push_back(number_cell(number(spent, key, member_place(at, "spent")), 2));
  for (Cell& cell : std::vector<Cell>{{text(model, "kernel", inner)},
                                      number_cell(number(model, "waves", inner), 2),
                                      number_cell(100 * number(model, "wave_efficiency", inner), 0),
                                      {text(layer, "verdict", at)},
                                      step_cell(layer, "narrower", at),
                                      step_cell(layer, "free_up_to", at),
                                      number_cell(number(layer, "recoverable_us", at), 2),
                                      {text(layer, "why", at)}})
    row.cells.push_back(std::move(cell));
  return row;
}

Section layers_section(const Json& document, const std::string& place) {
  Section section{
      "Layers",
      "Where each layer's time goes by the wave model. Idle: multiprocessors without a block in the last "
      "wave. Padding: tiles that reach over the output. Bytes: waiting for operands and memory beyond the "
      "arithmetic. Select a layer to see its staircase and its waves.",
      {"spent", "stairs", "waves", "roofline"}};
  Table table{
      "Layers in the model's order", {{"layer"}, {"width"}, {"us", true, "modelled"}, {"share %", true}}, {}};
  for (const auto& [key, title] : kSpent) table.columns.push_back({title, true});
  for (const Column& column :
       {Column{"kernel"}, Column{"waves", true, "blocks per multiprocessor"},
        Column{"full %", true, "share of the paid waves that works"}, Column{"verdict"},
        Column{"narrower", true}, Column{"free up to", true}, Column{"recoverable us", true}, Column{"why"}})
    table.columns.push_back(column);
  const Json& layers = list(document, "layers", place);
  for (std::size_t i = 0; i < layers.size(); ++i)
    table.rows.push_back(layer_row(layers[i], item_place(place, "layers", i), i));
  section.table = std::move(table);
  return section;
}

std::string certainty(const Json& document, const std::string& place) {
  const Json& error = member(document, "median_error", place);
  return error.is_number() ? fmt::format("fitted to timings; median error of single kernels {}",
                                         percent(error.get<double>()))
                           : std::string("never fitted to timings of this device in this precision");
}

std::vector<std::string> limits_of(const Json& document, const std::string& place, double total) {
  std::string lever = text(document, "lever", place) + ".";
  lever[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(lever[0])));
  std::vector<std::string> lines = {std::move(lever)};
  for (std::string& line : verdict_sentences(document, place, total, gpu_meanings(), "model"))
    lines.push_back(std::move(line));
  return lines;
}

// Where layers do not fill the device, its batch is looked at; else widths are.
std::vector<std::pair<std::string, std::string>> next_of(const Json& document, const std::string& place,
                                                         const std::string& model,
                                                         const std::string& device) {
  const double total = number(document, "total_us", place), back = number(document, "recoverable_us", place);
  const std::string precision = shell_word(text(document, "precision", place));
  const Json& layers = list(document, "layers", place);
  if (text(document, "lever", place).find("wrong lever") != std::string::npos && !layers.empty())
    return {
        {fmt::format("tailor analyze {} -d {} --precision {} --layer {} --over mb", model, device, precision,
                     shell_word(text(layers[0], "name", item_place(place, "layers", 0)).substr(0, 200))),
         "what a larger batch costs: the staircase of the first layer over it"}};
  const double share = share_of(back, total);
  return {
      {fmt::format("tailor optimize {} -o faster.onnx -d {} --precision {} --latency {:.2f}x --calib DATA",
                   model, device, precision, share < 0.02 ? 0.8 : 1 - share),
       "widths for this device; the latency stays modelled until the model is run there"}};
}

}  // namespace

Content device_content(const Json& document, const std::string& place) {
  const std::string model = text(document, "model", place), precision = text(document, "precision", place);
  const Json& device = member(document, "device", place);
  const std::string title = text(device, "title", member_place(place, "device"));
  const std::string name = text(device, "name", member_place(place, "device"));
  const double total = number(document, "total_us", place), back = number(document, "recoverable_us", place);
  const double share = share_of(back, total);
  Content content{
      fmt::format("Analysis of {} on {}", model, title),
      fmt::format("{} would take {} on {} in {}, by the model; {}.", file_name(model),
                  console::duration(total), title, precision,
                  share < 0.005 ? std::string(kNothingBack)
                                : fmt::format("{} of it ({}) would come back with widths that fit",
                                              console::duration(back), percent(share))),
      "modelled: nothing was run"};
  content.cards = {
      {"sum of layers", console::duration(total), "modelled, " + certainty(document, place)},
      {"recoverable", console::duration(back), percent(share, 1) + " of the sum"},
      {"layers", std::to_string(list(document, "layers", place).size()),
       fmt::format("{} other nodes are taken to be fused", integer(document, "unpriced_nodes", place))}};
  content.limits = limits_of(document, place, total);
  content.next = next_of(document, place, shell_word(model), shell_word(name));
  if (std::string base = base_text(document, place); !base.empty())
    content.limits.insert(content.limits.begin(), std::move(base));
  content.sections = {layers_section(document, place)};
  add_base(content, document, place);
  add_free(content, document, place);
  add_groups(content, document, place, false);
  content.method = {{"device", title + " (" + name + ")"},
                    {"precision", precision},
                    {"how", "wave model, " + certainty(document, place)}};
  return content;
}

}  // namespace tailor::report

// The page of tailor analyze -d cuda: what ran on the GPU, measured.
#include "tailor/console/console.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

namespace tailor::report {
namespace {

// "2 Softmax, Concat" of the operators that were not run; "" for none.
std::string left_out(const Json& document, const std::string& place) {
  const Json& ops = member(document, "left_out", place);
  std::string names;
  for (const auto& [op, count] : ops.items())
    names +=
        fmt::format("{}{}{}", names.empty() ? "" : ", ",
                    count.is_number() && count.get<double>() > 1 ? fmt::format("{} ", count.dump()) : "", op);
  return names;
}

Row layer_row(const Json& layer, const std::string& at, std::size_t index) {
  const double waves = number(layer, "waves", at);
  return {{name_cell(text(layer, "name", at)),
           number_cell(number(layer, "us", at), 2),
           number_cell(100 * number(layer, "share", at), 1),
           waves > 0 ? number_cell(waves, 2) : Cell{"-"},
           number_cell(number(layer, "recoverable_us", at), 2),
           {text(layer, "verdict", at)},
           step_cell(layer, "down", at),
           step_cell(layer, "up", at),
           {text(layer, "kernel", at)},
           {text(layer, "layer", at)}},
          index};
}

Section layers_section(const Json& document, const std::string& place) {
  Section section{
      "Layers",
      "What each layer takes in the running network, and what comes back if all channel groups whose "
      "width does not fit get one that does. Waves are read from the kernels that ran: blocks over what "
      "the multiprocessors hold at a time. Select a layer to see its staircase.",
      {"recoverable", "stairs"}};
  Table table{"Layers in the order of their launches",
              {{"layer"},
               {"us", true, "its kernels, in the running network"},
               {"share %", true},
               {"waves", true, "of its longest kernel"},
               {"recoverable us", true},
               {"verdict"},
               {"narrower", true, "widest narrower width of the group that surely saves 2 %"},
               {"free up to", true, "widest width of the group that costs at most 1 % more"},
               {"kernel"},
               {"asked for"}},
              {}};
  const Json& layers = list(document, "layers", place);
  for (std::size_t i = 0; i < layers.size(); ++i)
    table.rows.push_back(layer_row(layers[i], item_place(place, "layers", i), i));
  section.table = std::move(table);
  return section;
}

std::vector<std::pair<std::string, std::string>> next_of(const Json& document, const std::string& place,
                                                         double share) {
  const std::string model = shell_word(text(document, "model", place)),
                    precision = shell_word(text(document, "precision", place));
  return {
      {fmt::format("tailor optimize {} -o faster.onnx -d cuda --precision {} --latency {:.2f}x --calib DATA",
                   model, precision, share < 0.02 ? 0.8 : 1 - share),
       "widths for this GPU, proven on it"}};
}

}  // namespace

Content gpu_content(const Json& document, const std::string& place) {
  const std::string model = text(document, "model", place), device = text(document, "device", place),
                    precision = text(document, "precision", place);
  const double network = number(document, "network_us", place),
               kernels = number(document, "kernels_us", place),
               back = number(document, "recoverable_us", place), share = share_of(back, network);
  Content content{
      fmt::format("Analysis of {} on {}", model, device),
      fmt::format("{} takes {} on {} in {}; {}.", file_name(model), console::duration(network), device,
                  precision,
                  share < 0.005 ? std::string(kNothingBack)
                                : fmt::format("{} of it ({}) would come back with widths that fit",
                                              console::duration(back), percent(share))),
      "measured"};
  content.cards = {
      {"one run takes", console::duration(network), "one CUDA graph, untraced"},
      {"between kernels", console::duration(std::max(0.0, network - kernels)),
       fmt::format("kernels take {}", console::duration(kernels))},
      {"recoverable", console::duration(back), percent(share, 1) + " of the time, layer by layer"},
      {"layers", std::to_string(list(document, "layers", place).size()),
       list(document, "groups", place).empty() ? "no widths were swept" : "widths swept alone"}};
  content.limits = verdict_sentences(document, place, network, gpu_meanings());
  if (const std::string ops = left_out(document, place); !ops.empty())
    content.limits.push_back("Left out, because this runner does not compute them: " + ops +
                             ". The network's time lacks them.");
  content.next = next_of(document, place, share);
  content.sections = {layers_section(document, place)};
  add_free(content, document, place);
  add_groups(content, document, place, true);
  content.method = {
      {"device", device + ", " + text(document, "isa", place)},
      {"libraries", text(document, "version", place)},
      {"precision", precision},
      {"layer timings", fmt::format("{} measured, {} found", integer(document, "measured", place),
                                    integer(document, "known", place))}};
  return content;
}

}  // namespace tailor::report

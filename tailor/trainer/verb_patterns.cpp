// tailor patterns: the layers asked for -> a pattern per filter -> clusters per group -> sheets and one document, which
// `optimize --patterns` and `report` read.
#include "tailor/base/base64.h"
#include "tailor/base/file.h"
#include "tailor/base/progress.h"
#include "tailor/learn/filter_clusters.h"
#include "tailor/learn/head.h"
#include "tailor/learn/pattern_picture.h"
#include "tailor/onnx/onnx.h"
#include "tailor/trainer/trainer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <optional>

namespace tailor::trainer {
namespace {

namespace fs = std::filesystem;

constexpr int kCompared = 32, kInDocument = 32, kOnSheet = 64;  // pixels a side
constexpr const char* kDocument = "patterns.json";

// The pictures of one layer: the sheet is written already.
struct Pictures {
  std::string sheet;
  int columns = 0;
  std::vector<std::string> png;  // one per filter
};

// All that is found, before the document is written.
struct Found {
  graph::Shape sample;
  std::int64_t samples = 0;
  graph::Channels channels;
  std::vector<learn::LayerPatterns>
      layers;                      // patterns shrunk to kCompared: those of a whole network are large
  std::vector<Pictures> pictures;  // of each layer
  std::vector<learn::GroupClusters> groups;
  double seconds = 0;
};

// CxHxW of one input. @throws Error not_trainable, shape_unknown
graph::Shape sample_shape(const graph::Model& model, const std::optional<data::Dataset>& data) {
  const graph::ValueInfo& input = learn::only_input(model);
  graph::Shape shape = data ? data->sample_shape() : input.shape.value_or(graph::Shape{});
  if (!data && !shape.empty()) shape.erase(shape.begin());
  if (shape.size() != 3)
    throw Error(Code::not_trainable, fmt::format("the input '{}' is no image", input.name), "inputs",
                "pictures are drawn of inputs of four axes: samples, channels, rows, columns");
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t size) { return size < 1; }))
    throw Error(Code::shape_unknown, fmt::format("the size of the input '{}' is free", input.name), "inputs",
                "give --data with samples of the size that is meant");
  return shape;
}

graph::Shapes shapes_of(const graph::Model& model, const graph::Shape& sample) {
  graph::Shape one = sample;
  one.insert(one.begin(), 1);
  return graph::infer_shapes(learn::with_free_batch(model), {{learn::only_input(model).name, one}});
}

learn::InputScale scale_of(const graph::Shape& sample, const std::optional<data::Dataset>& data) {
  if (data) return learn::input_scale(*data);
  const auto channels = static_cast<std::size_t>(sample[0]);
  return {std::vector<double>(channels, 0.0), std::vector<double>(channels, 1.0)};
}

// "003-conv1.png": the number keeps names apart that differ in other characters only.
std::string sheet_name(std::size_t index, const std::string& layer) {
  std::string name;
  for (char c : layer.substr(0, 60))
    name += std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' ? c : '_';
  return fmt::format("{:03}-{}.png", index + 1, name);
}

// Draws the patterns, writes the sheet, and leaves the patterns small.
Pictures draw(const PatternArguments& a, const std::string& sheet, const graph::Shape& sample,
              std::vector<learn::FilterPattern>& patterns) {
  Pictures drawn{sheet, 0, {}};
  std::vector<data::Picture> pictures;
  for (learn::FilterPattern& p : patterns) {
    pictures.push_back(learn::pattern_picture(p.values, sample, kOnSheet, a.preparation.bgr));
    drawn.png.push_back(data::png(learn::pattern_picture(p.values, sample, kInDocument, a.preparation.bgr)));
    graph::Shape shape = sample;
    p.values = learn::shrunk(p.values, shape, kCompared);
  }
  const learn::Sheet grid = learn::sheet_of(pictures);
  drawn.columns = grid.columns;
  write_file(a.out / sheet, data::png(grid.picture));
  return drawn;
}

// One layer after another, with progress in filters.
void draw_all(const PatternArguments& a, const learn::PatternRecipe& recipe, learn::Network& network,
              const std::vector<learn::FilterLayer>& layers, const learn::InputScale& scale, Found& found) {
  Progress progress("patterns");
  double all = 0, before = 0;
  for (const learn::FilterLayer& layer : layers) all += layer.filters();
  for (const learn::FilterLayer& layer : layers) {
    progress.update(before, all, layer.layer);
    std::vector<learn::FilterPattern> patterns =
        learn::filter_patterns(network, layer, found.sample, scale, recipe,
                               [&](int done) { progress.update(before + done, all, layer.layer); });
    const std::string sheet = sheet_name(found.layers.size(), layer.layer);
    found.pictures.push_back(draw(a, sheet, found.sample, patterns));
    found.layers.push_back({layer, std::move(patterns)});
    before += layer.filters();
  }
}

Found find(const PatternArguments& a, const graph::Model& model, const learn::PatternRecipe& recipe) {
  const auto begin = std::chrono::steady_clock::now();
  std::optional<data::Dataset> data;
  if (!a.data.empty()) data = read_samples(a.data, a.preparation, model, a.limit);
  Found found{sample_shape(model, data), data ? data->size() : 0, {}, {}, {}, {}};
  const graph::Shapes shapes = shapes_of(model, found.sample);
  found.channels = graph::channel_groups(model, shapes);
  const std::vector<learn::FilterLayer> layers =
      learn::filter_layers(model, shapes, found.channels, a.layers);
  learn::Network network(model);
  draw_all(a, recipe, network, layers, scale_of(found.sample, data), found);
  if (data) {
    std::vector<saliency::Responses> responses =
        learn::filter_responses(network, layers, *data, recipe.batch);
    for (std::size_t i = 0; i < responses.size(); ++i) found.layers[i].responses = std::move(responses[i]);
  }
  found.groups = learn::filter_clusters(found.channels, found.layers, a.similar);
  found.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return found;
}

int cluster_count(const std::vector<int>& cluster) {
  return cluster.empty() ? 0 : 1 + *std::max_element(cluster.begin(), cluster.end());
}

Json groups_json(const Found& found) {
  Json groups = Json::array();
  for (const learn::GroupClusters& g : found.groups) {
    const graph::ChannelGroup& group = found.channels.groups[static_cast<std::size_t>(g.group)];
    groups.push_back({{"name", group.name},
                      {"width", group.width()},
                      {"changeable", group.changeable()},
                      {"clusters", g.cluster}});
  }
  return groups;
}

// Where the group stands among those of the document; -1: nowhere.
int listed(const Found& found, int group) {
  for (std::size_t i = 0; i < found.groups.size(); ++i)
    if (found.groups[i].group == group) return static_cast<int>(i);
  return -1;
}

Json layer_json(const Found& found, std::size_t index) {
  const learn::LayerPatterns& layer = found.layers[index];
  const Pictures& pictures = found.pictures[index];
  Json filters = Json::array();
  for (std::size_t i = 0; i < layer.patterns.size(); ++i) {
    const learn::FilterPattern& p = layer.patterns[i];
    const graph::AtomPlace place = layer.layer.places[i];
    filters.push_back({{"group", listed(found, place.group)},
                       {"unit", place.unit},
                       {"start", p.start},
                       {"reached", p.reached},
                       {"silent", p.silent},
                       {"picture", base64(pictures.png[i])}});
  }
  return {{"layer", layer.layer.layer},    {"value", layer.layer.value}, {"response", layer.layer.response},
          {"filters", std::move(filters)}, {"sheet", pictures.sheet},    {"columns", pictures.columns}};
}

Json layers_json(const Found& found) {
  Json layers = Json::array();
  for (std::size_t i = 0; i < found.layers.size(); ++i) layers.push_back(layer_json(found, i));
  return layers;
}

Json document(const PatternArguments& a, const learn::PatternRecipe& recipe, const Found& found) {
  return {{"schema", "tailor/patterns/1"},
          {"model", a.model.string()},
          {"sha256", sha256(map_file(a.model))},
          {"data", a.data.empty() ? Json(nullptr) : Json(a.data.string())},
          {"samples", found.samples},
          {"input", found.sample},
          {"objective", learn::name(recipe.aim)},
          {"steps", recipe.steps},
          {"rate", recipe.rate},
          {"decay", recipe.decay},
          {"blur", recipe.blur},
          {"blur_every", recipe.blur_every},
          {"jitter", recipe.jitter},
          {"seed", recipe.seed},
          {"similar", a.similar},
          {"seconds", found.seconds},
          {"groups", groups_json(found)},
          {"layers", layers_json(found)}};
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

std::string layer_line(const learn::LayerPatterns& layer) {
  std::vector<double> start, reached;
  for (const learn::FilterPattern& p : layer.patterns) start.push_back(p.start), reached.push_back(p.reached);
  const auto silent = std::count_if(layer.patterns.begin(), layer.patterns.end(),
                                    [](const learn::FilterPattern& p) { return p.silent; });
  return fmt::format("layer     {}: {} filters, median answer {:.3g} -> {:.3g}{}\n", layer.layer.layer,
                     layer.patterns.size(), median(start), median(reached),
                     silent ? fmt::format(", {} that no input moves", silent) : "");
}

std::string describe(const PatternArguments& a, const learn::PatternRecipe& recipe, const Found& found) {
  std::string text;
  std::size_t filters = 0;
  for (const learn::LayerPatterns& layer : found.layers)
    text += layer_line(layer), filters += layer.patterns.size();
  for (const learn::GroupClusters& g : found.groups) {
    const graph::ChannelGroup& group = found.channels.groups[static_cast<std::size_t>(g.group)];
    text += fmt::format("group     {}: {} channels in {} clusters\n", group.name, group.width(),
                        cluster_count(g.cluster));
  }
  const std::string written = (a.out / kDocument).string();
  text += fmt::format("drew      {} filters of {} layers, {} steps each, {:.1f} s\n", filters,
                      found.layers.size(), recipe.steps, found.seconds);
  text += fmt::format("wrote     {} and {} sheets beside it\n", written, found.layers.size());
  return text + fmt::format(
                    "          tailor report {0} -o patterns.html\n"
                    "          tailor optimize --criterion functionality --patterns {0}\n",
                    written);
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw Error(Code::write_failed, fmt::format("the folder cannot be made: {}", error.message()),
                folder.string(), "give a folder that can be written to");
  console::check_target(folder / kDocument);
}

}  // namespace

int patterns(const Voice& voice, const PatternArguments& a) {
  learn::PatternRecipe recipe = a.recipe;
  recipe.aim = learn::parse_aim(a.objective);
  learn::check(recipe);
  if (!(a.similar >= -1 && a.similar <= 1))
    throw Error(Code::bad_value, fmt::format("{} lies outside of -1 to 1", a.similar), "--similar");
  use_threads(a.threads);
  const graph::Model model = onnx::read(a.model);
  make_folder(a.out);
  const Found found = find(a, model, recipe);
  const Json json = document(a, recipe, found);
  write_file(a.out / kDocument, json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  voice.json ? console::print_document(json) : console::print(describe(a, recipe, found));
  return 0;
}

}  // namespace tailor::trainer

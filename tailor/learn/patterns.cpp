// filter_patterns   per batch of filters: noise -> (shift, answer, gradient, step, decay, blur) x steps -> answer
// filter_responses  per batch of samples: all layers' answers, of which some places are kept
#include "tailor/learn/patterns.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/learn/batches.h"
#include "tailor/learn/head.h"
#include "tailor/learn/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tailor::learn {
namespace {

constexpr std::uint64_t kNoisePurpose = 11, kJitterPurpose = 12;
constexpr double kNoise = 0.1;               // deviation of the start, in deviations of the inputs
constexpr std::size_t kPlaces = 1024;        // answers kept of each filter
constexpr std::int64_t kMostSide = 1 << 12;  // pixels

constexpr Aim kAims[] = {Aim::middle, Aim::mean, Aim::maximum};

// Gradients by the input are all that is asked for: those by weights would double the work.
void freeze(Network::State& state) {
  for (auto& [name, tensor] : state.tensors) tensor.set_requires_grad(false);
}

// samples x channels x places, whatever the rank is.
at::Tensor maps(const at::Tensor& answer, std::int64_t samples, const FilterLayer& layer) {
  if (answer.dim() < 2 || answer.size(0) != samples || answer.size(1) != layer.filters())
    throw Error(Code::not_trainable,
                fmt::format("'{}' does not have the samples along its first axis", layer.response),
                "layer " + layer.layer, "leave the layer out: name others with --layer");
  return answer.reshape({samples, layer.filters(), -1});
}

std::int64_t middle_of(const at::Tensor& answer) {
  std::int64_t place = 0;
  for (std::int64_t axis = 2; axis < answer.dim(); ++axis)
    place = place * answer.size(axis) + answer.size(axis) / 2;
  return place;
}

at::Tensor per_channel(const std::vector<double>& values) {
  at::Tensor tensor = at::empty({1, static_cast<std::int64_t>(values.size()), 1, 1}, at::kFloat);
  std::transform(values.begin(), values.end(), tensor.data_ptr<float>(),
                 [](double value) { return static_cast<float>(value); });
  return tensor;
}

// One Gaussian, cut at three deviations. @pre not so narrow that only its middle is left
at::Tensor gaussian(double deviation) {
  const auto radius = static_cast<std::int64_t>(std::ceil(3 * deviation));
  at::Tensor line = at::empty({2 * radius + 1}, at::kFloat);
  for (std::int64_t i = -radius; i <= radius; ++i)
    line.data_ptr<float>()[i + radius] =
        static_cast<float>(std::exp(-0.5 * static_cast<double>(i * i) / (deviation * deviation)));
  return line / line.sum();
}

// The ascent of some filters of one layer, beside each other.
class Ascent {
 public:
  Ascent(Network& network, const FilterLayer& layer, const graph::Shape& sample, const InputScale& scale,
         const PatternRecipe& recipe, std::int64_t first, std::int64_t count)
      : state_(network.state()),
        layer_(layer),
        recipe_(recipe),
        input_(only_input(state_.model).name),
        centre_(per_channel(scale.centre)),
        spread_(per_channel(scale.spread)),
        filters_(at::arange(first, first + count, at::kLong)),
        moved_(at::zeros({count}, at::kBool)) {
    if (recipe.blur >= 0.1) kernel_ = gaussian(recipe.blur);
    z_ = noise(sample).unsqueeze(0).repeat({count, 1, 1, 1});
  }

  std::vector<FilterPattern> run() {
    const at::Tensor start = answers_at_rest();
    for (int step = 0; step < recipe_.steps; ++step) {
      throw_if_interrupted();
      climb(step);
    }
    z_ = z_ * moved_.to(at::kFloat).view({-1, 1, 1, 1});
    const at::Tensor reached = at::where(moved_, answers_at_rest(), start);
    return results(start, reached);
  }

 private:
  // The same for all filters, so that what differs in the end comes from the filters.
  at::Tensor noise(const graph::Shape& sample) const {
    Random random = generator(recipe_.seed, kNoisePurpose, 0);
    at::Tensor tensor = at::empty(sample, at::kFloat);
    std::generate_n(tensor.data_ptr<float>(), tensor.numel(),
                    [&] { return static_cast<float>(kNoise * random.normal()); });
    return tensor;
  }

  // What the objective is of each filter, for patterns z.
  at::Tensor answers(const at::Tensor& z) {
    const Feeds feeds = {{input_, centre_ + spread_ * z}};
    const at::Tensor answer = state_.forward(feeds, {layer_.response}, Mode::evaluate).front();
    const at::Tensor all = maps(answer, z.size(0), layer_);
    const at::Tensor own =
        all.gather(1, filters_.view({-1, 1, 1}).expand({z.size(0), 1, all.size(2)})).squeeze(1);
    if (recipe_.aim == Aim::mean) return own.mean(1);
    if (recipe_.aim == Aim::maximum) return std::get<0>(own.max(1));
    return own.select(1, middle_of(answer));
  }
  at::Tensor answers_at_rest() {
    at::NoGradGuard off;
    return answers(z_).to(at::kDouble).contiguous();
  }

  void climb(int step) {
    const auto [down, right] = shift(step);
    at::Tensor shifted = at::roll(z_, {down, right}, {2, 3}).detach().set_requires_grad(true);
    at::Tensor sum = answers(shifted).sum();
    at::Tensor gradient = at::zeros_like(z_);
    if (sum.requires_grad()) sum.backward();
    if (shifted.grad().defined()) gradient = at::roll(shifted.grad(), {-down, -right}, {2, 3});
    at::NoGradGuard off;
    const at::Tensor size = gradient.square().mean({1, 2, 3}, true).sqrt();
    moved_ = moved_.logical_or(size.view({-1}) > 0);
    z_ = (z_ + recipe_.rate * gradient / size.clamp_min(1e-30)) * (1 - recipe_.decay);
    if (kernel_.defined() && (step + 1) % recipe_.blur_every == 0) z_ = blurred(z_);
  }

  std::pair<std::int64_t, std::int64_t> shift(int step) const {
    if (recipe_.jitter == 0) return {0, 0};
    Random random = generator(recipe_.seed, kJitterPurpose, static_cast<std::uint64_t>(step));
    const auto span = static_cast<std::size_t>(2 * recipe_.jitter + 1);
    const auto draw = [&] { return static_cast<std::int64_t>(random.below(span)) - recipe_.jitter; };
    const std::int64_t down = draw();
    return {down, draw()};
  }

  // Rows, then columns; beyond the border the border goes on.
  at::Tensor blurred(const at::Tensor& z) const {
    const std::int64_t channels = z.size(1), taps = kernel_.numel(), pad = taps / 2;
    const at::Tensor line = kernel_.view({1, 1, 1, taps}).repeat({channels, 1, 1, 1});
    const at::Tensor wide = at::replication_pad2d(z, {pad, pad, pad, pad});
    const std::vector<std::int64_t> ones = {1, 1}, none = {0, 0};
    const at::Tensor rows = at::conv2d(wide, line, {}, ones, none, ones, channels);
    return at::conv2d(rows, line.transpose(2, 3).contiguous(), {}, ones, none, ones, channels);
  }

  std::vector<FilterPattern> results(const at::Tensor& start, const at::Tensor& reached) const {
    const at::Tensor dense = z_.contiguous();
    if (!at::isfinite(dense).all().item().toBool() || !at::isfinite(reached).all().item().toBool())
      throw Error(Code::diverged, "answers came to numbers that are not finite", "layer " + layer_.layer,
                  "give a smaller --rate, or --data so that inputs are of the size that the model expects");
    const std::int64_t size = dense.numel() / dense.size(0);
    std::vector<FilterPattern> list;
    for (std::int64_t i = 0; i < dense.size(0); ++i) {
      const float* from = dense.data_ptr<float>() + i * size;
      list.push_back({start[i].item().toDouble(), reached[i].item().toDouble(), !moved_[i].item().toBool(),
                      std::vector<float>(from, from + size)});
    }
    return list;
  }

  Network::State& state_;
  const FilterLayer& layer_;
  const PatternRecipe& recipe_;
  std::string input_;
  at::Tensor centre_, spread_, filters_, moved_, kernel_, z_;
};

// How many places of each sample's map are kept, so that kPlaces of all samples are.
std::int64_t places_per_sample(std::int64_t samples, std::int64_t places) {
  const std::int64_t share = static_cast<std::int64_t>(kPlaces) / std::max<std::int64_t>(samples, 1);
  return std::clamp<std::int64_t>(share, 1, std::max<std::int64_t>(places, 1));
}

// filters x places of one batch of one layer.
at::Tensor kept_answers(const at::Tensor& answer, std::int64_t count, std::int64_t samples,
                        const FilterLayer& layer) {
  const at::Tensor all = maps(answer, count, layer);
  const std::int64_t places = all.size(2), keep = places_per_sample(samples, places);
  at::Tensor at_places = at::empty({keep}, at::kLong);
  for (std::int64_t i = 0; i < keep; ++i)
    at_places.data_ptr<std::int64_t>()[i] = (2 * i + 1) * places / (2 * keep);
  return all.index_select(2, at_places).transpose(0, 1).reshape({layer.filters(), -1}).to(at::kFloat);
}

}  // namespace

const char* name(Aim aim) {
  constexpr const char* names[] = {"middle", "mean", "maximum"};
  return names[static_cast<int>(aim)];
}

Aim parse_aim(const std::string& text) {
  for (Aim aim : kAims)
    if (text == name(aim)) return aim;
  throw Error(Code::unknown_name, fmt::format("there is no objective '{}'", text), "--objective",
              "middle, mean or maximum");
}

void check(const PatternRecipe& r) {
  const auto within = [](double value, double least, double most, const char* option) {
    if (value >= least && value <= most) return;  // not so for what is no number
    throw Error(Code::bad_value, fmt::format("{} lies outside of {} to {}", value, least, most), option);
  };
  within(r.steps, 1, 100000, "--steps");
  within(r.rate, 1e-6, 100, "--rate");
  within(r.decay, 0, 0.99, "--decay");
  within(r.blur, 0, 10, "--blur");
  within(r.blur_every, 1, 100000, "--blur-every");
  within(r.jitter, 0, 64, "--jitter");
  within(static_cast<double>(r.batch), 1, 4096, "--batch");
}

InputScale input_scale(const data::Dataset& data) {
  const std::int64_t channels = data.sample_shape().at(0), at_once = 64;
  at::Tensor sum = at::zeros({channels}, at::kDouble), squares = at::zeros({channels}, at::kDouble);
  double count = 0;
  for (std::int64_t first = 0; first < data.size(); first += at_once) {
    const std::int64_t samples = std::min(at_once, data.size() - first);
    const at::Tensor x = to_aten(data.batch(first, samples), at::kDouble).transpose(0, 1).flatten(1);
    sum += x.sum(1), squares += x.square().sum(1), count += static_cast<double>(x.size(1));
  }
  InputScale scale;
  for (std::int64_t c = 0; c < channels; ++c) {
    const double mean = sum[c].item().toDouble() / count,
                 variance = squares[c].item().toDouble() / count - mean * mean;
    scale.centre.push_back(mean);
    scale.spread.push_back(variance > 1e-12 * (1 + mean * mean) ? std::sqrt(variance) : 1);
  }
  return scale;
}

std::vector<FilterPattern> filter_patterns(Network& network, const FilterLayer& layer,
                                           const graph::Shape& sample, const InputScale& scale,
                                           const PatternRecipe& recipe, const OnBatch& done) {
  TAILOR_CHECK(sample.size() == 3 && scale.centre.size() == static_cast<std::size_t>(sample[0]) &&
               scale.spread.size() == scale.centre.size());
  if (sample[1] > kMostSide || sample[2] > kMostSide)
    throw Error(Code::bad_shape, fmt::format("images of {}", graph::to_string(sample)), "input",
                "patterns are for images of at most 4096 pixels a side");
  freeze(network.state());
  std::vector<FilterPattern> list;
  for (std::int64_t first = 0; first < layer.filters(); first += recipe.batch) {
    const std::int64_t count = std::min<std::int64_t>(recipe.batch, layer.filters() - first);
    for (FilterPattern& pattern : Ascent(network, layer, sample, scale, recipe, first, count).run())
      list.push_back(std::move(pattern));
    if (done) done(static_cast<int>(list.size()));
  }
  return list;
}

std::vector<saliency::Responses> filter_responses(Network& network, const std::vector<FilterLayer>& layers,
                                                  const data::Dataset& data, std::int64_t batch) {
  at::NoGradGuard off;
  Network::State& state = network.state();
  const std::string input = only_input(state.model).name;
  std::vector<std::string> wanted;
  for (const FilterLayer& layer : layers) wanted.push_back(layer.response);
  std::vector<std::vector<at::Tensor>> kept(layers.size());
  for (std::int64_t first = 0; first < data.size(); first += batch) {
    throw_if_interrupted();
    const std::int64_t count = std::min(batch, data.size() - first);
    const Feeds feeds = {{input, to_aten(data.batch(first, count), state.real)}};
    const std::vector<at::Tensor> answers = state.forward(feeds, wanted, Mode::evaluate);
    for (std::size_t i = 0; i < layers.size(); ++i)
      kept[i].push_back(kept_answers(answers[i], count, data.size(), layers[i]));
  }
  std::vector<saliency::Responses> list;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const at::Tensor rows = at::cat(kept[i], 1).contiguous();
    const float* from = rows.data_ptr<float>();
    list.push_back({layers[i].filters(), static_cast<std::size_t>(rows.size(1)),
                    std::vector<float>(from, from + rows.numel())});
  }
  return list;
}

}  // namespace tailor::learn

// ask: learn (told trials, and what is on its way as predicted) -> candidates -> climb -> the untried configuration of
// greatest expected improvement. Knowledge: the values that the process explains, with or without the prior.
#include "tailor/base/error.h"
#include "tailor/tune/searcher.h"
#include "tailor/tune/surrogate.h"
#include "tailor/tune/tried.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numbers>
#include <numeric>
#include <utility>

namespace tailor::tune {
namespace {

constexpr double kUsual = 0.5, kUsualBeside = 0.2;  // standard deviations of log times; beside a prior
constexpr std::size_t kFewestToJudge = 8;           // trials before a prior can be dropped
constexpr double kClearly = 2;                      // nats of evidence by which it must be worse
constexpr std::size_t kOftenUntil = 40;  // trials up to which every decision learns the scales anew
constexpr std::size_t kForScales = 160;  // trials that scales are learnt from, at most
constexpr int kSweeps = 3;
constexpr double kNear = 0.3;  // log times above the best beyond which they count logarithmically
constexpr double kNoSlope = 0.15;
constexpr std::size_t kRanked = 200, kOfBest = 5, kSpread = 5;

// E[max(0, best - f)] of f normal.
double expected_improvement(double best, const Surrogate::Prediction& p) {
  const double z = (best - p.mean) / p.sd;
  const double density = std::exp(-0.5 * z * z) / std::sqrt(2 * std::numbers::pi);
  return (best - p.mean) * 0.5 * std::erfc(-z / std::sqrt(2.0)) + p.sd * density;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// a + b * prior, b drawn towards 1 by as much as `weight` trials would.
struct Line {
  double a = 0, b = 1;
  double at(double x) const { return a + b * x; }
};
Line fit_line(const std::vector<double>& x, const std::vector<double>& y) {
  constexpr double kWeight = 3;
  const double mean_x = mean_of(x), mean_y = mean_of(y);
  double xx = 0, xy = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    xx += (x[i] - mean_x) * (x[i] - mean_x), xy += (x[i] - mean_x) * (y[i] - mean_y);
  const double extra = kWeight * kUsual * kUsual;
  const double b = std::max(0.0, (xy + extra) / (xx + extra));
  return {mean_y - b * mean_x, b};
}

class ByModel : public Searcher {
 public:
  ByModel(const Space& space, std::uint64_t seed, const ModelOptions& options, std::optional<Prior> prior)
      : space_(space), tried_(space), seed_(seed), options_(options), prior_(std::move(prior)) {}

  std::optional<Configuration> ask() override {
    if (tried_.all()) return std::nullopt;
    Random mixed(seed_ * 0x9E3779B97F4A7C15u + tried_.size());
    Random random(mixed.next());
    Configuration chosen = first(random);
    if (chosen.empty()) chosen = best_candidate(random);
    tried_.insert(chosen);
    pending_.push_back(chosen);
    return chosen;
  }

  void tell(const Trial& trial) override {
    tried_.insert(trial.configuration);
    std::erase(pending_, trial.configuration);
    if (!space_.allows(trial.configuration)) return;
    std::erase_if(told_, [&](const Trial& t) { return t.configuration == trial.configuration; });
    told_.push_back(trial);
  }

  std::optional<double> expected_gain() override {
    if (tried_.all()) return 0.0;
    return gain_ ? std::optional(1 - std::exp(-*gain_)) : std::nullopt;
  }

  std::string remark() const override { return remark_; }

 private:
  std::size_t successes() const {
    return static_cast<std::size_t>(
        std::count_if(told_.begin(), told_.end(), [](const Trial& t) { return t.outcome == Outcome::ok; }));
  }

  // Without a model yet: the best of the prior, or what lies farthest from all that was tried. Empty: the model decides.
  Configuration first(Random& random) {
    if (prior_ && tried_.size() == 0) return prior_->ranked().front();
    const bool enough = prior_ ? successes() >= 1 : tried_.size() >= static_cast<std::size_t>(options_.first);
    if (enough && successes() >= 1) return {};
    if (prior_)
      for (const Configuration& configuration : prior_->ranked())
        if (!tried_.contains(configuration)) return configuration;
    return farthest(random);
  }

  Configuration farthest(Random& random) {
    Points taken;
    for (const Trial& trial : told_) taken.push_back(space_.encode(trial.configuration));
    for (const Configuration& configuration : pending_) taken.push_back(space_.encode(configuration));
    Configuration chosen;
    double largest = -1;
    for (std::size_t i = 0; i < kSpread; ++i) {
      Configuration other = tried_.draw(random);
      const std::vector<double> point = space_.encode(other);
      double nearest = 1e9;
      for (const auto& known : taken) nearest = std::min(nearest, squared_distance(known, point));
      if (nearest > largest) largest = nearest, chosen = std::move(other);
    }
    return chosen;
  }
  static double squared_distance(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
  }

  // At most `most` trials to learn from: all, or the best half and the newest.
  static std::vector<Trial> lessons(const std::vector<Trial>& trials, std::size_t most) {
    if (trials.size() <= most) return trials;
    auto middle = trials.end() - static_cast<std::ptrdiff_t>(most / 2);
    std::vector<Trial> chosen(middle, trials.end()), older(trials.begin(), middle);
    std::stable_sort(older.begin(), older.end(), [](const Trial& a, const Trial& b) {
      return std::pair(a.outcome != Outcome::ok, a.us) < std::pair(b.outcome != Outcome::ok, b.us);
    });
    chosen.insert(chosen.end(), older.begin(),
                  older.begin() + static_cast<std::ptrdiff_t>(most - chosen.size()));
    return chosen;
  }

  // What the process is to explain: logarithms of the times without what the line says; of a failed trial as slow as
  // the slowest.
  struct Lesson {
    Points points;
    std::vector<double> values;
    Line line;
  };
  Lesson lesson_of(const std::vector<Trial>& trials, bool use_prior, bool squeeze) const {
    Lesson lesson;
    std::vector<double> priors;
    double slowest = -1e300;
    for (const Trial& trial : trials)
      if (trial.outcome == Outcome::ok) slowest = std::max(slowest, std::log(trial.us));
    for (const Trial& trial : trials) {
      lesson.points.push_back(space_.encode(trial.configuration));
      lesson.values.push_back(trial.outcome == Outcome::ok ? std::log(trial.us) : slowest);
      priors.push_back(use_prior ? prior_at(trial.configuration) : 0);
    }
    if (squeeze) compress(lesson.values);
    lesson.line = use_prior ? fit_line(priors, lesson.values) : Line{mean_of(lesson.values), 0};
    for (std::size_t i = 0; i < priors.size(); ++i) lesson.values[i] -= lesson.line.at(priors[i]);
    return lesson;
  }
  // What is far from the best only has to be known as such: without this the slowest, which can be a hundred times
  // slower, would decide the scales.
  static void compress(std::vector<double>& values) {
    const double best = *std::min_element(values.begin(), values.end());
    for (double& value : values) value = best + kNear * std::log1p((value - best) / kNear);
  }
  double prior_at(const Configuration& configuration) const { return prior_ ? (*prior_)(configuration) : 0; }
  SurrogateOptions how(bool use_prior, int sweeps) const {
    return {.usual_sd = use_prior ? kUsualBeside : kUsual, .weight = 3, .sweeps = sweeps};
  }

  // The scales follow from the first so many trials alone, not from the way there: a searcher that was only told the
  // trials has the same ones.
  void learn_scales() {
    const std::size_t n = told_.size();
    const std::size_t basis = n <= kOftenUntil ? n : n <= 2 * kOftenUntil ? n - n % 5 : n - n % 20;
    if (basis == learned_from_ && !scales_.empty()) return;
    learned_from_ = basis;
    const std::vector<Trial> first(told_.begin(), told_.begin() + static_cast<std::ptrdiff_t>(basis));
    Lesson lesson = lesson_of(lessons(first, kForScales), prior_.has_value(), !prior_);
    const double slope = lesson.line.b;
    const Surrogate model(std::move(lesson.points), std::move(lesson.values),
                          how(prior_.has_value(), kSweeps));
    scales_ = model.scales();
    if (prior_ && successes() >= kFewestToJudge) doubt_prior(first, slope, model.evidence());
  }

  // Drops the prior where the trials do not follow it, or are clearly better explained without it.
  void doubt_prior(const std::vector<Trial>& trials, double slope, double evidence) {
    Lesson lesson = lesson_of(lessons(trials, kForScales), false, false);
    const Surrogate alone(std::move(lesson.points), std::move(lesson.values), how(false, kSweeps));
    if (slope >= kNoSlope && alone.evidence() <= evidence + kClearly) return;
    remark_ = fmt::format("records of {} are not used any more: ", prior_->source());
    remark_ += slope < kNoSlope
                   ? fmt::format("the times of {} trials here do not follow them", trials.size())
                   : fmt::format("{} trials here are better explained without them", trials.size());
    prior_.reset();
    scales_ = alone.scales();
  }

  void learn(const std::vector<Trial>& trials) {
    Lesson lesson = lesson_of(lessons(trials, static_cast<std::size_t>(options_.most_points)),
                              prior_.has_value(), !prior_);
    line_ = lesson.line;
    model_.emplace(std::move(lesson.points), std::move(lesson.values), how(prior_.has_value(), 0), scales_);
  }

  // What was told, and what is on its way, believed to come out as predicted.
  void believe() {
    learn_scales();
    learn(told_);
    best_ = 1e300;
    for (const Trial& trial : told_)
      if (trial.outcome == Outcome::ok) best_ = std::min(best_, std::log(trial.us));
    if (pending_.empty()) return;
    std::vector<Trial> believed = told_;
    for (const Configuration& configuration : pending_)
      believed.push_back({configuration, Outcome::ok, std::exp(predict(configuration).mean)});
    learn(believed);
  }

  Surrogate::Prediction predict(const Configuration& configuration) const {
    Surrogate::Prediction p = model_->predict(space_.encode(configuration));
    p.mean += line_.at(prior_at(configuration));
    return p;
  }

  std::vector<Configuration> candidates(Random& random) const {
    std::vector<Configuration> list;
    for (int i = 0; i < options_.candidates; ++i) list.push_back(space_.sample(random));
    std::vector<Trial> sorted = told_;
    std::erase_if(sorted, [](const Trial& t) { return t.outcome != Outcome::ok; });
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const Trial& a, const Trial& b) { return a.us < b.us; });
    sorted.resize(std::min(sorted.size(), kOfBest));
    for (const Trial& trial : sorted) {
      for (Configuration& other : space_.neighbours(trial.configuration)) list.push_back(std::move(other));
      for (const Trial& mate : sorted)
        for (int i = 0; i < 4; ++i)
          list.push_back(space_.cross(trial.configuration, mate.configuration, 0.15, random));
    }
    if (prior_) {
      const auto& ranked = prior_->ranked();
      list.insert(list.end(), ranked.begin(),
                  ranked.begin() + static_cast<std::ptrdiff_t>(std::min(kRanked, ranked.size())));
    }
    return list;
  }

  Configuration best_candidate(Random& random) {
    believe();
    std::map<Configuration, double> scored;
    auto score = [&](const Configuration& configuration) {
      auto [it, fresh] = scored.try_emplace(configuration, 0);
      if (fresh) it->second = expected_improvement(best_, predict(configuration));
      return it->second;
    };
    std::vector<std::pair<double, Configuration>> starts;
    for (Configuration& configuration : candidates(random))
      if (!scored.contains(configuration) && !tried_.contains(configuration)) {
        const double gain = score(configuration);
        starts.emplace_back(gain, std::move(configuration));
      }
    if (starts.empty()) starts.emplace_back(0, tried_.draw(random));
    std::sort(starts.rbegin(), starts.rend());
    std::pair<double, Configuration> best = starts.front();
    starts.resize(std::min(starts.size(), static_cast<std::size_t>(options_.climbs)));
    for (auto& start : starts) best = std::max(best, climb(std::move(start), score));
    gain_ = best.first;
    return best.second;
  }

  // To the best untried neighbour, as long as one is better.
  std::pair<double, Configuration> climb(std::pair<double, Configuration> at,
                                         const std::function<double(const Configuration&)>& score) const {
    constexpr int kMostSteps = 10;
    for (int step = 0; step < kMostSteps; ++step) {
      std::pair<double, Configuration> next = at;
      for (Configuration& other : space_.neighbours(at.second))
        if (!tried_.contains(other))
          if (const double gain = score(other); gain > next.first) next = {gain, std::move(other)};
      if (next.first <= at.first) break;
      at = std::move(next);
    }
    return at;
  }

  const Space& space_;
  Tried tried_;
  std::uint64_t seed_;
  ModelOptions options_;
  std::optional<Prior> prior_;
  std::vector<Trial> told_;
  std::vector<Configuration> pending_;
  std::vector<double> scales_;
  std::size_t learned_from_ = 0;  // trials
  std::optional<Surrogate> model_;
  Line line_;
  double best_ = 0;
  std::optional<double> gain_;  // of the last decision
  std::string remark_;
};

}  // namespace

std::unique_ptr<Searcher> search_by_model(const Space& space, std::uint64_t seed, const ModelOptions& options,
                                          std::optional<Prior> prior) {
  TAILOR_CHECK(options.first >= 1 && options.candidates >= 1 && options.climbs >= 0 &&
               options.most_points >= 4);
  return std::make_unique<ByModel>(space, seed, options, std::move(prior));
}

}  // namespace tailor::tune

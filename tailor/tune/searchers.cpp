// The searchers without a model. Randomness of each decision is drawn from the seed and the number of configurations
// known by then, so a searcher that was told the same goes on alike.
#include "tailor/base/error.h"
#include "tailor/tune/searcher.h"
#include "tailor/tune/tried.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tailor::tune {
namespace {

// The generator of one decision.
Random random_of(std::uint64_t seed, std::size_t known) {
  Random mixed(seed * 0x9E3779B97F4A7C15u + known);
  return Random(mixed.next());
}

class Exhaustive : public Searcher {
 public:
  explicit Exhaustive(const Space& space) : space_(space), tried_(space) {}
  std::optional<Configuration> ask() override {
    for (; next_ < space_.count(); ++next_)
      if (Configuration configuration = space_.at(next_); tried_.insert(configuration)) return configuration;
    return std::nullopt;
  }
  void tell(const Trial& trial) override { tried_.insert(trial.configuration); }

 private:
  const Space& space_;
  Tried tried_;
  std::uint64_t next_ = 0;
};

class AtRandom : public Searcher {
 public:
  AtRandom(const Space& space, std::uint64_t seed) : tried_(space), seed_(seed) {}
  std::optional<Configuration> ask() override {
    if (tried_.all()) return std::nullopt;
    Random random = random_of(seed_, tried_.size());
    Configuration configuration = tried_.draw(random);
    tried_.insert(configuration);
    return configuration;
  }
  void tell(const Trial& trial) override { tried_.insert(trial.configuration); }

 private:
  Tried tried_;
  std::uint64_t seed_;
};

class Evolution : public Searcher {
 public:
  Evolution(const Space& space, std::uint64_t seed, const EvolutionOptions& options)
      : space_(space), tried_(space), seed_(seed), options_(options) {}

  std::optional<Configuration> ask() override {
    if (tried_.all()) return std::nullopt;
    Random random = random_of(seed_, tried_.size());
    const bool early = tried_.size() < static_cast<std::size_t>(options_.first) || best_.size() < 2;
    Configuration configuration = early ? tried_.draw(random) : child(random);
    tried_.insert(configuration);
    return configuration;
  }
  void tell(const Trial& trial) override {
    tried_.insert(trial.configuration);
    std::erase_if(best_, [&](const Trial& t) { return t.configuration == trial.configuration; });
    if (trial.outcome != Outcome::ok || !space_.allows(trial.configuration)) return;
    auto place = std::upper_bound(best_.begin(), best_.end(), trial,
                                  [](const Trial& a, const Trial& b) { return a.us < b.us; });
    best_.insert(place, trial);
    if (best_.size() > static_cast<std::size_t>(options_.parents)) best_.pop_back();
  }

 private:
  const Configuration& parent(Random& random) const {
    return best_[std::min(random.below(best_.size()), random.below(best_.size()))].configuration;
  }
  // An untried child; where crossing finds none, values come from anywhere more and more often.
  Configuration child(Random& random) const {
    constexpr int kPatience = 60;
    for (int i = 0; i < kPatience; ++i) {
      const double rate = options_.rate + (1 - options_.rate) * i / kPatience;
      Configuration made = space_.cross(parent(random), parent(random), rate, random);
      if (!tried_.contains(made)) return made;
    }
    return tried_.draw(random);
  }

  const Space& space_;
  Tried tried_;
  std::uint64_t seed_;
  EvolutionOptions options_;
  std::vector<Trial> best_;  // fastest first
};

}  // namespace

const char* name(Outcome outcome) {
  switch (outcome) {
    case Outcome::ok:
      return "ok";
    case Outcome::compile:
      return "compile";
    case Outcome::invalid:
      return "invalid";
    case Outcome::timeout:
      return "timeout";
    case Outcome::device_limit:
      return "device_limit";
    case Outcome::wrong_result:
      return "wrong_result";
  }
  return "?";
}

std::optional<Outcome> find_outcome(std::string_view text) {
  for (Outcome outcome : kOutcomes)
    if (text == name(outcome)) return outcome;
  return std::nullopt;
}

std::unique_ptr<Searcher> search_exhaustively(const Space& space) {
  return std::make_unique<Exhaustive>(space);
}

std::unique_ptr<Searcher> search_at_random(const Space& space, std::uint64_t seed) {
  return std::make_unique<AtRandom>(space, seed);
}

std::unique_ptr<Searcher> search_by_evolution(const Space& space, std::uint64_t seed,
                                              const EvolutionOptions& options) {
  TAILOR_CHECK(options.first >= 2 && options.parents >= 2 && options.rate >= 0 && options.rate <= 1);
  return std::make_unique<Evolution>(space, seed, options);
}

std::unique_ptr<Searcher> make_searcher(std::string_view name, const Space& space, std::uint64_t seed) {
  if (name == "exhaustive") return search_exhaustively(space);
  if (name == "random") return search_at_random(space, seed);
  if (name == "evolution") return search_by_evolution(space, seed);
  if (name == "model") return search_by_model(space, seed);
  throw Error(Code::unknown_name, fmt::format("there is no searcher '{}'", name), "--searcher",
              "write model, evolution, random or exhaustive");
}

}  // namespace tailor::tune

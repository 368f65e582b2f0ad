// search_fastest: from the last network that was accepted (or narrowly missed) one step further, judged with the short repair,
// then with the long one if that can still save it; the step shrinks where neither does.
#include "tailor/pipeline/fastest.h"

#include "tailor/base/interrupt.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tailor::pipeline {
namespace {

constexpr double kFirstStep = 0.85, kLastStep = 0.985;
constexpr double kNear = 0.3;     // points beyond the limit that are followed
constexpr double kHopeless = 10;  // points beyond it that no repair wins back
constexpr int kMostMisses = 2;    // narrow ones behind one another

struct Tried {
  Searched found;
  double drop = 0;
  bool refined = false;
};

struct Fastest {
  const FastestSteps& steps;
  double limit;

  bool within(double drop) const { return drop <= limit + 1e-9; }
  Tried refined(const Tried& tried) const {
    Tried again{steps.refine(tried.found), 0, true};
    again.found.ratio = tried.found.ratio, again.found.rounds = tried.found.rounds;
    again.drop = steps.drop(again.found.model);
    return again;
  }
  Tried step_from(const Tried& at, double share) const {
    Tried tried{steps.search(at.found, share), 0, false};
    tried.drop = steps.drop(tried.found.model);
    if (within(tried.drop) || !steps.refine || tried.drop > limit + kHopeless) return tried;
    Tried again = refined(tried);
    return again.drop < tried.drop ? again : tried;
  }
  void say(const Tried& tried, const char* verdict) const {
    if (steps.say)
      steps.say(fmt::format("{:.3f} of the latency loses {:.2f} points: {}", tried.found.ratio, tried.drop,
                            verdict));
  }
};

}  // namespace

Searched search_fastest(const graph::Model& original, double limit, const FastestSteps& steps) {
  const Fastest search{steps, limit};
  Tried best;
  best.found.model = original, best.refined = true;
  Tried at = best;
  double step = kFirstStep;
  for (int misses = 0; step < kLastStep;) {
    throw_if_interrupted();
    Tried next = search.step_from(at, step);
    const bool accepted = search.within(next.drop) && next.found.ratio < best.found.ratio,
               followed = !accepted && next.found.ratio < at.found.ratio && next.drop <= limit + kNear &&
                          misses < kMostMisses;
    search.say(next, accepted ? "accepted" : followed ? "a narrow miss, followed" : "too much");
    misses = followed ? misses + 1 : 0;
    if (accepted) best = next;
    at = accepted || followed ? std::move(next) : best;
    if (!accepted && !followed) step = (1 + step) / 2;
  }
  if (best.refined || !steps.refine) return best.found;
  Tried last = search.refined(best);
  search.say(last, search.within(last.drop) ? "repaired at length" : "the shorter repair stays");
  return search.within(last.drop) ? last.found : best.found;
}

}  // namespace tailor::pipeline

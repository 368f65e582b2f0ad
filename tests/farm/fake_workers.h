/// \file Workers that only pretend, for the master's tests: they answer at once, late, twice, with nonsense, or never
/// again. Times follow from the configuration, so what is best can be told beforehand.
#pragma once

#include "tailor/base/file.h"
#include "tailor/base/random.h"
#include "tailor/farm/master.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace tailor::testing {

/// The time that everybody measures for a configuration.
inline double time_of(const std::string& op, double share, const farm::Named& named) {
  const std::size_t hash = std::hash<std::string>{}(op + std::to_string(share) + tune::to_string(named));
  return 10 + static_cast<double>(Random(hash).next() % 1'000'000) / 1000;
}

inline const tune::VectorUnit kUnit = {16, 32, "avx512"};

inline farm::Hello hello_of(const std::string& host = "a", int cores = 8, const std::string& device = "d") {
  farm::Hello hello;
  hello.host = host, hello.machine = {device, "c++ 12", tune::kernel_hash()}, hello.unit = kUnit;
  for (int core = 0; core < cores; ++core) hello.cores.push_back(core);
  return hello;
}

inline std::vector<farm::Portion> portions_of_layers(const std::vector<std::string>& layers,
                                                     const std::vector<double>& shares = {1}) {
  std::vector<farm::Portion> portions;
  for (const double share : shares)
    for (const std::string& layer : layers)
      portions.push_back({{latency::parse_workload(layer), share, 1, 1}});
  return portions;
}

inline std::string answer_to(const farm::TrialOrder& order) {
  farm::TrialAnswer answer{order.ticket, {}, 0.1, 0};
  answer.record.key.op = latency::to_string(order.task.workload), answer.record.key.share = order.task.share;
  answer.record.configuration = order.configuration;
  answer.record.us = {time_of(answer.record.key.op, order.task.share, order.configuration)};
  return to_text(farm::FromWorker(answer));
}

inline std::string answer_to(const farm::ContestOrder& order) {
  farm::ContestAnswer answer{order.ticket, {}, ""};
  for (const farm::Named& named : order.configurations) {
    tune::Record record;
    record.key.op = latency::to_string(order.task.workload), record.key.share = order.task.share;
    record.configuration = named, record.tier = tune::Tier::exclusive;
    record.us = {time_of(record.key.op, order.task.share, named)};
    answer.records.push_back(record);
  }
  return to_text(farm::FromWorker(answer));
}

/// How likely things go wrong at each step of a worker.
struct Trouble {
  double die = 0, slow = 0, twice = 0, nonsense = 0, give_up = 0;
};

/// A master with fake workers; all that happens is drawn from a seed.
class World {
 public:
  World(farm::Master& master, std::vector<farm::Hello> hellos, const Trouble& trouble, std::uint64_t seed)
      : master_(master), trouble_(trouble), random_(seed) {
    for (farm::Hello& hello : hellos) fakes_.push_back({std::move(hello), {}, {}, false, true, 0, false});
  }

  /// One thing happens to one of them. The first worker is always well.
  void step() {
    bool any = false;
    for (const Fake& fake : fakes_) any = any || fake.alive;
    now_ += random_.uniform(0, any ? 0.2 : 50);
    const int rank = 1 + static_cast<int>(random_.below(fakes_.size()));
    if (Fake& fake = at(rank); fake.alive && now_ >= fake.asleep_until) act(rank, fake);
    if (random_.below(10) == 0) deliver(master_.tick(now_));
  }
  /// Until the master is done, or so many steps. @returns whether it is done
  bool run(int steps) {
    for (int i = 0; i < steps; ++i) {
      if (master_.done(now_)) return true;
      step();
    }
    return master_.done(now_);
  }
  double now() const { return now_; }
  /// The first worker is as unreliable as the others.
  void nobody_is_well() { well_ = 0; }
  std::set<int> in_trouble() const {
    std::set<int> ranks;
    for (std::size_t i = 0; i < fakes_.size(); ++i)
      if (fakes_[i].troubled) ranks.insert(static_cast<int>(i) + 1);
    return ranks;
  }

 private:
  struct Fake {
    farm::Hello hello;
    std::deque<std::string> inbox;
    std::deque<farm::ToWorker> orders;
    bool greeted = false, alive = true;
    double asleep_until = 0;
    bool troubled = false;
  };
  Fake& at(int rank) { return fakes_[static_cast<std::size_t>(rank) - 1]; }
  bool happens(double chance) { return random_.uniform() < chance; }
  void say(int rank, const std::string& line) { deliver(master_.receive(rank, line, now_)); }
  void deliver(const std::vector<farm::Letter>& letters) {
    for (const farm::Letter& letter : letters) at(letter.rank).inbox.push_back(letter.line);
  }

  void act(int rank, Fake& fake) {
    if (rank != well_ && go_wrong(rank, fake)) return;
    if (!fake.greeted) return fake.greeted = true, say(rank, to_text(farm::FromWorker(fake.hello)));
    if (!fake.inbox.empty()) return open(fake);
    if (!fake.orders.empty()) answer(rank, fake);
  }
  // Whether something happened instead of what should.
  bool go_wrong(int rank, Fake& fake) {
    if (happens(trouble_.die)) {
      fake.alive = false, fake.troubled = true;
      if (random_.below(2) == 0) deliver(master_.lose(rank, "it died", now_));
    } else if (happens(trouble_.slow)) {
      fake.asleep_until = now_ + random_.uniform(10, 200), fake.troubled = true;
    } else if (happens(trouble_.nonsense)) {
      fake.troubled = true;
      say(rank, nonsense());
    } else if (happens(trouble_.give_up)) {
      fake.alive = false, fake.troubled = true;
      say(rank, to_text(farm::FromWorker(farm::GiveUp{"no disk"})));
    } else {
      return false;
    }
    return true;
  }
  std::string nonsense() {
    const std::vector<std::string> list = {
        "",
        "{",
        "[1]",
        "{\"message\":\"trial\"}",
        "{\"message\":\"gossip\"}",
        std::string(300, '['),
        "{\"message\":\"trial\",\"ticket\":1,\"record\":{},\"measure_s\":0,\"repeated\":0}",
        "{\"message\":\"hello\",\"protocol\":1,\"host\":\"a\",\"cores\":[-1],\"device\":\"d\",\"versions\":"
        "\"\","
        "\"source\":\"\",\"floats\":1,\"registers\":1,\"unit\":\"\"}"};
    return list[random_.below(list.size())];
  }
  void open(Fake& fake) {
    const farm::ToWorker message = farm::read_to_worker(fake.inbox.front());
    fake.inbox.pop_front();
    if (std::holds_alternative<farm::Wait>(message)) fake.orders.clear();
    if (std::holds_alternative<farm::TrialOrder>(message)) fake.orders.push_back(message);
    const bool contest = std::holds_alternative<farm::ContestOrder>(message);
    if (contest) fake.orders.push_back(message);
    for (const Fake& other : fakes_) {
      if (&other == &fake || other.hello.host != fake.hello.host || other.troubled) continue;
      EXPECT_FALSE(contest && !other.orders.empty()) << "a neighbour works beside a contest";
      EXPECT_FALSE(!fake.troubled && !fake.orders.empty() && in_contest(other))
          << "work is ordered beside a contest";
    }
  }
  static bool in_contest(const Fake& fake) {
    return !fake.orders.empty() && std::holds_alternative<farm::ContestOrder>(fake.orders.front());
  }
  void answer(int rank, Fake& fake) {
    const farm::ToWorker order = fake.orders.front();
    fake.orders.pop_front();
    const auto* trial = std::get_if<farm::TrialOrder>(&order);
    const std::string line = trial ? answer_to(*trial) : answer_to(std::get<farm::ContestOrder>(order));
    say(rank, line);
    if (rank != well_ && happens(trouble_.twice)) say(rank, line);
  }

  farm::Master& master_;
  Trouble trouble_;
  Random random_;
  std::vector<Fake> fakes_;
  double now_ = 0;
  int well_ = 1;
};

/// Nobody tried twice; the trials by key.
inline std::map<tune::RecordKey, std::set<std::string>> tried_once(const std::vector<tune::Record>& records) {
  std::map<tune::RecordKey, std::set<std::string>> tried;
  for (const tune::Record& record : records)
    if (record.tier == tune::Tier::parallel) {
      EXPECT_TRUE(tried[record.key].insert(tune::to_string(record.configuration)).second)
          << record.key.op << " twice: " << tune::to_string(record.configuration);
    }
  return tried;
}

}  // namespace tailor::testing

// The loops of master and workers, and mailboxes for ranks that are threads.
#include "tailor/farm/post.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

namespace tailor::farm {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kPause = 0.2;  // until a clock or a signal is looked at again

void send_all(const Post& post, const std::vector<Letter>& letters) {
  for (const Letter& letter : letters) post.send(letter.rank, letter.line);
}

bool is_stop(const std::string& line) {
  try {
    return std::holds_alternative<Stop>(read_to_worker(line));
  } catch (const Error&) {
    return false;
  }
}

void work_until_stopped(Worker& worker, const Post& post) {
  post.send(0, worker.hello());
  while (!worker.stopped()) {
    throw_if_interrupted();
    while (std::optional<Letter> letter = post.receive(worker.idle() ? kPause : 0)) {
      worker.take(letter->line);
      if (worker.stopped()) return;
    }
    if (!worker.idle()) post.send(0, worker.work());
  }
}

}  // namespace

double run_master(Master& master, const Post& post, const std::function<void(const FarmStatus&)>& on_status) {
  const auto start = Clock::now();
  auto now = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  while (!master.done(now())) {
    throw_if_interrupted();
    if (const std::optional<Letter> letter = post.receive(kPause))
      send_all(post, master.receive(letter->rank, letter->line, now()));
    send_all(post, master.tick(now()));
    if (on_status) on_status({now(), master.trials(), master.take_remarks()});
  }
  send_all(post, master.farewell());
  return now();
}

void run_worker(const std::string& runner, const Post& post) {
  try {
    Worker worker(runner);
    return work_until_stopped(worker, post);
  } catch (const Error& error) {
    if (error.code() == Code::interrupted) throw;
    post.send(0, to_text(FromWorker(GiveUp{error.what()})));
  }
  for (;;) {
    throw_if_interrupted();
    const std::optional<Letter> letter = post.receive(kPause);
    if (letter && is_stop(letter->line)) return;
  }
}

struct Mailboxes::Box {
  std::mutex mutex;
  std::condition_variable filled;
  std::deque<Letter> letters;
};

Mailboxes::Mailboxes(int ranks) {
  for (int i = 0; i < ranks; ++i) boxes_.push_back(std::make_unique<Box>());
}
Mailboxes::~Mailboxes() = default;

Post Mailboxes::post_of(int rank) {
  auto send = [this, rank](int to, const std::string& line) {
    Box& box = *boxes_.at(static_cast<std::size_t>(to));
    std::lock_guard lock(box.mutex);
    box.letters.push_back({rank, line});
    box.filled.notify_one();
  };
  auto receive = [this, rank](double timeout_s) -> std::optional<Letter> {
    Box& box = *boxes_.at(static_cast<std::size_t>(rank));
    std::unique_lock lock(box.mutex);
    box.filled.wait_for(lock, std::chrono::duration<double>(timeout_s), [&] { return !box.letters.empty(); });
    if (box.letters.empty()) return std::nullopt;
    Letter letter = std::move(box.letters.front());
    box.letters.pop_front();
    return letter;
  };
  return {send, receive};
}

double run_here(Master& master, int workers, const std::string& runner,
                const std::function<void(const FarmStatus&)>& on_status) {
  Mailboxes mailboxes(workers + 1);
  std::vector<std::jthread> threads;
  for (int rank = 1; rank <= workers; ++rank)
    threads.emplace_back([post = mailboxes.post_of(rank), runner] {
      try {
        run_worker(runner, post);
      } catch (const Error&) {
        return;  // interrupted: the master is too, and says so
      } catch (const std::exception& error) {
        post.send(0, to_text(FromWorker(GiveUp{error.what()})));
      }
    });
  const Post post = mailboxes.post_of(0);
  try {
    return run_master(master, post, on_status);
  } catch (...) {
    send_all(post, master.farewell());
    throw;
  }
}

}  // namespace tailor::farm

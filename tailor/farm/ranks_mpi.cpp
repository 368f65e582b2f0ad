// MPI's post. Messages are sent without waiting and kept until they are gone; receiving looks, and sleeps in between,
// because MPI's own waiting keeps a core busy.
#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"
#include "tailor/farm/ranks.h"

#include <fmt/format.h>
#include <mpi.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <list>
#include <string_view>
#include <thread>

namespace tailor::farm {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kTag = 1;
constexpr int kLongestLine = 16 << 20;  // bytes
constexpr auto kNap = std::chrono::milliseconds(2);
constexpr auto kLastWords = std::chrono::seconds(5);  // for what is still under way at the end

// A message under way: MPI reads the text until the request is done.
struct Outgoing {
  std::string text;
  MPI_Request request = MPI_REQUEST_NULL;
};

class MpiPost {
 public:
  MpiPost() = default;
  MpiPost(const MpiPost&) = delete;
  MpiPost& operator=(const MpiPost&) = delete;
  ~MpiPost() {
    const auto end = Clock::now() + kLastWords;
    for (clear(); !outgoing_.empty() && Clock::now() < end; clear()) std::this_thread::sleep_for(kNap);
  }

  void send(int rank, const std::string& line) {
    clear();
    TAILOR_CHECK(line.size() <= static_cast<std::size_t>(kLongestLine));
    Outgoing& sent = outgoing_.emplace_back(Outgoing{line});
    MPI_Isend(sent.text.data(), static_cast<int>(line.size()), MPI_CHAR, rank, kTag, MPI_COMM_WORLD,
              &sent.request);
  }

  std::optional<Letter> receive(double timeout_s) {
    const auto end = Clock::now() + std::chrono::duration<double>(timeout_s);
    for (;;) {
      if (std::optional<Letter> letter = look()) return letter;
      throw_if_interrupted();
      if (::getppid() != parent_)
        throw Error(Code::runner_failed, "the process that started this rank is gone", "mpirun",
                    "records are kept: the same command goes on from them");
      if (Clock::now() >= end) return std::nullopt;
      std::this_thread::sleep_for(kNap);
    }
  }

 private:
  void clear() {
    outgoing_.remove_if([](Outgoing& sent) {
      int gone = 0;
      MPI_Test(&sent.request, &gone, MPI_STATUS_IGNORE);
      return gone != 0;
    });
  }
  std::optional<Letter> look() {
    int there = 0, length = 0;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, kTag, MPI_COMM_WORLD, &there, &status);
    if (there == 0) return std::nullopt;
    MPI_Get_count(&status, MPI_CHAR, &length);
    if (length < 0 || length > kLongestLine) length = kLongestLine;
    Letter letter{status.MPI_SOURCE, std::string(static_cast<std::size_t>(length), '\0')};
    MPI_Recv(letter.line.data(), length, MPI_CHAR, status.MPI_SOURCE, kTag, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
    return letter;
  }

  std::list<Outgoing> outgoing_;
  pid_t parent_ = ::getppid();
};

}  // namespace

Ranks::Ranks() {
  int provided = 0;
  if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS ||
      MPI_Comm_rank(MPI_COMM_WORLD, &rank_) != MPI_SUCCESS ||
      MPI_Comm_size(MPI_COMM_WORLD, &size_) != MPI_SUCCESS)
    throw Error(Code::runner_failed, "MPI does not start", "mpirun");
}

Post Ranks::post() {
  auto post = std::make_shared<MpiPost>();
  return {[post](int rank, const std::string& line) { post->send(rank, line); },
          [post](double timeout_s) { return post->receive(timeout_s); }};
}

void Ranks::leave() { MPI_Finalize(); }

void Ranks::abort(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::_Exit(exit_code);
}

// Open MPI's, MPICH's and Slurm's names of it.
bool is_later_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"})
    if (const char* rank = std::getenv(name)) return std::string_view(rank) != "0";
  return false;
}

}  // namespace tailor::farm

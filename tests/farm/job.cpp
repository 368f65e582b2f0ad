// Processes are found below the first one in /proc; their kind is told by name and by the rank in their environment.
#include "tests/farm/job.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <thread>

namespace tailor::testing {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The fourth word of /proc/PID/stat; names may hold blanks and brackets.
int parent_of(int pid) {
  const std::string stat = text_of("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t close = stat.rfind(')');
  if (close == std::string::npos) return -1;
  std::istringstream words(stat.substr(close + 1));
  std::string state;
  int parent = -1;
  words >> state >> parent;
  return state == "Z" ? -1 : parent;
}

std::string name_of(int pid) {
  std::string name = text_of("/proc/" + std::to_string(pid) + "/comm");
  while (name.ends_with('\n')) name.pop_back();
  return name;
}

std::string rank_of(int pid) {
  const std::string environment = '\0' + text_of("/proc/" + std::to_string(pid) + "/environ");
  const std::string name = std::string(1, '\0') + "OMPI_COMM_WORLD_RANK=";
  const std::size_t at = environment.find(name);
  return at == std::string::npos ? "" : environment.c_str() + at + name.size();
}

// The kernel cuts names after 15 letters.
std::optional<Victim> kind_of(int pid) {
  const std::string name = name_of(pid);
  if (name == "tailor-runner-k") return Victim::runner;
  if (name != "tailor-farm" || rank_of(pid).empty()) return std::nullopt;
  return rank_of(pid) == "0" ? Victim::master : Victim::worker;
}

[[noreturn]] void become(std::vector<std::string> words, const std::string& output) {
  const int file = ::open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || ::dup2(file, STDOUT_FILENO) < 0 || ::dup2(file, STDERR_FILENO) < 0) ::_exit(126);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execvp(pointers.front(), pointers.data());
  ::_exit(127);
}

}  // namespace

Job::Job(const std::vector<std::string>& words) {
  output_ = (fs::temp_directory_path() / ("tailor-job-" + std::to_string(::getpid()))).string();
  pid_ = ::fork();
  if (pid_ == 0) become(words, output_);
}

Job::~Job() {
  kill_all();
  std::error_code ignored;
  fs::remove(output_, ignored);
}

void Job::wait(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

bool Job::runs() {
  if (!ended_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) ended_ = true;
  return !ended_;
}

std::vector<int> Job::descendants() const {
  std::multimap<int, int> children;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/proc", ignored)) {
    const int pid = std::atoi(entry.path().filename().c_str());
    if (pid > 0) children.emplace(parent_of(pid), pid);
  }
  std::vector<int> found = {pid_};
  for (std::size_t i = 0; i < found.size(); ++i)
    for (auto [at, last] = children.equal_range(found[i]); at != last; ++at) found.push_back(at->second);
  found.erase(found.begin());
  return found;
}

bool Job::kill(Victim victim) {
  int chosen = -1;
  for (const int pid : descendants())
    if (kind_of(pid) == victim) chosen = std::max(chosen, pid);
  return chosen > 0 && ::kill(chosen, SIGKILL) == 0;
}

int Job::end(double seconds) {
  const auto until = Clock::now() + std::chrono::duration<double>(seconds);
  while (runs() && Clock::now() < until) wait(0.01);
  if (!ended_) return -1;
  return WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
}

void Job::kill_all() {
  std::vector<int> left = descendants();
  if (runs()) ::kill(pid_, SIGKILL);
  for (const int pid : left) ::kill(pid, SIGKILL);
  end(10);
  const auto gone = [](int pid) { return parent_of(pid) == -1; };
  for (int i = 0; i < 1000 && !std::all_of(left.begin(), left.end(), gone); ++i) wait(0.01);
}

std::string Job::words() const { return text_of(output_); }

}  // namespace tailor::testing

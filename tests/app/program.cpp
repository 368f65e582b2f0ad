#include "tests/app/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

namespace tailor::testing {
namespace {

constexpr double kPatience = 900;

void redirect(int fd, const std::string& path) {
  int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || ::dup2(file, fd) < 0) ::_exit(126);
}

// In the child: never returns.
[[noreturn]] void become(const std::vector<std::string>& arguments, const Start& start,
                         const std::string& out, const std::string& err, const std::string& temporary) {
  redirect(STDOUT_FILENO, out);
  redirect(STDERR_FILENO, err);
  ::setenv("TMPDIR", temporary.c_str(), 1);
  for (const auto& [name, value] : start.environment) ::setenv(name.c_str(), value.c_str(), 1);
  if (start.file_limit > 0) {
    auto bytes = static_cast<rlim_t>(start.file_limit);
    rlimit limit{bytes, bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  std::vector<std::string> words = {TAILOR_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(TAILOR_PROGRAM, pointers.data());
  ::_exit(127);
}

// The status as waitpid gives it.
int wait_for(pid_t child, const Start& start) {
  auto begin = std::chrono::steady_clock::now();
  bool interrupted = start.interrupt_after_s == 0;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) != child) {
    std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    if (!interrupted && spent.count() > start.interrupt_after_s) interrupted = ::kill(child, SIGINT) == 0;
    if (spent.count() > (start.kill_after_s > 0 ? start.kill_after_s : kPatience)) ::kill(child, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return status;
}

// Is a process left that was started with this temporary folder in its environment?
bool still_running(const std::string& temporary) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    std::ifstream file(entry.path() / "environ", std::ios::binary);
    std::string environment((std::istreambuf_iterator<char>(file)), {});
    if (environment.find("TMPDIR=" + temporary) != std::string::npos) return true;
  }
  return false;
}

// A runner that was told to end is given a moment.
bool ends_soon(const std::string& temporary) {
  for (int i = 0; i < 500 && still_running(temporary); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return !still_running(temporary);
}

}  // namespace

Finished run(const std::vector<std::string>& arguments, const Start& start) {
  TemporaryFolder folder;
  std::string out = start.stdout_file.empty() ? folder.fresh(".out").string() : start.stdout_file;
  std::string err = folder.fresh(".err").string();
  std::filesystem::path temporary = folder.path() / "tmp";
  std::filesystem::create_directory(temporary);
  pid_t child = ::fork();
  if (child == 0) become(arguments, start, out, err, temporary.string());
  int status = wait_for(child, start);
  Finished finished;
  finished.exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (start.stdout_file.empty()) finished.out = map_file(out).view();
  finished.err = map_file(err).view();
  if (!ends_soon(temporary.string())) finished.err += "LEFT BEHIND: a process";
  if (!std::filesystem::is_empty(temporary)) finished.err += "LEFT BEHIND: files";
  return finished;
}

Json document(const Finished& finished) {
  try {
    return parse_json(finished.out, "stdout");
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what() << "\n" << finished.out << finished.err;
    return nullptr;
  }
}

bool runtime_found() {
  static const bool found = run({"--version"}).out.find("none found") == std::string::npos;
  return found;
}

}  // namespace tailor::testing

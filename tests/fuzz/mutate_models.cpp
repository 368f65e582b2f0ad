// mutate_models [--count N] [--seconds S] [--from I] [--seed S] [--out FOLDER] [MODELS...]: mutants of the made seeds and
// of MODELS through the straight line. Mutant I of a seed is always the same. A finding is written to FOLDER (default: .)
// as finding-I.onnx, a crash too; exit code 1 if there was any.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/straight_line.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace tailor::fuzz {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::uint64_t count = ~std::uint64_t{0}, from = 0, seed = 1;
  double seconds = 60;
  std::string out = ".";
  std::vector<std::string> models;
};

std::string current;       // the mutant that is being tried
std::uint64_t number = 0;  // its number
std::string folder = ".";

void keep(const char* why) {
  std::string path = fmt::format("{}/finding-{}.onnx", folder, number);
  if (std::FILE* file = std::fopen(path.c_str(), "wb")) {
    std::fwrite(current.data(), 1, current.size(), file);
    std::fclose(file);
  }
  fmt::print(stderr, "mutant {}: {}: {}\n", number, why, path);
}
void on_death() { keep("crash"); }
void on_signal(int signal) {
  on_death();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

Options options_of(int count, char** arguments) {
  Options o;
  for (int i = 1; i < count; ++i) {
    std::string key = arguments[i];
    if (!key.starts_with("--") || i + 1 == count) {
      o.models.push_back(key);
      continue;
    }
    std::string value = arguments[++i];
    if (key == "--count") o.count = std::stoull(value);
    if (key == "--seconds") o.seconds = std::stod(value);
    if (key == "--from") o.from = std::stoull(value);
    if (key == "--seed") o.seed = std::stoull(value);
    if (key == "--out") o.out = value;
  }
  return o;
}

// Of ten mutants nine are of seeds that cost little.
const Seed& drawn(const std::vector<Seed>& made, const std::vector<Seed>& given, Random& random) {
  bool small = given.empty() || random.below(10) > 0;
  const std::vector<Seed>& list = small ? made : given;
  return list[random.below(list.size())];
}

int run(const Options& o) {
  std::vector<Seed> made, given;
  for (const std::string& bytes : made_seeds()) made.emplace_back(bytes);
  for (const std::string& path : o.models) given.emplace_back(map_file(path).view());
  std::array<std::uint64_t, 4> reached{};
  std::map<std::string, std::uint64_t> refusals;
  auto start = Clock::now();
  auto seconds = [&](Clock::time_point since) {
    return std::chrono::duration<double>(Clock::now() - since).count();
  };
  double slowest = 0;
  std::uint64_t slowest_number = 0, findings = 0, done = 0;
  for (number = o.from; done < o.count && seconds(start) < o.seconds; ++number, ++done) {
    Random random(o.seed * 1000003 + number);
    current = drawn(made, given, random).mutant(random);
    Bytes file(nullptr, std::as_bytes(std::span(current.data(), current.size())));
    auto began = Clock::now();
    Outcome outcome = straight_line(file, random.next());
    if (double took = seconds(began); took > slowest) slowest = took, slowest_number = number;
    ++reached[static_cast<std::size_t>(outcome.reached)];
    if (!outcome.refusal.empty()) ++refusals[outcome.refusal];
    if (!outcome.finding.empty()) keep(outcome.finding.c_str()), ++findings;
  }
  fmt::print(
      "{} mutants in {:.0f} s, {:.0f} a second: {} refused, {} inferred, {} grouped, {} cut; {} findings; "
      "slowest "
      "{:.2f} s (mutant {})\n",
      done, seconds(start), static_cast<double>(done) / seconds(start), reached[0], reached[1], reached[2],
      reached[3], findings, slowest, slowest_number);
  for (const auto& [code, times] : refusals) fmt::print("  {} {}\n", code, times);
  return findings == 0 ? 0 : 1;
}

}  // namespace
}  // namespace tailor::fuzz

int main(int count, char** arguments) {
  using namespace tailor::fuzz;
  Options options = options_of(count, arguments);
  folder = options.out;
  if (__sanitizer_set_death_callback)
    __sanitizer_set_death_callback(on_death);
  else
    for (int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS}) std::signal(signal, on_signal);
  try {
    return run(options);
  } catch (const tailor::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}

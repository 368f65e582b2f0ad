#include "tests/cuda/fake_runner.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fstream>

namespace tailor::testing {
namespace fs = std::filesystem;

FakeCuda::FakeCuda(const FakeOptions& options) {
  for (const char* name :
       {"libcuda.so.1", "libcublasLt.so.13", "libcudnn.so.9", "libcupti.so.13", "libnvrtc.so.13"}) {
    const fs::path file = folder_.path() / name;
    if (options.broken.contains(name))
      std::ofstream(file) << "no library";
    else
      fs::create_symlink(TAILOR_FAKE_CUDA, file);
  }
  command_ = fmt::format("exec env FAKE_CUDA='{}' FAKE_CUDA_LOG='{}' '{}' --libraries '{}' {}",
                         options.settings, (folder_.path() / "log").string(), TAILOR_RUNNER_CUDA,
                         folder_.path().string(), options.arguments);
}

std::vector<std::string> FakeCuda::logged(const std::string& word) const {
  std::ifstream file(folder_.path() / "log");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(word)) lines.push_back(line);
  return lines;
}

Json FakeRunner::ask(Json request) {
  request["id"] = next_id_++;
  constexpr double kPatience = 60;
  if (child_.write_line(to_line(request), kPatience) != Subprocess::Outcome::done) return {};
  for (;;) {
    Subprocess::Line line = child_.read_line(kPatience, std::size_t{1} << 26);
    if (line.outcome != Subprocess::Outcome::done) return {};
    Json answer = parse_json(line.text, "answer");
    if (!answer.contains("progress")) return answer;
  }
}

Json FakeRunner::time(const std::vector<std::string>& lines, bool evict) {
  Json request = {
      {"op", "time"}, {"rounds", 3}, {"min_sample_us", 100}, {"evict", evict}, {"jobs", Json::array()}};
  for (const std::string& line : lines) request["jobs"].push_back({{"workload", line}});
  return ask(std::move(request));
}

Json small_network() {
  return {
      {"layers",
       {{{"layer", "conv_mb1_g1_ic64ih56iw56_oc64oh56ow56_kh3kw3_sh1sw1_ph1pw1_f16+bn+relu"},
         {"in", {0}},
         {"out", 1}},
        {{"layer", "conv_mb1_g1_ic64ih56iw56_oc64oh56ow56_kh3kw3_sh1sw1_ph1pw1_f16+bn+add+relu"},
         {"in", {1, 0}},
         {"out", 2}},
        {{"layer", "pool_avg_mb1_c64ih56iw56_oh1ow1_kh56kw56_sh1sw1_ph0pw0_f16"}, {"in", {2}}, {"out", 3}},
        {{"layer", "gemm_m1_k64_n1000_f16+bias"}, {"in", {3}}, {"out", 4}},
        {{"layer", "eltwise_n1000_f16+sigmoid"}, {"in", {4}}, {"out", 5}}}}};
}

}  // namespace tailor::testing

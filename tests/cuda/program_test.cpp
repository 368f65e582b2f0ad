// The whole way on a GPU that is not there: tailor, the runner, the fake device; and scripts/gpu-check.
#include "tests/app/program.h"

#include "tailor/base/error.h"
#include "tailor/device/device.h"
#include "tailor/pipeline/gpu_analysis.h"
#include "tests/app/models.h"
#include "tests/app/schema_check.h"
#include "tests/cuda/fake_runner.h"
#include "tests/testing.h"
#include "tests/tune/needs_fibers.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>

namespace tailor::testing {
namespace {

namespace fs = std::filesystem;

void expect_valid(const char* schema, const Json& json) {
  for (const std::string& line : violations(document(run({"schema", schema})), json)) ADD_FAILURE() << line;
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A journal of its own: the fake's numbers must not be found by anybody else.
Start with_cache(const TemporaryFolder& folder) {
  return {.environment = {{"TAILOR_CACHE", (folder.path() / "cache").string()}}};
}

TEST(CudaProgram, AnalyzeMeasures) {
  TemporaryFolder folder;
  FakeCuda cuda({.settings = "sms=40,major=7,minor=5,name=Fake T4"});
  const std::string model = write_small(folder.path(), "small.onnx", 70).string();
  const std::vector<std::string> words = {"analyze", model,     "-d",          "cuda",     "--precision",
                                          "f16",     "--shape", "x:1x3x32x32", "--runner", cuda.command()};
  std::vector<std::string> as_json = words;
  as_json.push_back("--json");
  const Json json = document(run(as_json, with_cache(folder)));
  expect_valid("gpu-analysis", json);
  EXPECT_EQ(json["how"], "measured");
  EXPECT_EQ(json["device"], "Fake T4");
  ASSERT_EQ(json["layers"].size(), 4u);
  EXPECT_EQ(json["layers"][0]["name"], "first");
  // 32 x 32 outputs in tiles of 64 x 64, 70 channels: 16 x 2 blocks on 40 multiprocessors, one at a time.
  EXPECT_NE(json["layers"][0]["kernel"].get<std::string>().find("16x2x1 blocks"), std::string::npos) << json;
  EXPECT_GT(json["network_us"].get<double>(), json["kernels_us"].get<double>());
  EXPECT_GT(json["measured"].get<int>(), 10);
  ASSERT_FALSE(json["groups"].empty());
  for (const Json& group : json["groups"]) {
    bool made = false;  // by one of the layers that it names
    for (const Json& layer : group["layers"])
      made = made || json["layers"].at(layer.get<std::size_t>())["out_group"] == group["name"];
    EXPECT_TRUE(made) << group;
  }
  const std::filesystem::path page = folder.path() / "page.html", csv = folder.path() / "layers.csv";
  std::vector<std::string> with_page = words;
  with_page.insert(with_page.end(), {"--report", page.string(), "--csv", csv.string()});
  const Finished table = run(with_page, with_cache(folder));
  ASSERT_EQ(table.exit, 0) << table.err;
  EXPECT_NE(read_text(page).find("Analysis of "), std::string::npos);
  EXPECT_NE(read_text(csv).find("first,"), std::string::npos);
  for (const char* word :
       {"MEASURED", "Fake T4", "fake_fprop_64x64", "between them", "found, 0 measured now"})
    EXPECT_NE(table.out.find(word), std::string::npos) << word << "\n" << table.out;
}

TEST(CudaProgram, BenchComparesNetworks) {
  TemporaryFolder folder;
  FakeCuda cuda;
  const std::string a = write_small(folder.path(), "a.onnx", 640).string(),
                    b = write_small(folder.path(), "b.onnx", 64).string();
  const Json json = document(run({"bench", a, b, "-d", "cuda", "--precision", "f16", "--rounds", "9",
                                  "--runner", cuda.command(), "--json"}));
  expect_valid("bench", json);
  EXPECT_EQ(json["runtime"], "cuda");
  EXPECT_EQ(json["models"][1]["to_first"]["verdict"], "FASTER");
}

TEST(CudaProgram, ProbeWritesADescriptionThatCanBeUsed) {
  TemporaryFolder folder;
  FakeCuda cuda({.settings = "sms=58,major=8,minor=9,name=Fake L4"});
  const std::string toml = (folder.path() / "here.toml").string();
  const Finished probed = run({"devices", "probe", "-o", toml, "--runner", cuda.command()});
  ASSERT_EQ(probed.exit, 0) << probed.err;
  const device::Device d = device::find_device(toml);
  EXPECT_EQ(d.name, "fake-l4");
  EXPECT_EQ(d.sm.count, 58);
  EXPECT_EQ(d.architecture, "8.9");
  EXPECT_NEAR(d.gbytes_per_s, 4022.8, 1);  // 2 x 2619 MHz x 6144 bits
  const std::string model = write_small(folder.path(), "small.onnx", 18).string();
  EXPECT_EQ(run({"analyze", "-d", toml, model}).exit, 0);
}

TEST(CudaProgram, WithoutADeviceItSaysWhatIsMissing) {
  TemporaryFolder folder;
  FakeCuda cuda({.settings = "sms=0"});
  const std::string model = write_small(folder.path(), "small.onnx", 18).string();
  const Finished finished = run({"analyze", model, "-d", "cuda", "--runner", cuda.command()});
  EXPECT_EQ(finished.exit, 6);
  EXPECT_NE(finished.err.find("E6001"), std::string::npos) << finished.err;
  EXPECT_NE(finished.err.find("nvidia-smi"), std::string::npos) << finished.err;
}

TEST(CudaProgram, WrongUsageIsRefused) {
  TemporaryFolder folder;
  FakeCuda cuda;
  const std::string model = write_small(folder.path(), "small.onnx", 18).string();
  EXPECT_EQ(run({"analyze", model, "-d", "cuda", "--threads", "2", "--runner", cuda.command()}).exit, 2);
  EXPECT_EQ(run({"analyze", model, "-d", "cuda", "--precision", "tf32", "--runner", cuda.command()}).exit, 2);
  EXPECT_EQ(run({"analyze", model, "-d", "cuda", "--precision", "f64", "--runner", cuda.command()}).exit, 2);
  EXPECT_EQ(run({"bench", model, "-d", "t4"}).exit, 2);
  EXPECT_EQ(run({"bench", model, "--precision", "f16"}).exit, 2);
  // It never computes results, so nothing can be verified with it.
  EXPECT_EQ(run({"bench", model, "--runner", cuda.command()}).exit, 6);
}

TEST(CudaProgram, DoctorKnowsTheRunner) {
  const Json json = document(run({"doctor", "--noise-test", "0", "--json"}));
  bool found = false;
  for (const Json& finding : json["findings"]) found = found || finding["what"] == "cuda";
  EXPECT_TRUE(found) << json;
}

// --- scripts/gpu-check ----------------------------------------------------------------------------------------------

int shell(const std::string& command) { return std::system(command.c_str()); }

std::vector<Json> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<Json> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(parse_json(line, path.string()));
  return lines;
}

struct GpuCheck : ::testing::Test {
  void SetUp() override {
    if (shell("python3 --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no Python";
  }
  int check(const std::string& arguments) const {
    return shell(fmt::format("TAILOR='{}' python3 '{}/scripts/gpu-check' --out '{}' {} 2>'{}/err'",
                             TAILOR_PROGRAM, TAILOR_SOURCE_DIR, folder.path().string(), arguments,
                             folder.path().string()));
  }
  TemporaryFolder folder;
};

// Its own operators are too large for an emulation, so a script gives it others.
TEST_F(GpuCheck, TunesInSharesWhereThatIsBuilt) {
  NEEDS_FIBERS();
  FakeCuda cuda;
  const fs::path script = folder.path() / "bench.sh", runner = folder.path() / "runner.sh";
  std::ofstream(script) << "#!/bin/sh\nTAILOR_CUDA_LIBRARIES='" << cuda.folder().string()
                        << "' exec '" TAILOR_SHARING_BENCH "' \"$1\" 6 gemm_m130_k72_n72_f16+bias\n";
  fs::permissions(script, fs::perms::owner_all);
  std::ofstream(runner) << cuda.command() << "\n";
  ASSERT_EQ(
      shell(fmt::format(
          "TAILOR_SHARING_BENCH='{}' python3 '{}/scripts/gpu-check' --quick --out '{}' --runner 'sh {}' "
          "2>'{}/err'",
          script.string(), TAILOR_SOURCE_DIR, folder.path().string(), runner.string(),
          folder.path().string())),
      0);
  const std::string table = read_text(folder.path() / "fake-gpu" / "sharing.md");
  for (const char* part :
       {"| 1 |", "| 16 |", "per hour", "largest drift", "times the trials", "gemm_m130_k72_n72_f16+bias"})
    EXPECT_NE(table.find(part), std::string::npos) << part << "\n"
                                                   << table << read_text(folder.path() / "err");
}

TEST_F(GpuCheck, WritesWhatItMeasures) {
  FakeCuda cuda({.settings = "name=Fake H200"});
  std::ofstream(folder.path() / "runner.sh") << cuda.command() << "\n";
  ASSERT_EQ(check("--quick --runner 'sh " + (folder.path() / "runner.sh").string() + "'"), 0);
  const fs::path out = folder.path() / "fake-h200";
  const Json run = read_json(out / "run.json");
  EXPECT_EQ(run["layers"], 6) << run;
  EXPECT_EQ(run["deaths"], 0);
  EXPECT_TRUE(run["left_out"].empty()) << run;
  EXPECT_EQ(read_json(out / "device.json")["multiprocessors"], 132);
  const std::vector<Json> stairs = lines_of(out / "staircases.jsonl");
  ASSERT_EQ(stairs.size(), 6u);
  for (const Json& line : stairs) {
    EXPECT_EQ(line["us"].size(), line["widths"].size());
    EXPECT_FALSE(line["kernels"][0].empty()) << line;
  }
  const Json networks = read_json(out / "networks.json");
  ASSERT_EQ(networks.size(), 1u);
  EXPECT_EQ(networks[0]["full"]["us"].size(), 5u) << networks;
  EXPECT_LE(networks[0]["wider"]["over_beside"].get<double>(), 1.02) << networks;
  EXPECT_LE(networks[0]["narrower"]["over_beside"].get<double>(), 1.001) << networks;
  const Json partitions = read_json(out / "partitions.json");
  EXPECT_EQ(partitions[0]["asked"], 8) << partitions;
  EXPECT_EQ(partitions[0]["in_several_shares"], 0) << partitions;
  EXPECT_EQ(cuda.logged("misuse"), std::vector<std::string>{});
}

// The imitation's blocks all take as long as their multiply-accumulates: rounds explain it, a smooth line does not.
TEST_F(GpuCheck, FitsTheModelToIt) {
  FakeCuda cuda({.settings = "name=Fake H200"});
  std::ofstream(folder.path() / "runner.sh") << cuda.command() << "\n";
  ASSERT_EQ(check("--seconds 20 --runner 'sh " + (folder.path() / "runner.sh").string() + "'"), 0);
  const Json json = read_json(folder.path() / "fake-h200" / "fit.json", "tailor/device-fit/1");
  ASSERT_GE(json["kernels"].size(), 2u) << json;
  for (const Json& kernel : json["kernels"]) {
    EXPECT_LT(kernel["waves"]["median"].get<double>(), 0.05) << kernel;
    EXPECT_LT(kernel["waves"]["mean"].get<double>(), kernel["smooth"]["mean"].get<double>()) << kernel;
  }
  EXPECT_FALSE(json["precisions"].empty());
}

TEST_F(GpuCheck, GoesOnWhenTheRunnerDies) {
  FakeCuda cuda({.settings = "die=cudnnPoolingForward:1"});
  std::ofstream(folder.path() / "runner.sh") << cuda.command() << "\n";
  ASSERT_EQ(check("--quick --runner 'sh " + (folder.path() / "runner.sh").string() + "'"), 0);
  const Json run = read_json(folder.path() / "fake-gpu" / "run.json");
  EXPECT_GE(run["deaths"].get<int>(), 1);
  EXPECT_EQ(run["layers"], 6);
  EXPECT_TRUE(read_json(folder.path() / "fake-gpu" / "networks.json")[0].contains("left_out"));
}

TEST_F(GpuCheck, SaysWhatIsMissing) {
  FakeCuda cuda({.settings = "sms=0"});
  std::ofstream(folder.path() / "runner.sh") << cuda.command() << "\n";
  EXPECT_NE(check("--quick --runner 'sh " + (folder.path() / "runner.sh").string() + "'"), 0);
  std::ifstream file(folder.path() / "err");
  std::string words(std::istreambuf_iterator<char>(file), {});
  EXPECT_NE(words.find("nvidia-smi"), std::string::npos) << words;
}

}  // namespace
}  // namespace tailor::testing

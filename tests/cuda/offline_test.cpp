// cuDNN's own heuristics for devices that are only described, and this program's kernels through NVIDIA's assembler: both
// need no GPU, and are skipped where the library or the tool is missing.
#include "runners/cuda/dnn.h"
#include "runners/cuda/kernel_text.h"
#include "runners/cuda/plan.h"
#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <map>

// cuDNN never frees some of what it allocates: no leaks are looked for in a process that has loaded it. Asked by LeakSanitizer.
static bool dnn_is_loaded = false;
extern "C" int __lsan_is_turned_off();
extern "C" int __lsan_is_turned_off() { return dnn_is_loaded; }

namespace tailor::cuda {
namespace {

std::string conv(int outputs, const std::string& type) {
  return fmt::format("conv_mb1_g1_ic64ih56iw56_oc{}oh56ow56_kh3kw3_sh1sw1_ph1pw1_{}+bn+relu", outputs, type);
}

class Offline : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      libraries.dnn();
      dnn_is_loaded = true;
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
  Json plan(const std::string& device, const std::string& line, std::size_t most = 40) {
    return plan_described(libraries, device::facts_of(device::find_device(device)), parse_layer(line, true),
                          most);
  }
  Libraries libraries{{}};
};

TEST_F(Offline, NamesEnginesForADescribedDevice) {
  for (const char* device : {"t4", "a100", "h200", "b200"}) {
    Json answer = plan(device, conv(64, "f16"));
    ASSERT_FALSE(answer["choices"].empty()) << device;
    EXPECT_GE(answer["choices"][0]["engine"], 0) << device;
    EXPECT_EQ(answer["choices"][0]["mode"], "A") << device;
  }
}

TEST_F(Offline, TheChoiceDependsOnTheDevice) {
  std::map<std::string, int> firsts;
  for (const char* device : {"t4", "a100", "h200"}) {
    Json first = plan(device, conv(64, "f16"), 1)["choices"][0];
    ++firsts[to_line(first)];
  }
  EXPECT_GT(firsts.size(), 1u);
}

TEST_F(Offline, EveryTypeAndEveryFusedWordIsAGraph) {
  for (const char* type : {"f32", "f16", "bf16", "i8"})
    for (const char* post : {"", "+bias", "+bn+relu", "+bn+add+relu", "+bn+clip", "+bn+sigmoid", "+bias+tanh",
                             "+bn+leakyrelu"}) {
      const std::string line =
          fmt::format("conv_mb8_g1_ic64ih28iw28_oc128oh14ow14_kh3kw3_sh2sw2_ph1pw1_{}{}", type, post);
      EXPECT_FALSE(plan("a100", line)["choices"].empty()) << line;
    }
}

// What residual networks are made of must be one launch, or their latency is another one.
TEST_F(Offline, ResidualsAreFused) {
  for (const char* device : {"t4", "a100", "h200"})
    for (const char* type : {"f16", "bf16", "i8"}) {
      if (std::string(device) == "t4" && std::string(type) == "bf16") continue;  // Turing has no bf16
      const std::string line =
          fmt::format("conv_mb8_g1_ic64ih28iw28_oc64oh28ow28_kh3kw3_sh1sw1_ph1pw1_{}+bn+add+relu", type);
      EXPECT_EQ(plan(device, line)["fused"], 3) << device << " " << type;
    }
}

TEST_F(Offline, RefusesWhatIsNoConvolution) { EXPECT_THROW(plan("a100", "gemm_m1_k2_n3_f16"), Error); }

TEST(CudaKernels, AssembleForEveryArchitecture) {
  const char* assembler = std::getenv("TAILOR_PTXAS");
  const std::string tool = assembler ? assembler : "/usr/local/cuda/bin/ptxas";
  if (!std::filesystem::exists(tool)) GTEST_SKIP() << tool << " is missing";
  TemporaryFolder folder;
  write_file(folder.path() / "k.ptx", kKernelText);
  for (const char* architecture :
       {"sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_100", "sm_120"}) {
    const std::string command =
        fmt::format("{} -arch={} '{}' -o '{}'", tool, architecture, (folder.path() / "k.ptx").string(),
                    (folder.path() / "k.cubin").string());
    EXPECT_EQ(std::system(command.c_str()), 0) << architecture;
  }
}

TEST(CudaKernels, AllKernelsThatAreAskedForAreThere) {
  for (const char* name : {"tailor_elementwise_f32", "tailor_elementwise_f16", "tailor_elementwise_bf16",
                           "tailor_elementwise_i8", "tailor_spin"})
    EXPECT_NE(std::string(kKernelText).find(std::string(".entry ") + name), std::string::npos) << name;
}

}  // namespace
}  // namespace tailor::cuda

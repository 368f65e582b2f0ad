// CUDA kernels through NVRTC where it is there, without a GPU: every sampled variant compiles, with the shared memory that it
// was promised. And what runners answer that are damaged, slow or dead.
#include "runners/cuda/compiler.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/interrupt.h"
#include "tailor/tune/cuda_compiler.h"
#include "tailor/tune/cuda_source.h"
#include "tests/cuda/scripted_runner.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <set>

namespace tailor::tune {
namespace {

constexpr const char* kRunner = "exec '" TAILOR_RUNNER_CUDA "'";

class Nvrtc : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      compiler = find_cuda_compiler(kRunner);
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), Code::runtime_missing) << error.what();
      EXPECT_FALSE(error.help().empty());
      GTEST_SKIP() << error.what();
    }
    if (std::atoi(compiler.version.c_str()) < 12)
      GTEST_SKIP() << "NVRTC " << compiler.version << " has no sm_90a";
  }
  CudaCompiler compiler;
};

// The smallest and largest of everything that the space allows, and the usual configuration first.
std::vector<Configuration> corners(const latency::Workload& w, const Space& space,
                                   const device::Device& gpu) {
  constexpr std::int64_t kCorners[][9] = {{256, 128, 64, 3, 4, 2, 1, 8, 1}, {128, 256, 32, 6, 2, 4, 8, 1, 0},
                                          {256, 64, 128, 2, 4, 1, 1, 4, 0}, {192, 128, 32, 2, 2, 4, 2, 1, 0},
                                          {32, 32, 32, 2, 2, 2, 1, 1, 0},   {16, 64, 128, 6, 1, 4, 4, 1, 0},
                                          {64, 64, 64, 4, 2, 2, 1, 2, 1},   {128, 32, 32, 5, 8, 1, 1, 1, 1}};
  std::vector<Configuration> list = {usual_cuda_configuration(w, space, gpu)};
  for (const auto& values : kCorners) {
    Configuration c;
    for (std::size_t p = 0; p < 9; ++p) c.push_back(*space.find(p, Value(values[p])));
    if (space.allows(c)) list.push_back(c);
  }
  return list;
}

void expect_as_promised(const CudaBuild& build, const CudaLaunch& launch) {
  ASSERT_EQ(build.outcome, Outcome::ok) << build.message;
  const CudaKernelFacts* product = build.find("product");
  ASSERT_TRUE(product);
  EXPECT_EQ(product->shared_bytes, launch.static_bytes());
  // Sums stay in registers, unless they are over with one step: then the compiler takes them one by one.
  EXPECT_TRUE(launch.steps() == launch.split || product->registers > launch.bm * launch.bn / launch.threads)
      << product->registers;
  EXPECT_LE(product->registers * launch.threads, 65536);
  EXPECT_EQ(build.find("finish") != nullptr, launch.split > 1);
  EXPECT_GT(build.cubin_bytes, 1000);
  EXPECT_GT(build.seconds, 0);
}

void compile_some(const std::string& layer, const CudaCompiler& compiler, int count) {
  const latency::Workload w = latency::parse_workload(layer);
  const device::Device gpu = device::find_device("h200");
  const Space space = cuda_space(w, gpu);
  std::vector<Configuration> configurations = corners(w, space, gpu);
  ASSERT_GE(configurations.size(), 7u);
  Random random(11);
  for (int i = 0; i < count; ++i) configurations.push_back(space.sample(random));
  std::vector<std::string> texts;
  for (const Configuration& c : configurations) texts.push_back(cuda_source(w, space, c));
  const std::vector<CudaBuild> builds = compile_cuda(texts, cuda_architecture(gpu), compiler, 2);
  ASSERT_EQ(builds.size(), texts.size());
  for (std::size_t i = 0; i < builds.size(); ++i) {
    SCOPED_TRACE(layer + ", " + space.text(configurations[i]));
    expect_as_promised(builds[i], cuda_launch(w, space, configurations[i]));
  }
  EXPECT_FALSE(builds.front().find("product")->spills()) << "of the usual configuration";
  EXPECT_EQ(builds.front().find("product")->stack_bytes, 0);
}

TEST_F(Nvrtc, ProductsCompile) { compile_some("gemm_m4096_k4096_n4096_f16+bias", compiler, 10); }
TEST_F(Nvrtc, ConvolutionsCompile) {
  compile_some("conv_mb8_g1_ic64ih56iw56_oc128oh56ow56_kh3kw3_sh1sw1_ph1pw1_f16+bn+add+relu", compiler, 10);
}
TEST_F(Nvrtc, SmallStridedConvolutionsCompile) {
  compile_some("conv_mb8_g1_ic256ih56iw56_oc512oh28ow28_kh1kw1_sh2sw2_ph0pw0_f16+bias", compiler, 10);
}

// Rows that nothing but single elements divides, on every architecture that has a description.
TEST_F(Nvrtc, EveryArchitectureCompiles) {
  const latency::Workload w =
      latency::parse_workload("conv_mb1_g1_ic3ih224iw224_oc63oh112ow112_kh7kw7_sh2sw2_ph3pw3_f16+bias+clip");
  for (const char* name : {"t4", "a100", "rtx3090", "l4", "h200"}) {
    const device::Device gpu = device::find_device(name);
    const Space space = cuda_space(w, gpu);
    const Configuration usual = usual_cuda_configuration(w, space, gpu);
    const CudaBuild build =
        compile_cuda({cuda_source(w, space, usual)}, cuda_architecture(gpu), compiler, 1).front();
    SCOPED_TRACE(name);
    expect_as_promised(build, cuda_launch(w, space, usual));
  }
}

TEST_F(Nvrtc, CubinsAreWrittenToFiles) {
  TemporaryFolder folder;
  const latency::Workload w = latency::parse_workload("gemm_m64_k64_n64_f16");
  const device::Device gpu = device::find_device("h200");
  const Space space = cuda_space(w, gpu);
  const std::filesystem::path file = folder.path() / "kernel.cubin", none = folder.path() / "none.cubin";
  const std::vector<CudaBuild> builds = compile_cuda({cuda_source(w, space, space.at(0)), "no C at all"},
                                                     "sm_90a", compiler, 1, {}, {file, none});
  ASSERT_EQ(builds[0].outcome, Outcome::ok) << builds[0].message;
  const Bytes bytes = map_file(file);
  EXPECT_EQ(static_cast<std::int64_t>(bytes.size()), builds[0].cubin_bytes);
  EXPECT_TRUE(
      bytes.view().starts_with("\x7f"
                               "ELF"));
  EXPECT_FALSE(std::filesystem::exists(none));
}

TEST_F(Nvrtc, WhatTheLaunchIsToldIsChecked) {
  const latency::Workload w = latency::parse_workload("gemm_m64_k64_n64_f16");
  const device::Device gpu = device::find_device("h200");
  const Space space = cuda_space(w, gpu);
  std::string text = cuda_source(w, space, space.at(0));
  text.insert(text.find('\n', text.find("#define SHARED_BYTES")), " + 128");
  const std::vector<CudaBuild> builds = compile_cuda({text, "no C at all"}, "sm_90a", compiler, 1);
  for (const CudaBuild& build : builds) EXPECT_EQ(build.outcome, Outcome::compile);
  EXPECT_NE(builds.front().message.find("what the launch is told"), std::string::npos)
      << builds.front().message;
}

TEST_F(Nvrtc, AnUnknownArchitectureIsRefused) {
  auto refused = [&](const char* architecture) {
    try {
      compile_cuda({"x"}, architecture, compiler, 1);
    } catch (const Error& error) {
      EXPECT_FALSE(error.help().empty());
      return error.code();
    }
    return Code::bug;
  };
  EXPECT_EQ(refused("sm_20"), Code::runtime_refused);
  compiler.architectures.push_back(20);
  EXPECT_EQ(refused("sm_20"), Code::runtime_refused) << "in the compiler's own words";
  EXPECT_EQ(refused("20; x"), Code::bad_value);
}

CudaCompiler scripted(const std::string& command, double timeout_s = 10) {
  CudaCompiler compiler;
  compiler.command = command, compiler.version = "0", compiler.architectures = {90},
  compiler.timeout_s = timeout_s;
  return compiler;
}
CudaBuild build_by(const CudaCompiler& compiler) {
  return compile_cuda({"x"}, "sm_90a", compiler, 1).front();
}
Code code_by(const std::string& json) {
  try {
    build_by(scripted(testing::runner_that_answers(json)));
  } catch (const Error& error) {
    EXPECT_FALSE(error.help().empty()) << json;
    EXPECT_FALSE(std::string(error.what()).empty());
    return error.code();
  }
  return Code::bug;
}

TEST(CudaRunner, DamagedAnswersAreErrors) {
  const std::string kernel =
      R"({"name":"product","registers":80,"shared_bytes":0,"stack_bytes":0,"spill_stores":0,"spill_loads":0})";
  auto answer = [](const std::string& kernels, const std::string& rest = R"("seconds":1,"cubin_bytes":9)") {
    return R"({"id":ID,"ok":true,"outcome":"ok",)" + rest + R"(,"kernels":)" + kernels + "}";
  };
  EXPECT_EQ(build_by(scripted(testing::runner_that_answers(answer("[" + kernel + "]")))).outcome,
            Outcome::ok);
  auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = kernel;
    return answer("[" + text.replace(text.find(from), from.size(), to) + "]");
  };
  for (const std::string& bad :
       {std::string("nothing like JSON"), std::string("[]"), std::string("{}"),
        std::string(R"({"id":77,"ok":true})"), std::string(R"({"id":"ID","ok":true})"),
        std::string(R"({"id":ID,"ok":"yes"})"),
        std::string(R"({"id":ID,"ok":true,"outcome":"fine","seconds":1})"), answer("[]"), answer("3"),
        answer("[" + kernel + "]", R"("seconds":-1,"cubin_bytes":9)"),
        answer("[" + kernel + "]", R"("seconds":1,"cubin_bytes":1e30)"), changed("80", "0"),
        changed("80", "-80"), changed("80", "256"), changed("80", "\"many\""), changed("product", "other"),
        changed("\"spill_loads\":0", "\"x\":0"),
        changed("\"spill_stores\":0", "\"spill_stores\":99999999999999")})
    EXPECT_EQ(code_by(bad), Code::runner_failed) << bad;
}

TEST(CudaRunner, ItsOwnErrorsAreHandedOn) {
  EXPECT_EQ(
      code_by(R"({"id":ID,"ok":false,"kind":"device","code":"E6001","message":"none","help":"install it"})"),
      Code::runtime_missing);
  EXPECT_EQ(code_by(R"({"id":ID,"ok":false,"kind":"refused","code":"E6003","message":"old","help":"newer"})"),
            Code::runtime_refused);
  const CudaBuild build = build_by(scripted(
      testing::runner_that_answers(R"({"id":ID,"ok":false,"kind":"memory","message":"out of memory"})")));
  EXPECT_EQ(build.outcome, Outcome::invalid);
  EXPECT_EQ(build.message, "out of memory");
}

TEST(CudaRunner, ACompilerThatDiesOrHangsCostsOneText) {
  const CudaBuild dead = build_by(scripted("read line; echo 'out of luck' >&2; kill -SEGV $$"));
  EXPECT_EQ(dead.outcome, Outcome::invalid);
  EXPECT_NE(dead.message.find("signal 11"), std::string::npos) << dead.message;
  EXPECT_NE(dead.message.find("out of luck"), std::string::npos) << dead.message;
  const CudaBuild slow = build_by(scripted("exec sleep 60", 0.3));
  EXPECT_EQ(slow.outcome, Outcome::timeout);
  EXPECT_NE(slow.message.find("0.3 s"), std::string::npos) << slow.message;
}

// The scripted cubin's size says which text it is of.
TEST(CudaRunner, BuildsAreInTheOrderOfTheirTexts) {
  CudaCompiler compiler = scripted(testing::scripted_compiler());
  std::vector<std::string> texts;
  for (int i = 0; i < 40; ++i) texts.push_back(fmt::format("#define BM {}\n", 1000 + i));
  std::set<int> told;
  const std::vector<CudaBuild> builds =
      compile_cuda(texts, "sm_90a", compiler, 3, [&](int done) { told.insert(done); });
  for (int i = 0; i < 40; ++i) EXPECT_EQ(builds[static_cast<std::size_t>(i)].cubin_bytes, 1000 + i);
  EXPECT_EQ(told.size(), 40u);
  EXPECT_EQ(*told.rbegin(), 40);
}

TEST(CudaRunner, CtrlCEndsAllCompilers) {
  const auto start = std::chrono::steady_clock::now();
  set_interrupted(true);
  Code code = Code::bug;
  try {
    compile_cuda({"a", "b", "c"}, "sm_90a", scripted("exec sleep 60"), 3);
  } catch (const Error& error) {
    code = error.code();
  }
  set_interrupted(false);
  EXPECT_EQ(code, Code::interrupted);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST(CudaRunner, OneThatIsNotThereIsAnError) {
  auto code = [](const std::string& command) {
    try {
      find_cuda_compiler(command);
    } catch (const Error& error) {
      EXPECT_FALSE(error.help().empty());
      return error.code();
    }
    return Code::bug;
  };
  EXPECT_EQ(code("exec /nowhere/runner"), Code::runner_failed);
  EXPECT_EQ(code(testing::runner_that_answers(R"({"id":ID,"ok":true,"version":13})")), Code::runner_failed);
  EXPECT_EQ(
      code(testing::runner_that_answers(
          R"({"id":ID,"ok":false,"kind":"device","code":"E6001","message":"libnvrtc is missing","help":"install it"})")),
      Code::runtime_missing);
}

// A library that is there and is none: the folder was named, so it is not passed over.
TEST(CudaRunner, ABrokenLibraryIsNamed) {
  TemporaryFolder folder;
  std::ofstream(folder.path() / "libnvrtc.so.13") << "no library";
  try {
    find_cuda_compiler(fmt::format("{} --libraries '{}'", kRunner, folder.path().string()));
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::runtime_missing);
    EXPECT_NE(error.place().find("libnvrtc.so.13"), std::string::npos) << error.place();
    EXPECT_FALSE(error.help().empty());
  }
}

TEST(CudaLog, FactsAreReadLineByLine) {
  const std::vector<cuda::KernelFacts> kernels = cuda::kernels_in_log(
      "kernel.cu(3): warning: something with 7 registers\n"
      "ptxas info    : 0 bytes gmem, 8 bytes cmem[4]\n"
      "ptxas info    : Compiling entry function 'finish' for 'sm_90a'\n"
      "ptxas info    : Function properties for finish\n"
      "    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n"
      "ptxas info    : Used 12 registers, used 0 barriers\n"
      "ptxas info    : Compiling entry function 'product' for 'sm_90a'\n"
      "ptxas         .     16 bytes stack frame, 24 bytes spill stores, 32 bytes spill loads\n"
      "ptxas info    : Used 255 registers, used 1 barriers, 49152 bytes smem, 400 bytes cmem[0]\n");
  ASSERT_EQ(kernels.size(), 2u);
  EXPECT_EQ(kernels[0].name, "finish");
  EXPECT_EQ(kernels[0].registers, 12);
  EXPECT_EQ(kernels[0].shared_bytes, 0);
  EXPECT_EQ(kernels[1].name, "product");
  EXPECT_EQ(kernels[1].registers, 255);
  EXPECT_EQ(kernels[1].shared_bytes, 49152);
  EXPECT_EQ(kernels[1].stack_bytes, 16);
  EXPECT_EQ(kernels[1].spill_stores, 24);
  EXPECT_EQ(kernels[1].spill_loads, 32);
}

TEST(CudaLog, DamagedLogsSayNothing) {
  EXPECT_TRUE(cuda::kernels_in_log("").empty());
  EXPECT_TRUE(cuda::kernels_in_log("Used 12 registers\n\n\n registers").empty());
  EXPECT_TRUE(cuda::kernels_in_log("Compiling entry function 'never closed").empty());
  const auto odd = cuda::kernels_in_log(
      "Compiling entry function 'a' for\n registers\nUsed 99999999999999999999 registers\nUsed x registers\n "
      "bytes smem");
  ASSERT_EQ(odd.size(), 1u);
  EXPECT_EQ(odd[0].registers, 0);
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "Compiling entry function 'k' for\n";
  EXPECT_EQ(cuda::kernels_in_log(many).size(), 64u);
}

}  // namespace
}  // namespace tailor::tune

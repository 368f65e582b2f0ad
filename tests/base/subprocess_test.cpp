#include "tailor/base/subprocess.h"

#include "tailor/base/error.h"
#include "tailor/base/interrupt.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace tailor {
namespace {

using Outcome = Subprocess::Outcome;
constexpr double kLong = 20;

TEST(Subprocess, SpeaksInLines) {
  Subprocess child("cat");
  EXPECT_EQ(child.write_line("one", kLong), Outcome::done);
  EXPECT_EQ(child.write_line("two", kLong), Outcome::done);
  EXPECT_EQ(child.read_line(kLong, 100).text, "one");
  EXPECT_EQ(child.read_line(kLong, 100).text, "two");
  EXPECT_EQ(child.end(kLong), "exit status 0");
}

TEST(Subprocess, LargeLinesPassBothWays) {
  Subprocess child("read x; echo \"$x\"");
  std::string line(300'000, 'x');  // more than any pipe holds
  EXPECT_EQ(child.write_line(line, kLong), Outcome::done);
  EXPECT_EQ(child.read_line(kLong, 1 << 20).text, line);
}

TEST(Subprocess, GetsItsEnvironment) {
  Subprocess child("echo $TAILOR_X", {{"TAILOR_X", "a b"}});
  EXPECT_EQ(child.read_line(kLong, 100).text, "a b");
}

TEST(Subprocess, ADeadChildIsAResultAndNoSignal) {
  Subprocess child("echo why >&2; exit 3");
  EXPECT_EQ(child.read_line(kLong, 100).outcome, Outcome::closed);
  EXPECT_EQ(child.end(kLong), "exit status 3");
  EXPECT_EQ(child.last_errors(), "why");
  EXPECT_EQ(child.write_line("x", kLong), Outcome::closed);
  EXPECT_EQ(child.end(kLong), "exit status 3");
}

TEST(Subprocess, WritingToAChildThatReadsNothing) {
  Subprocess gone("exec 0<&-; echo ready; sleep 30");
  EXPECT_EQ(gone.read_line(kLong, 100).text, "ready");
  EXPECT_EQ(gone.write_line("x", kLong), Outcome::closed);
  Subprocess deaf("sleep 30");
  EXPECT_EQ(deaf.write_line(std::string(1 << 20, 'x'), 0.1), Outcome::timeout);
}

TEST(Subprocess, SignalsAreNamed) {
  Subprocess child("kill -SEGV $$");
  EXPECT_NE(child.end(kLong).find("signal 11"), std::string::npos);
}

TEST(Subprocess, TimeoutAndLimit) {
  Subprocess silent("sleep 30");
  EXPECT_EQ(silent.read_line(0.05, 100).outcome, Outcome::timeout);
  Subprocess chatty("head -c 100000 /dev/zero; sleep 30");
  EXPECT_EQ(chatty.read_line(kLong, 5000).outcome, Outcome::too_long);
  Subprocess exact("printf 12345; echo; echo 123456");
  EXPECT_EQ(exact.read_line(kLong, 5).text, "12345");
  EXPECT_EQ(exact.read_line(kLong, 5).outcome, Outcome::too_long);
}

TEST(Subprocess, AFloodOfComplaintsNeitherBlocksNorIsKept) {
  Subprocess child(
      "i=0; while [ $i -lt 3000 ]; do echo \"line $i xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" >&2; "
      "i=$((i+1)); done; echo done");
  EXPECT_EQ(child.read_line(kLong, 100).text, "done");
  child.end(kLong);
  std::string errors = child.last_errors();
  EXPECT_TRUE(errors.starts_with("line 2980 "));
  EXPECT_NE(errors.find("line 2999 "), std::string::npos);
}

TEST(Subprocess, TheWholeGroupIsKilled) {
  std::string grandchild;
  {
    Subprocess child("sleep 1000 & echo $!; wait");
    grandchild = child.read_line(kLong, 100).text;
    EXPECT_EQ(child.end(0), "killed");
  }
  pid_t pid = std::stoi(grandchild);
  for (int i = 0; i < 200 && ::kill(pid, 0) == 0; ++i) {  // an orphan is reaped by init, or stays a zombie
    std::ifstream stat("/proc/" + grandchild + "/stat");
    std::string id, name, state;
    stat >> id >> name >> state;
    if (state == "Z") return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST(Subprocess, CtrlCEndsAWait) {
  Subprocess child("sleep 30");
  set_interrupted(true);
  EXPECT_THROW(child.read_line(kLong, 100), Error);
  set_interrupted(false);
}

TEST(Interrupt, TheFirstSignalSetsTheFlag) {
  catch_interrupts();
  EXPECT_FALSE(interrupted());
  ::raise(SIGINT);
  EXPECT_TRUE(interrupted());
  try {
    throw_if_interrupted();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::interrupted);
  }
  set_interrupted(false);
  EXPECT_NO_THROW(throw_if_interrupted());
}

TEST(InterruptDeathTest, TheSecondKills) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        catch_interrupts();
        ::raise(SIGINT);
        ::raise(SIGINT);
      },
      ::testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace tailor

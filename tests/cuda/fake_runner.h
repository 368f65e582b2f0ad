/// \file tailor-runner-cuda on a device that is not there: the real program, spoken to in its protocol, with the fake
/// libraries under the names of CUDA's.
#pragma once

#include "tailor/base/file.h"
#include "tailor/base/json.h"
#include "tailor/base/subprocess.h"
#include "tailor/runtime/runner.h"

#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace tailor::testing {

struct FakeOptions {
  std::string settings = {};          // FAKE_CUDA, see fake_device.h
  std::set<std::string> broken = {};  // files that are there and cannot be loaded: "libcudnn.so.9"
  std::string arguments = {};         // of the runner
};

/// The folder with the libraries, the log and the command line that uses them.
class FakeCuda {
 public:
  explicit FakeCuda(const FakeOptions& options = {});
  const std::string& command() const { return command_; }
  /// Lines that the fake wrote that begin with `word`; complete once the runner has ended.
  std::vector<std::string> logged(const std::string& word) const;
  std::filesystem::path folder() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
  std::string command_;
};

/// A runner spoken to by hand.
class FakeRunner {
 public:
  explicit FakeRunner(const FakeOptions& options = {}) : cuda(options), child_(cuda.command()) {}
  /// The answer; null if the runner ended. Progress is passed over.
  Json ask(Json request);
  /// Answer of "time" to these layers.
  Json time(const std::vector<std::string>& lines, bool evict = false);
  /// Ends it and says how it ended.
  std::string end() { return child_.end(5); }

  FakeCuda cuda;

 private:
  Subprocess child_;
  int next_id_ = 1;
};

/// conv -> conv with a residual -> pooling -> product: what networks are made of.
Json small_network();

}  // namespace tailor::testing

/// \file Texts that are compiled once, however many want them and whenever: trials of one tile of registers share a kernel.
#pragma once

#include "tailor/base/file.h"
#include "tailor/tune/kernel_bench.h"

#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <mutex>
#include <string>

namespace tailor::tune {

class CompiledOnce {
 public:
  using Compile = std::function<Compiled(const std::string& text, const std::filesystem::path& file)>;
  /// @param extension of the files, which go with this object
  CompiledOnce(Compile compile, std::string extension);

  /// As the first who asked for the text had it compiled; whoever asks meanwhile waits, and `seconds` is 0 for all others.
  /// What ran out of time, or threw, is tried again by the next. Thread-safe. @throws as the function
  Compiled of(const std::string& text);

 private:
  Compiled first(const std::string& text, const std::filesystem::path& file, std::promise<Compiled> promise);

  Compile compile_;
  std::string extension_;
  TemporaryFolder folder_;
  std::mutex mutex_;
  std::map<std::string, std::shared_future<Compiled>> known_;
};

}  // namespace tailor::tune

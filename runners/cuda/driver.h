/// \file CUDA's libraries as values: tables of functions, loaded at run time.
///
/// Nothing of CUDA is needed to build or to start the program. Each library is loaded when it is first needed; one that
/// is missing is an Error that says what was looked for, where, and what to do.
#pragma once

#include "runners/cuda/api.h"

#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tailor::cuda {

/// A function of a library failed. `memory`: for want of memory; `fatal`: the device's context is lost with it, and only
/// a new process can go on.
class CallFailed : public std::exception {
 public:
  CallFailed(std::string text, bool out_of_memory, bool context_lost)
      : memory(out_of_memory), fatal(context_lost), text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }
  const bool memory, fatal;

 private:
  std::string text_;
};

/// The libraries. A file that is named by the user's folders but does not load is an error and is not passed over.
class Libraries {
 public:
  /// @param folders looked in before the system's own places, in this order
  explicit Libraries(std::vector<std::string> folders) : folders_(std::move(folders)) {}

  /// @throws Error runtime_missing: not found, not loadable, or without a function that is needed
  const DriverFunctions& driver();
  const BlasFunctions& blas();
  const DnnFunctions& dnn();
  const CuptiFunctions& cupti();
  const NvrtcFunctions& nvrtc();
  /// Partitions of the device; nullptr if the driver is too old for them. @throws as driver()
  const GreenFunctions* green();
  /// Where a library was found, by its name without version: "libcudnn"; "" if it is not loaded.
  std::string file_of(const std::string& library) const;

  /// Success or CallFailed. `call` is the symbol that was called.
  void check(Status status, const char* call);
  void check_blas(Status status, const char* call) const;
  void check_dnn(Status status, const char* call) const;
  void check_nvrtc(Status status, const char* call) const;

 private:
  struct Loaded {
    std::string library, file;
    void* handle;
  };
  void* load(const std::string& library, const std::vector<std::string>& versions, const char* help);

  std::vector<std::string> folders_;
  std::vector<Loaded> loaded_;
  std::optional<DriverFunctions> driver_;
  std::optional<BlasFunctions> blas_;
  std::optional<DnnFunctions> dnn_;
  std::optional<CuptiFunctions> cupti_;
  std::optional<NvrtcFunctions> nvrtc_;
  std::optional<GreenFunctions> green_;
};

/// Folders out of "a:b:c"; empty ones are left out.
std::vector<std::string> split_folders(const std::string& text);

}  // namespace tailor::cuda

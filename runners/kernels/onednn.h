/// \file A layer computed by oneDNN, loaded at run time where it is installed.
///
/// Types, numbers and functions of its public C interface, version 2, are declared in onednn.cpp, so nothing of it is
/// needed to build. Version 3 has another interface and is refused by name.
#pragma once

#include "runners/kernels/kernel.h"

#include <memory>
#include <string>

namespace tailor::kernels {

class OneDnn {
 public:
  /// @param path of the library; empty: "libdnnl.so.2", as the system finds it
  /// @throws Error runtime_missing where it is not there; runtime_refused: another version than 2, or built for
  /// threads that cannot be held to one
  explicit OneDnn(const std::string& path);
  ~OneDnn();
  OneDnn(const OneDnn&) = delete;
  OneDnn& operator=(const OneDnn&) = delete;

  const std::string& version() const;  // "2.6.3"
  /// Tensors lie as those of generated kernels do (nchw, row-major), weights in the library's own layout, prepared
  /// beforehand. A convolution runs on nchw tensors or, between two reorderings, in the library's own layout: both are
  /// timed a few times and the faster is kept. A residual is copied to the result first, since the library adds to it
  /// in place. One worker only. `layer` and this must outlive the kernel; its name says what was chosen.
  /// @throws Error runtime_refused in the library's place if it has nothing for the layer
  Kernel kernel(const Layer& layer) const;

 private:
  struct Functions;
  std::unique_ptr<Functions> functions_;
};

}  // namespace tailor::kernels

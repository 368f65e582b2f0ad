/// \file A layer computed by oneDNN (runners/onednn/library.h) on tensors that lie as a generated kernel's do.
#pragma once

#include "runners/kernels/kernel.h"

#include <memory>
#include <string>

namespace tailor::onednn {
struct Library;
}

namespace tailor::kernels {

class OneDnn {
 public:
  /// As onednn::Library.
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
  std::unique_ptr<onednn::Library> library_;
};

}  // namespace tailor::kernels

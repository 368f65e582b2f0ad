// kernels.inc is made of kernels.cu by scripts/embed-kernels.
#include "runners/cuda/kernel_text.h"

namespace tailor::cuda {

const char* const kKernelText =
#include "runners/cuda/kernels.inc"
    ;

}  // namespace tailor::cuda

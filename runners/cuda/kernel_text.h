/// \file The kernels of kernels.cu as PTX.
#pragma once

namespace tailor::cuda {

extern const char* const kKernelText;

}  // namespace tailor::cuda

/// \file BLAS on one thread for as long as an object lives.
///
/// While shares of the rows are worked on, each core has its own; BLAS's threads would only wait for each other.
#pragma once

// Of OpenBLAS, if that is the BLAS that is linked.
extern "C" {
int openblas_get_num_threads() __attribute__((weak));
void openblas_set_num_threads(int) __attribute__((weak));
}

namespace tailor::saliency {

class OneBlasThread {
 public:
  OneBlasThread() {
    if (openblas_set_num_threads) before_ = openblas_get_num_threads(), openblas_set_num_threads(1);
  }
  ~OneBlasThread() {
    if (openblas_set_num_threads) openblas_set_num_threads(before_);
  }
  OneBlasThread(const OneBlasThread&) = delete;
  OneBlasThread& operator=(const OneBlasThread&) = delete;

 private:
  int before_ = 1;
};

}  // namespace tailor::saliency

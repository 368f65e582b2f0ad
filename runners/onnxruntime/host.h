/// \file What this machine is, as far as a runner must say.
#pragma once

#include <cstddef>
#include <string>

namespace tailor::ort {

struct Host {
  std::string processor;  // model name
  std::string isa;        // the widest vector instructions: "avx512_core_bf16", "avx2", "neon" ...
  int cores = 1;          // that this process may use
  std::size_t l2_bytes = 0;
};
Host this_host();

}  // namespace tailor::ort

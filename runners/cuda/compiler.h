/// \file CUDA C++ compiled by NVRTC: no driver and no device is needed. What the compiler says about registers, memory and
/// spills comes from the log of its assembler.
#pragma once

#include "runners/cuda/driver.h"
#include "tailor/base/json.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::cuda {

/// What the assembler says of one kernel; bytes of a block's static shared memory, of a thread's stack and spills.
struct KernelFacts {
  std::string name;
  int registers = 0;  // of a thread
  std::int64_t shared_bytes = 0, stack_bytes = 0, spill_stores = 0, spill_loads = 0;
};
/// Out of a log of --ptxas-options=-v. Lines that are not understood are passed over. O(size of the log)
std::vector<KernelFacts> kernels_in_log(std::string_view log);

/// Members of the answer to "compiler": `version`, `library`, `architectures` (numbers: 90 for sm_90).
/// @throws Error runtime_missing
Json describe_compiler(Libraries& libraries);

/// Members of the answer to "compile" of `text` for `architecture` ("sm_90a"): `outcome` ("ok", or "compile" with the
/// compiler's words in `message`), `seconds`, and if ok `cubin_bytes` and `kernels`; the cubin is written to `file` where one is named.
/// @throws Error runtime_missing; bad_value: an architecture that is none, a text of more than 16 MiB; runtime_refused: an
/// architecture that this NVRTC does not know; write_failed; CallFailed
Json compile(Libraries& libraries, const Json& request);

}  // namespace tailor::cuda

#include "tailor/base/memory.h"

#include <limits>

#ifdef __GLIBC__  // defined by any header of the C library
#include <malloc.h>
#endif

namespace tailor {

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);  // else large blocks go back to the kernel one by one
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace tailor

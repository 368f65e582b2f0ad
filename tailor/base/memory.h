/// \file How the process keeps memory.
#pragma once

namespace tailor {

/// From now on freed memory stays with the process and is used again. Activations of calibration samples are hundreds
/// of megabytes that come and go by the second; to fetch their pages from the kernel each time took a third of a
/// repair's time on a virtual machine. Call once, early in main. Does nothing where the C library cannot.
void keep_freed_memory();

}  // namespace tailor

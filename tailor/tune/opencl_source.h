/// \file Kernels of our own in OpenCL C, out of a workload and a configuration.
///
/// As in kernel_source.h products and dense convolutions are one text (kernels/product.cl) behind constants, which a
/// driver compiles. The text's first line says what memory it wants and how it is launched (runners/opencl/kernel.h).
#pragma once

#include "tailor/base/json.h"
#include "tailor/latency/workload.h"
#include "tailor/tune/space.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor::tune {

/// What bounds configurations: as the driver describes the device.
struct OpenClDevice {
  std::string name, platform, version, driver;
  bool processor = false;                   // else a GPU or an accelerator
  bool by_counts = false;                   // its compute units can be handed out by numbers
  int units = 1;                            // compute units
  int vector_floats = 1;                    // of a vector that fits its registers
  std::int64_t local_bytes = 0, group = 1;  // memory of a work-group; its most work-items
  friend bool operator==(const OpenClDevice&, const OpenClDevice&) = default;
};
/// The member "opencl" of a runner's hello. @throws Error bad_json: members missing, numbers that no device has
OpenClDevice opencl_device_from(const Json& json, const std::string& place);

/// As no_kernel (kernel_source.h), and tensors of more than 2^28 elements.
std::string no_opencl_kernel(const latency::Workload& workload);

/// Tile of a work-item (mr rows, nv vectors of vl columns), unrolling, work-group (wm x wn work-items), whether what moves
/// goes through local memory (stage), steps at a time (kc), which dimension of the launch rows lie along (order).
/// @pre no_opencl_kernel(workload) == ""
Space opencl_space(const latency::Workload& workload, const OpenClDevice& device);

/// The whole text. @pre `configuration` is of opencl_space(workload, some device)
std::string opencl_source(const latency::Workload& workload, const Space& space,
                          const Configuration& configuration);

/// SHA-256 of the text behind the constants: part of a record's key.
std::string opencl_hash();

/// Name and text of every .cl in kernels/.
const std::vector<std::pair<std::string_view, std::string_view>>& opencl_texts();

}  // namespace tailor::tune

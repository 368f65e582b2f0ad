#include "runners/opencl/part.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <numeric>

namespace tailor::opencl {

Part::Part(const Library& library, DeviceId id, bool owned, int units, bool processor)
    : library_(library), id_(id), owned_(owned), units_(units), processor_(processor) {
  try {
    Status status = 0;
    context_ = library_.make_context(nullptr, 1, &id_, nullptr, nullptr, &status);
    check(status, "clCreateContext");
    queue_ = library_.make_queue(context_, id_, processor_ ? 0 : kProfiling, &status);
    check(status, "clCreateCommandQueue");
  } catch (...) {
    release();
    throw;
  }
}

Part::~Part() { release(); }

void Part::release() {
  if (queue_) library_.release_queue(queue_);
  if (context_) library_.release_context(context_);
  if (owned_) library_.release_device(id_);
}

std::vector<std::unique_ptr<Part>> split(const Library& library, const Device& device,
                                         const std::vector<int>& counts) {
  const int wanted = std::accumulate(counts.begin(), counts.end(), 0);
  if (wanted > device.units)
    throw Error(Code::bad_value,
                fmt::format("{} compute units are wanted and {} there", wanted, device.units), device.name);
  std::vector<std::unique_ptr<Part>> parts;
  if (counts.size() == 1 && wanted == device.units) {
    parts.push_back(std::make_unique<Part>(library, device.id, false, wanted, device.processor));
    return parts;
  }
  if (!device.by_counts)
    throw Error(Code::bad_value, "its compute units cannot be handed out by counts", device.name,
                "tune the whole of it: --share 100 --jobs 1");
  std::vector<std::intptr_t> how = {kByCounts};
  how.insert(how.end(), counts.begin(), counts.end());
  how.insert(how.end(), {kByCountsEnd, 0});
  std::vector<DeviceId> ids(counts.size());
  std::uint32_t made = 0;
  check(library.split(device.id, how.data(), static_cast<std::uint32_t>(ids.size()), ids.data(), &made),
        "clCreateSubDevices");
  if (made != ids.size())
    throw Error(Code::runtime_refused,
                fmt::format("{} sub-devices were asked for and {} made", ids.size(), made), device.name);
  parts.reserve(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i)
    parts.push_back(std::make_unique<Part>(library, ids[i], true, counts[i], device.processor));
  return parts;
}

std::unique_ptr<Part> part_of(const Library& library, const Device& device, int first, int units) {
  if (first == 0) return std::move(split(library, device, {units}).front());
  return std::move(split(library, device, {first, units}).back());
}

}  // namespace tailor::opencl

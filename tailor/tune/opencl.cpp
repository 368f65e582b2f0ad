// The OpenCL side of backend.h: the device as its runner tells it, and texts that the runner has compiled.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/tune/backend.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::tune {

namespace {

std::string command_of(const OpenClPlace& place) {
  return fmt::format("{} --device {}{}", place.runner, place.number,
                     place.library.empty() ? "" : " --opencl " + shell_quoted(place.library));
}

}  // namespace

OpenClPlace find_opencl(int number, const std::string& library, const std::string& runner) {
  OpenClPlace place;
  place.number = number, place.library = library;
  place.runner = runner.empty() ? runner_beside("tailor-runner-opencl") : runner;
  const KernelRunner asked(-1, command_of(place));
  const Json& hello = asked.hello();
  const std::string where = "hello of the OpenCL runner";
  place.device = opencl_device_from(member(hello, "opencl", where), where);
  place.clock = text(hello, "clock", where);
  return place;
}

std::string command_for(const OpenClPlace& place, int first, int units, const std::filesystem::path& cache) {
  return fmt::format("{} --first {} --units {} --cache {}", command_of(place), first, units,
                     shell_quoted(cache.string()));
}

Backend opencl_backend(const OpenClPlace& place) {
  Backend backend;
  const OpenClDevice& device = place.device;
  // A share is of so many units, so their number is part of the device's class.
  const MachineClass machine = {
      fmt::format("OpenCL: {}, {} compute unit{}", device.name, device.units, device.units == 1 ? "" : "s"),
      fmt::format("{}, driver {}", device.version, device.driver), opencl_hash()};
  backend.machine = [machine] { return machine; };
  backend.no_kernel = no_opencl_kernel;
  backend.space = [device](const latency::Workload& w, int) { return opencl_space(w, device); };
  backend.source = opencl_source;
  backend.shapeless = nullptr;
  backend.compile = [](const std::string& text, const std::filesystem::path& file) {
    write_file(file, text);
    return Compiled{Outcome::ok, file, 0, ""};
  };
  backend.extension = ".cl", backend.clock = place.clock, backend.unit = "unit", backend.at_once = true;
  return backend;
}

}  // namespace tailor::tune

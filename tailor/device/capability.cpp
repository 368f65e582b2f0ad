// Apart from the reader of descriptions, because the runner for CUDA is built without a TOML library.
#include "tailor/device/device.h"

namespace tailor::device {

std::pair<int, int> Device::capability() const {
  std::size_t dot = architecture.find('.');
  bool digits = dot != std::string::npos && dot > 0 && dot + 1 < architecture.size() &&
                architecture.size() < 8 && architecture.find_first_not_of("0123456789.") == std::string::npos;
  if (vendor != "nvidia" || !digits) return {0, 0};
  return {std::stoi(architecture.substr(0, dot)), std::stoi(architecture.substr(dot + 1))};
}

}  // namespace tailor::device

// Stands for the bundled script in builds without Node or without the chart library.
#include "tailor/report/assets.h"

namespace tailor::report {

const std::vector<std::string_view>& script_pieces() {
  static const std::vector<std::string_view> none;
  return none;
}

}  // namespace tailor::report

// tailor-demo-shapes OUT.bin COUNT SEED: writes COUNT drawn images as CIFAR-10 binary records.
#include "demo/shapes.h"
#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <string_view>

namespace {

std::uint64_t whole_number(std::string_view text, const char* what, std::uint64_t most) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > most)
    throw tailor::Error(tailor::Code::bad_value, fmt::format("{} is no {}", text, what), what,
                        fmt::format("give a whole number up to {}", most));
  return value;
}

int run(int count, char** arguments) {
  if (count != 4)
    throw tailor::Error(tailor::Code::usage, "three arguments are needed", "",
                        "tailor-demo-shapes OUT.bin COUNT SEED");
  const std::uint64_t images = whole_number(arguments[2], "COUNT", 1000000);
  const std::uint64_t seed = whole_number(arguments[3], "SEED", UINT64_MAX);
  const auto records = tailor::demo::draw_shapes(images, seed);
  tailor::write_file(arguments[1], {reinterpret_cast<const char*>(records.data()), records.size()});
  fmt::print(stderr, "{}: {} images, {} bytes\n", arguments[1], images, records.size());
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return run(count, arguments);
  } catch (const tailor::Error& error) {
    fmt::print(stderr, "{}: {}{}{}\n", tailor::spelling(error.code()), error.what(),
               error.help().empty() ? "" : "\n  ", error.help());
    return tailor::exit_code(error.code());
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}

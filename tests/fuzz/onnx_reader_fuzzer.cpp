// Any bytes: a model or a tailor::Error. What loads is written back byte by byte, and inference does not
// crash on it.
#include "tailor/base/error.h"
#include "tailor/graph/shapes.h"
#include "tailor/onnx/onnx.h"

#include <cstdlib>

namespace {

void check(bool good) {
  if (!good) std::abort();
}

bool may_be_external(std::string_view bytes) { return bytes.find("location") != std::string_view::npos; }

void round_trip(const tailor::Bytes& bytes) {
  tailor::graph::Model model = tailor::onnx::parse(bytes, "/nonexistent");
  std::string again = tailor::onnx::serialize_to_string(model);
  check(may_be_external(bytes.view()) || again == bytes.view());
  tailor::graph::Shapes shapes = tailor::graph::infer_shapes(model);
  for (const auto& node : model.graph.nodes) check(tailor::graph::multiply_accumulates(node, shapes) >= -1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    round_trip(tailor::Bytes::own(std::string(reinterpret_cast<const char*>(data), size)));
  } catch (const tailor::Error& error) {
    check(error.code() != tailor::Code::bug);
  }
  return 0;
}

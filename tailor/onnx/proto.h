/// \file Internal to the module: the one place that includes protobuf's classes.
#pragma once

#include "tailor/base/error.h"

#include <onnx/onnx-ml.pb.h>

#include <limits>
#include <string>
#include <string_view>

namespace tailor::onnx {

/// @throws Error not_onnx naming `what`
template <class Proto>
Proto parse_proto(std::string_view bytes, std::string_view what) {
  Proto proto;
  if (bytes.size() > std::numeric_limits<int>::max() ||
      !proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    throw Error(Code::not_onnx, "the bytes of a " + std::string(what) + " make no sense", {},
                "the file is damaged: fetch or export it again");
  return proto;
}

}  // namespace tailor::onnx

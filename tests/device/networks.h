/// \file The layers of the networks that ODiMO's tables are about, as workloads.
#pragma once

#include "tailor/latency/workload.h"

#include <string>
#include <vector>

namespace tailor::testing {

using Layers = std::vector<latency::Workload>;

inline latency::Workload conv(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t size,
                              std::int64_t groups = 1) {
  latency::Workload w;
  w.g = groups, w.ic = in, w.oc = out, w.kh = w.kw = kernel;
  w.ih = w.iw = w.oh = w.ow = size;
  return w;
}
inline latency::Workload linear(std::int64_t in, std::int64_t out) {
  latency::Workload w;
  w.kind = latency::Kind::gemm, w.ic = in, w.oc = out;
  return w;
}

/// Basic blocks of two 3x3 convolutions; stages after the first begin with stride 2 and a 1x1 shortcut, which
/// stands behind the block's two convolutions.
inline Layers residual(std::int64_t width, std::int64_t stages, int blocks, std::int64_t size) {
  Layers layers;
  std::int64_t in = width;
  for (std::int64_t stage = 0, out = width; stage < stages; ++stage, out *= 2) {
    if (stage > 0) size = (size + 1) / 2;
    for (int block = 0; block < blocks; ++block) {
      layers.push_back(conv(in, out, 3, size));
      layers.push_back(conv(out, out, 3, size));
      if (in != out) layers.push_back(conv(in, out, 1, size));
      in = out;
    }
  }
  return layers;
}

inline Layers with_ends(latency::Workload first, Layers body, latency::Workload last) {
  body.insert(body.begin(), first);
  body.push_back(last);
  return body;
}

/// CIFAR-10, 32x32: 22 layers.
inline Layers resnet20() { return with_ends(conv(3, 16, 3, 32), residual(16, 3, 3, 32), linear(64, 10)); }
/// Tiny-ImageNet, 64x64, 3x3 stem without pooling, 200 classes: 21 layers.
inline Layers resnet18_64() {
  return with_ends(conv(3, 64, 3, 64), residual(64, 4, 2, 64), linear(512, 200));
}
/// ImageNet, 224x224.
inline Layers resnet18_224() {
  return with_ends(conv(3, 64, 7, 112), residual(64, 4, 2, 56), linear(512, 1000));
}
/// Width 0.25, 96x96, 2 classes (visual wake words): 28 layers.
inline Layers mobilenet_v1() {
  Layers layers = {conv(3, 8, 3, 48)};
  const std::int64_t outs[] = {16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256};
  const int strides[] = {1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1};
  std::int64_t in = 8, size = 48;
  for (int i = 0; i < 13; ++i) {
    if (strides[i] == 2) size /= 2;
    layers.push_back(conv(in, in, 3, size, in));
    layers.push_back(conv(in, outs[i], 1, size));
    in = outs[i];
  }
  layers.push_back(linear(in, 2));
  return layers;
}

}  // namespace tailor::testing

/// \file What one device has to do while pieces come and go. Private to placement.
#pragma once

#include "tailor/plan/pieces.h"

#include <vector>

namespace tailor::plan {

/// The loads of one device.
class Share {
 public:
  explicit Share(const Pieces& pieces) : pieces_(pieces), inside_(pieces.nets.size()) {}

  void add(int p) { change(p, 1); }
  void remove(int p) { change(p, -1); }
  double cpu() const { return cpu_; }
  double work() const { return work_; }
  double load() const { return work_ + transfer_; }
  bool fits(double memory) const { return unsupported_ == 0 && bytes_ <= memory * (1 + 1e-12); }
  /// Sums of many steps drift; an empty share is exactly empty. @pre every piece was removed
  void clear() { cpu_ = work_ = transfer_ = bytes_ = 0; }

 private:
  void change(int p, int by) {
    const Piece& piece = pieces_.pieces[static_cast<std::size_t>(p)];
    cpu_ += by * piece.cpu, work_ += by * piece.accelerator, bytes_ += by * piece.bytes;
    unsupported_ += piece.supported ? 0 : by;
    for (int n : pieces_.nets_of[static_cast<std::size_t>(p)]) {
      const Net& net = pieces_.nets[static_cast<std::size_t>(n)];
      int& count = inside_[static_cast<std::size_t>(n)];
      const int all = static_cast<int>(net.pins.size());
      bool cut = count > 0 && count < all;
      count += by;
      bool now = count > 0 && count < all;
      if (cut != now) transfer_ += now ? net.cost : -net.cost;
    }
  }
  const Pieces& pieces_;
  std::vector<int> inside_;  // pins of each net
  double cpu_ = 0, work_ = 0, transfer_ = 0, bytes_ = 0;
  int unsupported_ = 0;
};

}  // namespace tailor::plan

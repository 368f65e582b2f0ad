#include "tailor/learn/saved.h"

#include "tailor/base/error.h"

#include <cstring>

namespace tailor::learn {

std::vector<std::pair<std::string, graph::Tensor>> stored_tensors(const Saved& saved) {
  std::vector<std::pair<std::string, graph::Tensor>> list;
  for (const auto& [name, tensor] : saved) list.emplace_back(name, from_aten(tensor));
  return list;
}

void restore_tensors(const Checkpoint& checkpoint, const Saved& saved, const std::filesystem::path& path) {
  bool fits = checkpoint.tensors.size() == saved.size();
  for (std::size_t i = 0; fits && i < saved.size(); ++i) {
    const auto& [name, tensor] = checkpoint.tensors[i];
    fits = name == saved[i].first && tensor.dims == saved[i].second.sizes().vec() &&
           tensor.data.size() == saved[i].second.nbytes();
  }
  if (!fits)
    throw Error(Code::bad_checkpoint, "the checkpoint holds other tensors than this run has", path.string(),
                "remove it and train again without --resume");
  for (std::size_t i = 0; i < saved.size(); ++i) {
    at::Tensor tensor = saved[i].second;
    if (tensor.numel() > 0)
      std::memcpy(tensor.data_ptr(), checkpoint.tensors[i].second.data.data(), tensor.nbytes());
  }
}

}  // namespace tailor::learn

#include "tailor/app/model_folder.h"

#include "tailor/base/error.h"
#include "tailor/console/console.h"
#include "tailor/onnx/onnx.h"

#include <fmt/format.h>

#include <memory>

namespace tailor::app {

namespace fs = std::filesystem;

void check_folder(const fs::path& folder) {
  if (fs::exists(folder) && !fs::is_directory(folder))
    throw Error(Code::write_failed, "it is a file", folder.string(), "give the name of a folder");
  const fs::path named = folder.has_filename() ? folder : folder.parent_path();  // "pieces/" is "pieces"
  console::check_target(fs::exists(named) ? named / "model.onnx" : named);
}

std::vector<std::string> write_models(const fs::path& folder, const std::vector<std::string>& names,
                                      const std::vector<graph::Model>& models, const std::string& index) {
  TAILOR_CHECK(names.size() == models.size());
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed)
    throw Error(Code::write_failed, fmt::format("cannot make the folder: {}", failed.message()),
                folder.string(), "give a folder whose parent is there and can be written to");
  std::vector<std::unique_ptr<onnx::Draft>> drafts;
  std::vector<std::string> files;
  for (std::size_t i = 0; i < names.size(); ++i) {
    files.push_back((folder / names[i]).string());
    drafts.push_back(std::make_unique<onnx::Draft>(models[i], files.back()));
  }
  if (!index.empty()) fs::remove(folder / index, failed);
  for (const auto& draft : drafts) draft->commit();
  return files;
}

}  // namespace tailor::app

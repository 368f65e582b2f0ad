/// \file Several models written into a folder.
#pragma once

#include "tailor/graph/model.h"

#include <filesystem>
#include <string>
#include <vector>

namespace tailor::app {

/// Before minutes are spent. @throws Error write_failed if the folder is none, or neither it nor its parent can be written to
void check_folder(const std::filesystem::path& folder);

/// Under these names into the folder, which is made if it is not there. None gets its name before all are written.
/// @param index name of a file of the folder that lists models, of an earlier run: it is taken away before the first model
///   gets its name, so that it never lists others than it was written for; "": none
/// @return their paths @throws Error write_failed
std::vector<std::string> write_models(const std::filesystem::path& folder,
                                      const std::vector<std::string>& names,
                                      const std::vector<graph::Model>& models, const std::string& index = {});

}  // namespace tailor::app

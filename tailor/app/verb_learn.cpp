// The verbs that train: tailor-learn does them, a program of its own, because libtorch takes most of a second to start.
#include "tailor/app/app.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace tailor::app {
namespace {

constexpr const char* kProgram = "tailor-learn";

std::filesystem::path sibling() {
  std::error_code error;
  std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return self.parent_path() / kProgram;
}

}  // namespace

const std::vector<std::pair<std::string, std::string>>& learning_verbs() {
  static const std::vector<std::pair<std::string, std::string>> verbs = {
      {"train", "train a model's graph anew, from random weights"},
      {"finetune", "train a model further on labelled samples"},
      {"distill", "train a model to answer like the one it was made from; no labels needed"},
      {"assign", "which unit of a chip each channel goes to, learned with the weights (ODiMO), beside map"},
      {"evaluate", "top-1 and loss of a model on labelled samples"},
      {"worth", "what channels are worth by gradients, for optimize --criterion taylor or fisher"},
      {"patterns", "what excites each filter most, as pictures and clusters for optimize --patterns"},
      {"search", "widths, depth and kernels by a supernet: tail-free, with all widths, and by MACs"}};
  return verbs;
}

bool is_learning_verb(const std::string& word) {
  return std::any_of(learning_verbs().begin(), learning_verbs().end(),
                     [&](const auto& verb) { return verb.first == word; });
}

void start_learning(int count, char** arguments) {
  std::filesystem::path program = sibling();
  std::vector<char*> words(arguments, arguments + count);
  words.push_back(nullptr);
  // Threads that wait for each other by spinning stand still on a busy machine: they go to sleep soon instead.
  ::setenv("GOMP_SPINCOUNT", "1000", 0);
  ::execv(program.c_str(), words.data());
  throw Error(Code::trainer_missing, fmt::format("{} does not start: {}", kProgram, std::strerror(errno)),
              program.string(), "`make learn` installs libtorch and builds it");
}

}  // namespace tailor::app

#include "tailor/tune/compiled_once.h"

#include <exception>
#include <utility>

namespace tailor::tune {

CompiledOnce::CompiledOnce(Compile compile, std::string extension)
    : compile_(std::move(compile)), extension_(std::move(extension)) {}

Compiled CompiledOnce::of(const std::string& text) {
  std::promise<Compiled> promise;
  std::shared_future<Compiled> other;
  std::filesystem::path file;
  {
    std::lock_guard lock(mutex_);
    const auto [at, fresh] = known_.try_emplace(text);
    if (fresh)
      at->second = promise.get_future().share(), file = folder_.fresh(extension_);
    else
      other = at->second;
  }
  if (!other.valid()) return first(text, file, std::move(promise));
  Compiled compiled = other.get();
  compiled.seconds = 0;
  return compiled;
}

Compiled CompiledOnce::first(const std::string& text, const std::filesystem::path& file,
                             std::promise<Compiled> promise) {
  auto forget = [&] {
    std::lock_guard lock(mutex_);
    known_.erase(text);
  };
  try {
    const Compiled compiled = compile_(text, file);
    if (compiled.outcome == Outcome::timeout) forget();
    promise.set_value(compiled);
    return compiled;
  } catch (...) {
    forget();
    promise.set_exception(std::current_exception());
    throw;
  }
}

}  // namespace tailor::tune

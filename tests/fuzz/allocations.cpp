// operator new and delete that count: hostile sizes must be refused before memory is asked for.
#include "tests/fuzz/straight_line.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> now{0}, most{0};

void* counted(void* at) {
  if (!at) throw std::bad_alloc();
  std::size_t held = now += ::malloc_usable_size(at);
  if (held > most) most = held;
  return at;
}

void drop(void* at) {
  if (at) now -= ::malloc_usable_size(at);
  std::free(at);
}

}  // namespace

namespace tailor::fuzz {
std::size_t allocated() { return now; }
std::size_t most_allocated() { return most; }
void reset_most_allocated() { most = now.load(); }
}  // namespace tailor::fuzz

void* operator new(std::size_t size) { return counted(std::malloc(size ? size : 1)); }
void* operator new[](std::size_t size) { return counted(std::malloc(size ? size : 1)); }
void operator delete(void* at) noexcept { drop(at); }
void operator delete[](void* at) noexcept { drop(at); }
void operator delete(void* at, std::size_t) noexcept { drop(at); }
void operator delete[](void* at, std::size_t) noexcept { drop(at); }

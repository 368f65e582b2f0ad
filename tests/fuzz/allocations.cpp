// operator new and delete that count: hostile sizes must be refused before memory is asked for. All forms that libraries
// use are here, so that what one of them gives is never taken back by a sanitizer's.
#include "tests/fuzz/straight_line.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::size_t> now{0}, most{0};

void* counted_or_null(std::size_t size) noexcept {
  void* at = std::malloc(size ? size : 1);
  if (!at) return nullptr;
  std::size_t held = now += ::malloc_usable_size(at);
  if (held > most) most = held;
  return at;
}

void* counted(std::size_t size) {
  void* at = counted_or_null(size);
  if (!at) throw std::bad_alloc();
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

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return counted_or_null(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return counted_or_null(size); }
void operator delete(void* at) noexcept { drop(at); }
void operator delete[](void* at) noexcept { drop(at); }
void operator delete(void* at, std::size_t) noexcept { drop(at); }
void operator delete[](void* at, std::size_t) noexcept { drop(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { drop(at); }
void operator delete[](void* at, const std::nothrow_t&) noexcept { drop(at); }

// libFuzzer on the whole straight line. Inputs that are models are mutated as such, others byte by byte.
#include "tailor/base/error.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/straight_line.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                               unsigned int seed) {
  tailor::Random random(seed);
  try {
    std::string mutant =
        tailor::fuzz::Seed(std::string_view(reinterpret_cast<const char*>(data), size)).mutant(random);
    if (mutant.empty() || mutant.size() > most) return LLVMFuzzerMutate(data, size, most);
    std::memcpy(data, mutant.data(), mutant.size());
    return mutant.size();
  } catch (const tailor::Error&) {
    return LLVMFuzzerMutate(data, size, most);
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  tailor::Bytes file = tailor::Bytes::own(std::string(reinterpret_cast<const char*>(data), size));
  tailor::fuzz::Outcome outcome = tailor::fuzz::straight_line(file, size);
  if (outcome.finding.empty()) return 0;
  std::fprintf(stderr, "%s\n", outcome.finding.c_str());
  std::abort();
}

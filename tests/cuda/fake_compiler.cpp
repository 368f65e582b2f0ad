// libnvrtc.so.13 as far as the runner uses it: what it "compiles" runs on the processor (fake_kernel.h).
#include "tests/cuda/fake_kernel.h"

#include <cstring>

using namespace tailor::cuda;
using fake::device;
using fake::handle;
using fake::number;

namespace {

struct FakeProgram {
  std::string text, log, cubin;
};
std::map<std::uintptr_t, FakeProgram> programs;

constexpr int kArchitectures[] = {75, 80, 90};

}  // namespace

extern "C" {

const char* nvrtcGetErrorString(Status) { return "a fake failure of NVRTC"; }
Status nvrtcVersion(int* major, int* minor) {
  FAKE_CALLED(nvrtcVersion);
  return *major = 13, *minor = 0, 0;
}
Status nvrtcGetNumSupportedArchs(int* count) {
  FAKE_CALLED(nvrtcGetNumSupportedArchs);
  return *count = 3, 0;
}
Status nvrtcGetSupportedArchs(int* list) {
  FAKE_CALLED(nvrtcGetSupportedArchs);
  std::memcpy(list, kArchitectures, sizeof kArchitectures);
  return 0;
}
Status nvrtcCreateProgram(Program* program, const char* text, const char*, int, const char* const*,
                          const char* const*) {
  FAKE_CALLED(nvrtcCreateProgram);
  *program = handle<Program>(device().make("program"));
  return programs[number(*program)].text = text, 0;
}
Status nvrtcDestroyProgram(Program* program) {
  programs.erase(number(*program));
  return device().release("program", number(*program)) ? 0 : 4;
}
Status nvrtcCompileProgram(Program program, int, const char* const*) {
  FAKE_CALLED(nvrtcCompileProgram);
  FakeProgram& p = programs[number(program)];
  p.cubin = fake::make_cubin(p.text, p.log);
  return p.cubin.empty() ? kNvrtcCompilation : 0;
}
Status nvrtcGetCUBINSize(Program program, std::size_t* size) {
  FAKE_CALLED(nvrtcGetCUBINSize);
  return *size = programs[number(program)].cubin.size(), 0;
}
Status nvrtcGetCUBIN(Program program, char* bytes) {
  FAKE_CALLED(nvrtcGetCUBIN);
  const std::string& cubin = programs[number(program)].cubin;
  return std::memcpy(bytes, cubin.data(), cubin.size()), 0;
}
Status nvrtcGetProgramLogSize(Program program, std::size_t* size) {
  FAKE_CALLED(nvrtcGetProgramLogSize);
  return *size = programs[number(program)].log.size() + 1, 0;
}
Status nvrtcGetProgramLog(Program program, char* log) {
  FAKE_CALLED(nvrtcGetProgramLog);
  return std::strcpy(log, programs[number(program)].log.c_str()), 0;
}

}  // extern "C"

/// \file What kernels/product.cu uses of CUDA, for a processor's compiler: it stands in front of the texts that
/// cuda_kernels_test.cpp compiles, in the place of the text's own functions in PTX. No headers: this is all there is. The
/// other side is emulated_gpu.h.
#pragma once

namespace emulated {

struct Index {
  unsigned x;
};

/// What the text calls, filled in by the test; pointers to where the thread that runs is.
struct Machine {
  void (*bring)(void* to, const void* from, int bytes, bool inside);
  void (*group)();
  void (*settle)(int pending);
  void (*load)(unsigned* to, const void* row, bool transposed);
  void (*multiply_add)(float* sum, const unsigned* left, unsigned right0, unsigned right1);
  void (*barrier)();
  float (*to_float)(unsigned short);
  unsigned short (*to_half)(float);
  void* (*shared)(long long bytes);
  const Index *thread, *block, *grid;
};

}  // namespace emulated

#ifdef EMULATED_TEXT
static const emulated::Machine* machine;
extern "C" void use(const emulated::Machine* one) { machine = one; }

#define threadIdx (*machine->thread)
#define blockIdx (*machine->block)
#define gridDim (*machine->grid)
#define KERNEL static
#define DEVICE static inline
#define __launch_bounds__(threads)
#define __syncthreads() machine->barrier()
#define STAGES_IN_SHARED(name) Stage* name = (Stage*)machine->shared(sizeof(Stage) * STAGES)
#define fminf __builtin_fminf
#define fmaxf __builtin_fmaxf

struct float2 {
  float x, y;
};
static inline float2 make_float2(float x, float y) { return {x, y}; }

template <int BYTES>
static inline void bring(unsigned short* to, const unsigned short* from, bool inside) {
  machine->bring(to, from, BYTES, inside);
}
static inline void group() { machine->group(); }
template <int PENDING>
static inline void settle() {
  machine->settle(PENDING);
}
static inline void load_matrices(unsigned (&to)[4], const unsigned short* row) {
  machine->load(to, row, false);
}
static inline void load_transposed(unsigned (&to)[4], const unsigned short* row) {
  machine->load(to, row, true);
}
static inline void multiply_add(float (&sum)[4], const unsigned (&left)[4], unsigned right0,
                                unsigned right1) {
  machine->multiply_add(sum, left, right0, right1);
}
static inline float to_float(unsigned short bits) { return machine->to_float(bits); }
static inline unsigned short to_half(float value) { return machine->to_half(value); }
#endif

// out[M x N] = act(left[M x K] * right[K x N] + bias (+ residual)), all row-major f32, in OpenCL C 1.2. Constants come
// before this text (opencl_source.cpp). A work-item keeps MR rows by NV vectors of VL columns in registers; WM x WN of
// them are a work-group. CONV: left are the weights, packed once in panels of MR rows, and right is the image, unrolled
// as it is read (implicit GEMM; Chetlur et al., arXiv:1410.0759); else right are the weights, packed once in panels of
// NR columns, and left the activations. STAGE: what was not packed once is brought to local memory, KC steps at a
// time, by the whole work-group; else each work-item reads it where it lies. ORDER: the dimension of the launch along
// which rows lie. Every kernel has the same arguments; the tables of `scratch` are written by prepare's kernels.
#define NR (NV * VL)
#define PH (IH + PT + PB)
#define PW (IW + PL + PR)
#define PADDED (CONV && (PT || PL || PB || PR))
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define VECTOR JOIN(float, VL)
#define LOAD(from) JOIN(vload, VL)(0, from)
#define STORE(value, to) JOIN(vstore, VL)(value, 0, to)
// Component by component, since what is written as floats and read as a vector is not kept apart by every compiler.
#define FOR_EACH JOIN(FOR_EACH_, VL)
#define FOR_EACH_4(DO) DO(0, s0) DO(1, s1) DO(2, s2) DO(3, s3)
#define FOR_EACH_8(DO) FOR_EACH_4(DO) DO(4, s4) DO(5, s5) DO(6, s6) DO(7, s7)
#define FOR_EACH_16(DO) \
  FOR_EACH_8(DO) DO(8, s8) DO(9, s9) DO(10, sa) DO(11, sb) DO(12, sc) DO(13, sd) DO(14, se) DO(15, sf)
#define STAGE_POINTER JOIN(STAGE_POINTER_, STAGE)
#define STAGE_POINTER_0 __global const float*
#define STAGE_POINTER_1 __local const float*
#define ARGUMENTS                                                                                                  \
  __global const float *restrict input, __global const float *restrict weights, __global float *restrict packed,  \
      __global const float *restrict bias, __global const float *restrict residual, __global float *restrict scratch, \
      __global float *restrict out
// Where an output pixel's window begins in its plane; whether VL pixels always lie side by side.
#define PIXEL(n) ((n) / OW * SH * PW + (n) % OW * SW)
#define ALL_EVEN (SW == 1 && (OW % VL == 0 || (SH == 1 && OW == PW && N % VL == 0)))

// Weights as the model has them: [oc][ic kh kw], or [k][n]. One work-item per panel and step.
__kernel void pack(ARGUMENTS) {
  const int panel = get_global_id(0), k = get_global_id(1);
#if CONV
  for (int i = 0; i < MR; ++i)
    packed[(panel * K + k) * MR + i] = panel * MR + i < M ? weights[(panel * MR + i) * K + k] : 0;
#else
  for (int j = 0; j < NR; ++j)
    packed[(panel * K + k) * NR + j] = panel * NR + j < N ? weights[k * N + panel * NR + j] : 0;
#endif
}

#if CONV
// Where each weight's input lies in its window.
__kernel void taps(ARGUMENTS) {
  const int k = get_global_id(0);
  ((__global int*)(scratch + IMAGE))[k] = k / (KH * KW) * PH * PW + k / KW % KH * DH * PW + k % KW * DW;
}

// The image with its border. One work-item per row.
__kernel void pad(ARGUMENTS) {
  const int row = get_global_id(0), y = row % PH - PT;
  const bool inside = y >= 0 && y < IH;
  __global float* to = scratch + row * PW;
  __global const float* from = input + (row / PH * IH + (inside ? y : 0)) * IW;
  for (int x = 0; x < PL; ++x) to[x] = 0;
  for (int x = 0; x < IW; ++x) to[PL + x] = inside ? from[x] : 0;
  for (int x = PL + IW; x < PW; ++x) to[x] = 0;
}

// VL pixels of the unrolled image; `at` says where their windows begin.
static inline VECTOR pixels(__global const float* plane, const int* at) {
#if !ALL_EVEN
  if (at[VL - 1] - at[0] != VL - 1) {
    VECTOR value;
#define GATHER(l, c) value.c = plane[at[l]];
    FOR_EACH(GATHER)
    return value;
  }
#endif
  return LOAD(plane + at[0]);
}
#endif

#if CLIP
#define ACTIVATE(value) clamp(value, 0.0f, 6.0f)
#elif RELU
#define ACTIVATE(value) fmax(value, 0.0f)
#else
#define ACTIVATE(value) (value)
#endif

static inline void finish_one(float value, bool first, bool last, int m, int n, __global const float* bias,
                       __global const float* residual, __global float* out) {
  if (!first) value += *out;
#if BIAS
  if (last) value += bias[CONV ? m : n];
#endif
#if RESIDUAL
  if (last) value += residual[m * N + n];
#endif
  *out = last ? ACTIVATE(value) : value;
}

// One vector of the result, which is added up in place; at the right border element by element. What is fused comes
// with the last steps.
static inline void finish(VECTOR value, int k0, int m, int n, __global const float* bias, __global const float* residual,
                   __global float* out) {
  const bool first = k0 == 0, last = k0 + KC >= K;
  if (n + VL <= N) {
    if (!first) value += LOAD(out);
    if (last) {
#if BIAS
      value += CONV ? (VECTOR)bias[CONV ? m : 0] : LOAD(bias + (CONV ? 0 : n));
#endif
#if RESIDUAL
      value += LOAD(residual + m * N + n);
#endif
      value = ACTIVATE(value);
    }
    STORE(value, out);
    return;
  }
#define FINISH(l, c) \
  if (n + l < N) finish_one(value.c, first, last, m, n + l, bias, residual, out + l);
  FOR_EACH(FINISH)
}

// Where the windows of a work-item's pixels begin in a plane.
#define PIXELS_OF(wide, at)                                   \
  int at[NR];                                                 \
  for (int j = 0; j < NR; ++j) {                              \
    const int n = (wide)*NR + j < N ? (wide)*NR + j : N - 1;  \
    at[j] = PIXEL(n);                                         \
  }
// The rows of the activations that are a work-item's.
#define ROWS_OF(tall, row)                                                                                     \
  __global const float* row[MR];                                                                               \
  for (int i = 0; i < MR; ++i) row[i] = left + ((tall)*MR + i < M ? (tall)*MR + i : M - 1) * K;

// Brings `depth` steps of what the work-items of one row (or column) of the group share to local memory: every `many`-th
// step from `step` on.
static inline void bring(int panel, int k0, int step, int many, int depth, __global const float* left,
                  __global const int* tap, __local float* to) {
#if CONV
  PIXELS_OF(panel, at)
  for (int p = step; p < depth; p += many)
    for (int j = 0; j < NV; ++j) STORE(pixels(left + tap[k0 + p], at + j * VL), to + p * NR + j * VL);
#else
  ROWS_OF(panel, row)
  for (int p = step; p < depth; p += many)
    for (int i = 0; i < MR; ++i) to[p * MR + i] = row[i][k0 + p];
#endif
}

// One work-item's tile over `depth` steps. A function of its own: between barriers a driver for processors keeps the
// variables of a group's work-items in memory, and the sums belong into registers. `moving`: image or activations.
static __attribute__((noinline)) void multiply(int tall, int wide, int k0, int depth, __global const float* panels,
                                        __global const float* moving, __global const int* tap,
                                        STAGE_POINTER stage, __global const float* bias,
                                        __global const float* residual, __global float* out) {
  VECTOR sum[MR][NV];
#pragma unroll
  for (int i = 0; i < MR; ++i) {
#pragma unroll
    for (int j = 0; j < NV; ++j) sum[i][j] = (VECTOR)0;
  }
  const int m0 = tall * MR, n0 = wide * NR;
#if CONV
  panels += (tall * K + k0) * MR;
#else
  panels += (wide * K + k0) * NR;
#endif
#if CONV && !STAGE
  PIXELS_OF(wide, at)
#elif !STAGE
  __global const float* left = moving;
  ROWS_OF(tall, row)
#endif
#pragma unroll UNROLL
  for (int p = 0; p < depth; ++p) {
    VECTOR right[NV];
#pragma unroll
    for (int j = 0; j < NV; ++j) {
#if !CONV
      right[j] = LOAD(panels + p * NR + j * VL);
#elif STAGE
      right[j] = LOAD(stage + p * NR + j * VL);
#else
      right[j] = pixels(moving + tap[k0 + p], at + j * VL);
#endif
    }
#pragma unroll
    for (int i = 0; i < MR; ++i) {
#if CONV
      const float weight = panels[p * MR + i];
#elif STAGE
      const float weight = stage[p * MR + i];
#else
      const float weight = row[i][k0 + p];
#endif
#pragma unroll
      for (int j = 0; j < NV; ++j) sum[i][j] += weight * right[j];
    }
  }
#pragma unroll
  for (int i = 0; i < MR; ++i) {
#pragma unroll
    for (int j = 0; j < NV; ++j)
      if (m0 + i < M && n0 + j * VL < N)
        finish(sum[i][j], k0, m0 + i, n0 + j * VL, bias, residual, out + (m0 + i) * N + n0 + j * VL);
  }
}

__kernel __attribute__((reqd_work_group_size(ORDER ? WN : WM, ORDER ? WM : WN, 1))) void product(ARGUMENTS) {
  const int tall = get_global_id(ORDER), wide = get_global_id(1 - ORDER), image = get_global_id(2);
#if CONV
  __global const float* moving = (PADDED ? (__global const float*)scratch : input) + image * (IC * PH * PW);
#else
  __global const float* moving = input;
#endif
  __global const int* tap = (__global const int*)(scratch + IMAGE);
  __global float* to = out + image * (M * N);
  __global const float* add = residual + (RESIDUAL ? image * (M * N) : 0);
#if STAGE
  __local float stage[STAGE_FLOATS];
  const int wm = get_local_id(ORDER), wn = get_local_id(1 - ORDER);
  for (int k0 = 0; k0 < K; k0 += KC) {
    const int depth = KC < K - k0 ? KC : K - k0;
    __local float* mine = stage + (CONV ? wn * (KC * NR) : wm * (KC * MR));
    barrier(CLK_LOCAL_MEM_FENCE);
    bring(CONV ? wide : tall, k0, CONV ? wm : wn, CONV ? WM : WN, depth, moving, tap, mine);
    barrier(CLK_LOCAL_MEM_FENCE);
    multiply(tall, wide, k0, depth, packed, moving, tap, mine, bias, add, to);
  }
#else
  for (int k0 = 0; k0 < K; k0 += KC)
    multiply(tall, wide, k0, KC < K - k0 ? KC : K - k0, packed, moving, tap, 0, bias, add, to);
#endif
}

// out[M x N] = act(left[M x K] * right[K x N] + bias (+ residual)), all row-major f32, one thread. Constants come before
// this text (kernel_source.cpp). The blocking is that of BLIS (Van Zee, van de Geijn, TOMS 2015): a tile of MR rows and
// NV vectors stays in registers, panels of KC steps in the first cache, blocks of MC rows in the second, NC columns
// beyond. CONV: left are the weights, packed once, and right is the image, unrolled as it is packed (implicit GEMM);
// else right are the weights and left the activations, packed block by block if PACK_LEFT.
#include <cstddef>
#include <cstring>

namespace {

typedef float Vector __attribute__((vector_size(4 * VL), aligned(4), may_alias));
typedef std::ptrdiff_t Index;

constexpr Index up(Index value, Index unit) { return (value + unit - 1) / unit * unit; }
constexpr Index least(Index a, Index b) { return a < b ? a : b; }
constexpr Index NR = NV * VL, MP = up(M, MR), NP = up(N, NR), MB = up(least(MC, MP), MR), NB = up(least(NC, NP), NR);
constexpr Index PH = IH + PT + PB, PW = IW + PL + PR;
constexpr bool kPadded = CONV && (PT || PL || PB || PR);
constexpr Index kImage = kPadded ? IC * PH * PW : 0, kRight = CONV ? NB * KC : 0, kLeft = CONV ? 0 : MB * KC;

Index pixel[CONV ? NP : 1];  // where the window of an output pixel begins in a padded plane
Index tap[CONV ? K : 1];     // where a weight's input lies in its window

// c (+)= a * b over `depth` steps. `a`: MR rows, `row` apart, `step` from one to the next depth.
template <Index row, Index step>
inline __attribute__((always_inline)) void multiply(const float* __restrict a, const float* __restrict b, Index depth,
                                                    float* __restrict c, Index ldc, bool first) {
  Vector sum[MR][NV];
  UNROLL_ALL
  for (int i = 0; i < MR; ++i) {
    UNROLL_ALL
    for (int j = 0; j < NV; ++j) sum[i][j] = first ? Vector{} : *(const Vector*)(c + i * ldc + j * VL);
  }
  UNROLL_DEPTH
  for (Index p = 0; p < depth; ++p) {
    Vector right[NV];
    UNROLL_ALL
    for (int j = 0; j < NV; ++j) right[j] = *(const Vector*)(b + p * NR + j * VL);
    UNROLL_ALL
    for (int i = 0; i < MR; ++i) {
      const float left = a[i * row + p * step];
      UNROLL_ALL
      for (int j = 0; j < NV; ++j) sum[i][j] += left * right[j];
    }
  }
  UNROLL_ALL
  for (int i = 0; i < MR; ++i) {
    UNROLL_ALL
    for (int j = 0; j < NV; ++j) *(Vector*)(c + i * ldc + j * VL) = sum[i][j];
  }
}

void finish(float* c, Index m0, Index n0, Index rows, Index columns, const float* bias, const float* residual) {
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j) {
      float value = c[i * N + j];
      if (BIAS) value += bias[CONV ? m0 + i : n0 + j];
      if (RESIDUAL) value += residual[(m0 + i) * N + n0 + j];
      if (RELU || CLIP) value = value > 0 ? value : 0;
      if (CLIP) value = value < 6 ? value : 6;
      c[i * N + j] = value;
    }
}

// One tile; at the border by way of `scratch`, because whole vectors are stored.
template <Index row, Index step>
inline void tile(const float* a, const float* b, Index depth, float* c, Index rows, Index columns, bool first,
                 float* scratch) {
  if (rows == MR && columns == NR) return multiply<row, step>(a, b, depth, c, N, first);
  if (!first)
    for (Index i = 0; i < rows; ++i) std::memcpy(scratch + i * NR, c + i * N, columns * sizeof(float));
  multiply<row, step>(a, b, depth, scratch, NR, first);
  for (Index i = 0; i < rows; ++i) std::memcpy(c + i * N, scratch + i * NR, columns * sizeof(float));
}

// Panels of NR columns of the unrolled image.
void pack_image(const float* planes, Index n0, Index columns, Index k0, Index depth, float* to) {
  for (Index t = 0; t < columns; t += NR) {
    const Index* at = pixel + n0 + t;
    const bool run = at[NR - 1] - at[0] == NR - 1;
    for (Index p = 0; p < depth; ++p, to += NR) {
      const float* from = planes + tap[k0 + p];
      if (run) {
        std::memcpy(to, from + at[0], NR * sizeof(float));
        continue;
      }
      for (Index j = 0; j < NR; ++j) to[j] = from[at[j]];
    }
  }
}

void pad_image(const float* image, float* to) {
  std::memset(to, 0, kImage * sizeof(float));
  for (Index c = 0; c < IC; ++c)
    for (Index y = 0; y < IH; ++y)
      std::memcpy(to + (c * PH + y + PT) * PW + PL, image + (c * IH + y) * IW, IW * sizeof(float));
}

// Panels of MR rows, zeros beyond the last one.
void pack_rows(const float* left, Index m0, Index rows, Index k0, Index depth, float* to) {
  for (Index t = 0; t < rows; t += MR)
    for (Index p = 0; p < depth; ++p)
      for (Index i = 0; i < MR; ++i) *to++ = m0 + t + i < M ? left[(m0 + t + i) * K + k0 + p] : 0;
}

// All tiles of one block of rows and one of columns, over one panel of depth.
void block(const float* left, const float* right, Index m0, Index n0, Index k0, Index depth, const float* bias,
           const float* residual, float* out, float* packed, float* scratch) {
  const Index rows = least(MB, M - m0), columns = least(NB, N - n0);
  const bool first = k0 == 0, last = k0 + depth == K;
  if (!CONV && PACK_LEFT) pack_rows(left, m0, rows, k0, depth, packed);
  for (Index n = 0; n < columns; n += NR)
    for (Index m = 0; m < rows; m += MR) {
      const Index tall = least(MR, rows - m), wide = least(NR, columns - n);
      float* c = out + (m0 + m) * N + n0 + n;
      const float* b = right + n * depth;
      if (CONV || PACK_LEFT) {
        const float* a = CONV ? left + k0 * MP + (m0 + m) * depth : packed + m * depth;
        tile<1, MR>(a, b, depth, c, tall, wide, first, scratch);
      } else if (tall == MR) {
        tile<K, 1>(left + (m0 + m) * K + k0, b, depth, c, tall, wide, first, scratch);
      } else {
        pack_rows(left, m0 + m, tall, k0, depth, packed);
        tile<1, MR>(packed, b, depth, c, tall, wide, first, scratch);
      }
      if (last) finish(c, m0 + m, n0 + n, tall, wide, bias, residual);
    }
}

}  // namespace

extern "C" void kernel_sizes(std::size_t* packed_weights, std::size_t* scratch) {
  *packed_weights = CONV ? MP * K : K * NP;
  *scratch = kImage + kRight + kLeft + MR * NR;
}

// Weights as the model has them: [oc][ic kh kw], or [k][n].
extern "C" void kernel_prepare(const float* weights, float* packed) {
  for (Index k0 = 0; k0 < K; k0 += KC) {
    const Index depth = least(KC, K - k0);
    if (CONV) pack_rows(weights, 0, MP, k0, depth, packed + k0 * MP);
    if (CONV) continue;
    float* to = packed + k0 * NP;
    for (Index n = 0; n < NP; n += NR)
      for (Index p = 0; p < depth; ++p)
        for (Index j = 0; j < NR; ++j) *to++ = n + j < N ? weights[(k0 + p) * N + n + j] : 0;
  }
  if (!CONV) return;
  for (Index n = 0; n < NP; ++n) {
    const Index at = least(n, N - 1);
    pixel[n] = at / OW * SH * PW + at % OW * SW;
  }
  for (Index k = 0; k < K; ++k) tap[k] = k / (KH * KW) * PH * PW + k / KW % KH * DH * PW + k % KW * DW;
}

// Computes every workers-th block of rows and columns, beginning with number `worker`.
extern "C" void kernel_run(const float* input, const float* packed, const float* bias, const float* residual, float* out,
                           float* scratch, int worker, int workers) {
  float *image = scratch, *right = image + kImage, *left = right + kRight, *corner = left + kLeft;
  constexpr Index kHigh = (M + MB - 1) / MB;
  Index number = 0;
  for (Index sample = 0; sample < IMAGES; ++sample) {
    if (kPadded) pad_image(input, image);
    const float* planes = kPadded ? image : input;
    for (Index n0 = 0; n0 < N; n0 += NB, number += kHigh) {
      bool any = false;
      for (Index m = 0; m < kHigh; ++m) any = any || (number + m) % workers == worker;
      for (Index k0 = 0; any && k0 < K; k0 += KC) {
        const Index depth = least(KC, K - k0);
        if (CONV) pack_image(planes, n0, least(NB, N - n0), k0, depth, right);
        const float* panel = CONV ? right : packed + k0 * NP + n0 * depth;
        for (Index m = 0; m < kHigh; ++m)
          if ((number + m) % workers == worker)
            block(CONV ? packed : input, panel, m * MB, n0, k0, depth, bias, residual, out, left, corner);
      }
    }
    input += CONV ? IC * IH * IW : M * K;
    out += M * N;
    if (RESIDUAL) residual += M * N;
  }
}

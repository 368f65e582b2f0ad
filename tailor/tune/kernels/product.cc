// out[M x N] = act(left[M x K] * right[K x N] + bias (+ residual)), all row-major f32, one thread. Constants come before
// this text (kernel_source.cpp). The blocking is that of BLIS (Van Zee, van de Geijn, TOMS 2015): a tile of MR rows and
// NV vectors stays in registers, panels of KC steps in the first cache, blocks of MC rows in the second, NC columns
// beyond. CONV: left are the weights, packed once, and right is the image, unrolled as it is packed (implicit GEMM);
// else right are the weights and left the activations, packed block by block if PACK_LEFT.
//
// With ANY_SHAPE only the tile is constant, and everything else is a variable that kernel_shape sets: one shared object
// for all layers and blocks.
#include <cstddef>
#include <cstring>

namespace {

typedef float Vector __attribute__((vector_size(4 * VL), aligned(4), may_alias));
typedef std::ptrdiff_t Index;

#ifdef ANY_SHAPE
Index ANY_SHAPE;
#endif

inline Index up(Index value, Index unit) { return (value + unit - 1) / unit * unit; }
inline Index least(Index a, Index b) { return a < b ? a : b; }
constexpr Index NR = NV * VL;
inline Index packed_rows() { return up(M, MR); }
inline Index packed_columns() { return up(N, NR); }
inline Index block_rows() { return up(least(MC, packed_rows()), MR); }
inline Index block_columns() { return up(least(NC, packed_columns()), NR); }
inline Index padded_height() { return IH + PT + PB; }
inline Index padded_width() { return IW + PL + PR; }
inline bool is_padded() { return CONV && (PT || PL || PB || PR); }
// Floats of scratch memory, in this order, and a tile behind them.
inline Index image_floats() { return is_padded() ? IC * padded_height() * padded_width() : 0; }
inline Index right_floats() { return CONV ? block_columns() * KC : 0; }
inline Index left_floats() { return CONV ? 0 : block_rows() * KC; }
// Behind the packed weights of a convolution: where the window of an output pixel begins in a padded plane, then where
// a weight's input lies in its window.
inline Index weight_floats() { return CONV ? packed_rows() * K : K * packed_columns(); }
inline const int* pixels(const float* packed) { return (const int*)(packed + weight_floats()); }
inline const int* taps(const float* packed) { return pixels(packed) + packed_columns(); }

// c (+)= a * b over `depth` steps. `a`: MR rows, `row` apart, `step` from one to the next depth.
inline __attribute__((always_inline)) void multiply(const float* __restrict a, Index row, Index step,
                                                    const float* __restrict b, Index depth, float* __restrict c,
                                                    Index ldc, bool first) {
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

// bias: of each row of a convolution, of each column of a product.
template <bool with_residual>
void finish(float* c, Index m0, Index n0, Index rows, Index columns, const float* bias, const float* residual) {
  const float low = RELU || CLIP ? 0 : -__builtin_inff(), high = CLIP ? 6 : __builtin_inff();
  for (Index i = 0; i < rows; ++i) {
    float* to = c + i * N;
    const float* more = with_residual ? residual + (m0 + i) * N + n0 : nullptr;
    const float of_row = CONV && BIAS ? bias[m0 + i] : 0;
    for (Index j = 0; j < columns; ++j) {
      float value = to[j] + (!CONV && BIAS ? bias[n0 + j] : of_row);
      if (with_residual) value += more[j];
      value = value > low ? value : low;
      to[j] = value < high ? value : high;
    }
  }
}

// One tile; at the border by way of `scratch`, because whole vectors are stored. Rows of `a` lie K apart, or are packed.
template <bool packed>
inline void tile(const float* a, const float* b, Index depth, float* c, Index rows, Index columns, bool first,
                 float* scratch) {
  const Index row = packed ? 1 : K, step = packed ? MR : 1;
  if (rows == MR && columns == NR) return multiply(a, row, step, b, depth, c, N, first);
  if (!first)
    for (Index i = 0; i < rows; ++i) std::memcpy(scratch + i * NR, c + i * N, columns * sizeof(float));
  multiply(a, row, step, b, depth, scratch, NR, first);
  for (Index i = 0; i < rows; ++i) std::memcpy(c + i * N, scratch + i * NR, columns * sizeof(float));
}

// Panels of NR columns of the unrolled image.
void pack_image(const float* planes, const int* pixel, const int* tap, Index columns, Index depth, float* to) {
  for (Index t = 0; t < columns; t += NR) {
    const int* at = pixel + t;
    const bool run = at[NR - 1] - at[0] == NR - 1;
    for (Index p = 0; p < depth; ++p, to += NR) {
      const float* from = planes + tap[p];
      if (run) {
        std::memcpy(to, from + at[0], NR * sizeof(float));
        continue;
      }
      for (Index j = 0; j < NR; ++j) to[j] = from[at[j]];
    }
  }
}

void pad_image(const float* image, float* to) {
  const Index height = padded_height(), width = padded_width();
  std::memset(to, 0, image_floats() * sizeof(float));
  for (Index c = 0; c < IC; ++c)
    for (Index y = 0; y < IH; ++y)
      std::memcpy(to + (c * height + y + PT) * width + PL, image + (c * IH + y) * IW, IW * sizeof(float));
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
  const Index rows = least(block_rows(), M - m0), columns = least(block_columns(), N - n0);
  const bool first = k0 == 0, last = k0 + depth == K;
  if (!CONV && PACK_LEFT) pack_rows(left, m0, rows, k0, depth, packed);
  for (Index n = 0; n < columns; n += NR)
    for (Index m = 0; m < rows; m += MR) {
      const Index tall = least(MR, rows - m), wide = least(NR, columns - n);
      float* c = out + (m0 + m) * N + n0 + n;
      const float* b = right + n * depth;
      if (CONV || PACK_LEFT) {
        const float* a = CONV ? left + k0 * packed_rows() + (m0 + m) * depth : packed + m * depth;
        tile<true>(a, b, depth, c, tall, wide, first, scratch);
      } else if (tall == MR) {
        tile<false>(left + (m0 + m) * K + k0, b, depth, c, tall, wide, first, scratch);
      } else {
        pack_rows(left, m0 + m, tall, k0, depth, packed);
        tile<true>(packed, b, depth, c, tall, wide, first, scratch);
      }
      if (last && RESIDUAL) finish<true>(c, m0 + m, n0 + n, tall, wide, bias, residual);
      if (last && !RESIDUAL) finish<false>(c, m0 + m, n0 + n, tall, wide, bias, nullptr);
    }
}

}  // namespace

#ifdef ANY_SHAPE
// Numbers in the order of ANY_SHAPE; 1 if there are as many.
extern "C" int kernel_shape(const std::ptrdiff_t* numbers, std::size_t count) {
  Index* const variables[] = {ANY_SHAPE_PLACES};
  if (count != sizeof variables / sizeof *variables) return 0;
  for (std::size_t i = 0; i < count; ++i) *variables[i] = numbers[i];
  return 1;
}
#endif

extern "C" void kernel_sizes(std::size_t* packed_weights, std::size_t* scratch) {
  *packed_weights = weight_floats() + (CONV ? packed_columns() + K : 0);
  *scratch = image_floats() + right_floats() + left_floats() + MR * NR;
}

// Weights as the model has them: [oc][ic kh kw], or [k][n].
extern "C" void kernel_prepare(const float* weights, float* packed) {
  for (Index k0 = 0; k0 < K; k0 += KC) {
    const Index depth = least(KC, K - k0);
    if (CONV) pack_rows(weights, 0, packed_rows(), k0, depth, packed + k0 * packed_rows());
    if (CONV) continue;
    float* to = packed + k0 * packed_columns();
    for (Index n = 0; n < packed_columns(); n += NR)
      for (Index p = 0; p < depth; ++p)
        for (Index j = 0; j < NR; ++j) *to++ = n + j < N ? weights[(k0 + p) * N + n + j] : 0;
  }
  if (!CONV) return;
  const Index height = padded_height(), width = padded_width();
  int *pixel = (int*)pixels(packed), *tap = (int*)taps(packed);
  for (Index n = 0; n < packed_columns(); ++n) {
    const Index at = least(n, N - 1);
    pixel[n] = at / OW * SH * width + at % OW * SW;
  }
  for (Index k = 0; k < K; ++k) tap[k] = k / (KH * KW) * height * width + k / KW % KH * DH * width + k % KW * DW;
}

// Computes every workers-th block of rows and columns, beginning with number `worker`.
extern "C" void kernel_run(const float* input, const float* packed, const float* bias, const float* residual, float* out,
                           float* scratch, int worker, int workers) {
  float *image = scratch, *right = image + image_floats(), *left = right + right_floats(),
        *corner = left + left_floats();
  const Index tall = block_rows(), wide = block_columns(), high = (M + tall - 1) / tall;
  Index number = 0;
  for (Index sample = 0; sample < IMAGES; ++sample) {
    if (is_padded()) pad_image(input, image);
    const float* planes = is_padded() ? image : input;
    for (Index n0 = 0; n0 < N; n0 += wide, number += high) {
      bool any = false;
      for (Index m = 0; m < high; ++m) any = any || (number + m) % workers == worker;
      for (Index k0 = 0; any && k0 < K; k0 += KC) {
        const Index depth = least(KC, K - k0);
        if (CONV)
          pack_image(planes, pixels(packed) + n0, taps(packed) + k0, least(wide, N - n0), depth, right);
        const float* panel = CONV ? right : packed + k0 * packed_columns() + n0 * depth;
        for (Index m = 0; m < high; ++m)
          if ((number + m) % workers == worker)
            block(CONV ? packed : input, panel, m * tall, n0, k0, depth, bias, residual, out, left, corner);
      }
    }
    input += CONV ? IC * IH * IW : M * K;
    out += M * N;
    if (RESIDUAL) residual += M * N;
  }
}

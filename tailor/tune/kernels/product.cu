// out[M x N] = act(left[M x K] * right[K x N] + bias (+ residual)) on tensor cores: operands and result f16, sums f32.
// Constants come before this text (cuda_source.cpp). `right` are the weights, [kh][kw][ic][oc] of a convolution, [k][n]
// of a product. `left` are the activations, pixel by pixel ([mb][ih][iw][ic]), unrolled as they are read (implicit GEMM;
// Chetlur et al., arXiv:1410.0759): a row is an output pixel, k runs over taps and then channels. A product is the same
// with a window of one pixel. `bias` is f32, one per column; out and residual are [M][N], which is pixel by pixel again.
//
// product: a block computes a tile of BM x BN over STEPS / SPLIT steps of BK, by WM x WN warps, each ROWS x COLS products
//   of 16 x 8 x 16. Tiles of both operands go through shared memory in a ring of STAGES (cp.async), pieces of eight
//   exchanged so that eight rows of a column lie in different banks (ldmatrix). PERSISTENT: a block takes tiles one after
//   the other. RASTER: tiles are dealt out down RASTER rows of them before the next column.
// finish: where the reduction is split, product leaves its sums in `partial` [SPLIT][M][N] (f32), and this kernel adds
//   them up in order, so a result does not depend on which block was first.
// Pieces of LEFT_GRAIN (RIGHT_GRAIN) elements are moved at a time: the most that divide a row, so each piece lies inside
// or outside as a whole; what lies outside is zero.
typedef unsigned short half_t;  // the bits of an f16

// Everything that is not C++: tests put the same functions for processors in its place.
#ifdef __CUDA_ARCH__
#define KERNEL extern "C" __global__
#define DEVICE static __device__ __forceinline__
#if SHARED_BYTES <= 49152
#define STAGES_IN_SHARED(name) \
  __shared__ __align__(128) unsigned char memory[SHARED_BYTES]; \
  Stage* name = (Stage*)memory
#else
#define STAGES_IN_SHARED(name) \
  extern __shared__ __align__(128) unsigned char memory[]; \
  Stage* name = (Stage*)memory
#endif

DEVICE unsigned shared_address(const void* at) { return (unsigned)__cvta_generic_to_shared(at); }

// Moves BYTES to shared memory, zeros if not `inside`; they are there after settle() and a barrier. `from` must be an
// address of the tensor in any case. Before compute capability 8, and for single elements, it happens at once.
template <int BYTES>
DEVICE void bring(half_t* to, const half_t* from, bool inside) {
#if __CUDA_ARCH__ >= 800
  if constexpr (BYTES == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(__cvta_generic_to_global(from)), "r"(inside ? 16 : 0) : "memory");
    return;
  } else if constexpr (BYTES >= 4) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(to)),
                 "l"(__cvta_generic_to_global(from)), "n"(BYTES), "r"(inside ? BYTES : 0) : "memory");
    return;
  }
#endif
  if constexpr (BYTES == 16) {
    *(uint4*)to = inside ? *(const uint4*)from : make_uint4(0, 0, 0, 0);
  } else if constexpr (BYTES == 8) {
    *(uint2*)to = inside ? *(const uint2*)from : make_uint2(0, 0);
  } else if constexpr (BYTES == 4) {
    *(unsigned*)to = inside ? *(const unsigned*)from : 0;
  } else {
    *to = inside ? *from : 0;
  }
}

// What was brought since the last call is one group.
DEVICE void group() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most PENDING of this thread's groups are on their way.
template <int PENDING>
DEVICE void settle() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
#endif
}

// Four matrices of 8 x 8; lanes 8 i to 8 i + 7 say where the rows of the i-th lie.
DEVICE void load_matrices(unsigned (&to)[4], const half_t* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(shared_address(row)) : "memory");
}
DEVICE void load_transposed(unsigned (&to)[4], const half_t* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(shared_address(row)) : "memory");
}

// sum[16 x 8] += left[16 x 16] * right[16 x 8], spread over the warp as mma.m16n8k16 says.
DEVICE void multiply_add(float (&sum)[4], const unsigned (&left)[4], unsigned right0, unsigned right1) {
#if __CUDA_ARCH__ >= 800
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
#else  // two halves of k, whose parts are the same registers
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]) : "r"(left[0]), "r"(left[1]), "r"(right0));
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]) : "r"(left[2]), "r"(left[3]), "r"(right1));
#endif
}

DEVICE float to_float(half_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}
DEVICE half_t to_half(float value) {
  half_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}
#endif

#define THREADS (WM * WN * 32)
#define STEPS ((K + BK - 1) / BK)
#define TILES_M ((M + BM - 1) / BM)
#define TILES_N ((N + BN - 1) / BN)
#define WARP_M (BM / WM)
#define WARP_N (BN / WN)
#define ROWS (WARP_M / 16)
#define COLS (WARP_N / 8)
#define PADDED (PT || PL || PB || PR)
#define OUTSIDE (-2147483647 - 1)
// Pieces of a step's tiles, and how many each thread moves.
#define LEFT_WIDE (BK / LEFT_GRAIN)
#define LEFT_ROUNDS ((BM * LEFT_WIDE + THREADS - 1) / THREADS)
#define RIGHT_WIDE (BN / RIGHT_GRAIN)
#define RIGHT_ROUNDS ((BK * RIGHT_WIDE + THREADS - 1) / THREADS)
// Where a thread's rows lie is kept in registers if that is not too many of them.
#define KEPT (LEFT_ROUNDS <= 8 ? LEFT_ROUNDS : 1)
#define UNROLLED(rounds) ((rounds) <= 8 ? (rounds) : 2)

struct Stage {
  half_t left[BM * BK], right[BK * BN];
};
static_assert(sizeof(Stage) * STAGES == SHARED_BYTES, "what the launch is told");
static_assert(THREADS % LEFT_WIDE == 0, "a thread moves one column of the left tile");
static_assert(WARP_M % 16 == 0 && WARP_N % 16 == 0 && BK % 16 == 0, "whole products");

// Where an element of a tile of WIDTH columns lies: eight rows of a piece's column are in eight different sets of banks.
template <int WIDTH>
DEVICE int place_in_tile(int row, int column) {
  constexpr int kPieces = WIDTH / 8, kAlike = kPieces >= 8 ? 1 : 8 / kPieces, kMask = kPieces >= 8 ? 7 : kPieces - 1;
  return row * WIDTH + ((column / 8) ^ (row / kAlike & kMask)) * 8 + column % 8;
}

// An output pixel's window: where its corner lies in the tensor, and in its image.
struct Corner {
  int at, y, x;
};
DEVICE Corner corner_of(int m) {
  const int image = m / (OH * OW), pixel = m % (OH * OW);
  const int y = pixel / OW * SH - PT, x = pixel % OW * SW - PL;
  return {m < M ? ((image * IH + y) * IW + x) * IC : OUTSIDE, y, x};
}

DEVICE int left_row(int round) { return (int)threadIdx.x / LEFT_WIDE + round * (THREADS / LEFT_WIDE); }

DEVICE void bring_left(half_t* tile, const half_t* input, const Corner (&corners)[KEPT], int m0, int k0) {
  const int column = (int)threadIdx.x % LEFT_WIDE * LEFT_GRAIN, k = k0 + column;
  const int tap = k / IC, dy = tap / KW * DH, dx = tap % KW * DW;
  const int from_corner = (dy * IW + dx) * IC + k % IC;
#pragma unroll UNROLLED(LEFT_ROUNDS)
  for (int i = 0; i < LEFT_ROUNDS; ++i) {
    const int row = left_row(i);
    if (BM * LEFT_WIDE % THREADS != 0 && row >= BM) break;
    const Corner corner = KEPT == LEFT_ROUNDS ? corners[i % KEPT] : corner_of(m0 + row);
    const int y = corner.y + dy, x = corner.x + dx;
    const bool inside =
        corner.at != OUTSIDE && (K % BK == 0 || k < K) && (!PADDED || (y >= 0 && y < IH && x >= 0 && x < IW));
    bring<2 * LEFT_GRAIN>(tile + place_in_tile<BK>(row, column), input + (inside ? corner.at + from_corner : 0), inside);
  }
}

DEVICE void bring_right(half_t* tile, const half_t* weights, int k0, int n0) {
#pragma unroll UNROLLED(RIGHT_ROUNDS)
  for (int i = 0; i < RIGHT_ROUNDS; ++i) {
    const int piece = (int)threadIdx.x + i * THREADS, row = piece / RIGHT_WIDE, column = piece % RIGHT_WIDE * RIGHT_GRAIN;
    if (BK * RIGHT_WIDE % THREADS != 0 && row >= BK) break;
    const bool inside = (K % BK == 0 || k0 + row < K) && (N % BN == 0 || n0 + column < N);
    bring<2 * RIGHT_GRAIN>(tile + place_in_tile<BN>(row, column), weights + (inside ? (k0 + row) * N + n0 + column : 0),
                           inside);
  }
}

DEVICE void multiply(const Stage& stage, float (&sum)[ROWS][COLS][4], int warp_m, int warp_n) {
  const int lane = (int)threadIdx.x % 32, row = lane % 16, column = lane / 16 * 8;
#pragma unroll
  for (int k = 0; k < BK; k += 16) {
    unsigned left[ROWS][4], right[COLS / 2][4];
#pragma unroll
    for (int i = 0; i < ROWS; ++i)
      load_matrices(left[i], stage.left + place_in_tile<BK>(warp_m + i * 16 + row, k + column));
#pragma unroll
    for (int j = 0; j < COLS / 2; ++j)
      load_transposed(right[j], stage.right + place_in_tile<BN>(k + row, warp_n + j * 16 + column));
#pragma unroll
    for (int i = 0; i < ROWS; ++i) {
#pragma unroll
      for (int j = 0; j < COLS; ++j)
        multiply_add(sum[i][j], left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
    }
  }
}

DEVICE float finished(float value, int m, int n, const float* bias, const half_t* residual) {
#if BIAS
  value += bias[n];
#endif
#if RESIDUAL
  value += to_float(residual[(long long)m * N + n]);
#endif
#if CLIP
  return fminf(fmaxf(value, 0.0f), 6.0f);
#elif RELU
  return fmaxf(value, 0.0f);
#else
  return value;
#endif
}

// Two neighbours of a row, of which the second may be behind the border.
DEVICE void write_pair(float first, float second, int m, int n, int split, const float* bias, const half_t* residual,
                       float* partial, half_t* out) {
  if ((M % BM != 0 && m >= M) || (N % BN != 0 && n >= N)) return;
  const long long at = (long long)m * N + n;
  const bool both = N % 2 == 0 || n + 1 < N;
#if SPLIT > 1
  float* to = partial + (long long)split * M * N + at;
  if (N % 2 == 0) {
    *(float2*)to = make_float2(first, second);
  } else {
    to[0] = first;
    if (both) to[1] = second;
  }
#else
  const half_t low = to_half(finished(first, m, n, bias, residual));
  const half_t high = both ? to_half(finished(second, m, n + 1, bias, residual)) : (half_t)0;
  if (N % 2 == 0) {
    *(unsigned*)(out + at) = low | (unsigned)high << 16;
  } else {
    out[at] = low;
    if (both) out[at + 1] = high;
  }
#endif
}

DEVICE void write(const float (&sum)[ROWS][COLS][4], int m0, int n0, int split, const float* bias,
                  const half_t* residual, float* partial, half_t* out) {
  const int lane = (int)threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
#pragma unroll
    for (int j = 0; j < COLS; ++j) {
      const int m = m0 + i * 16 + lane / 4, n = n0 + j * 8 + lane % 4 * 2;
      write_pair(sum[i][j][0], sum[i][j][1], m, n, split, bias, residual, partial, out);
      write_pair(sum[i][j][2], sum[i][j][3], m + 8, n, split, bias, residual, partial, out);
    }
  }
}

// Sums of one tile over the steps `first` to `last` - 1.
DEVICE void accumulate(Stage* stages, float (&sum)[ROWS][COLS][4], int m0, int n0, int first, int last,
                       const half_t* input, const half_t* weights) {
  const int warp = (int)threadIdx.x / 32, warp_m = warp / WN * WARP_M, warp_n = warp % WN * WARP_N;
  Corner corners[KEPT];
#pragma unroll
  for (int i = 0; i < KEPT; ++i) corners[i] = corner_of(m0 + left_row(i));
#pragma unroll
  for (int s = 0; s < STAGES - 1; ++s) {
    if (first + s < last) {
      bring_left(stages[s].left, input, corners, m0, (first + s) * BK);
      bring_right(stages[s].right, weights, (first + s) * BK, n0);
    }
    group();
  }
  int full = 0, empty = STAGES - 1;  // stages: what is multiplied next, what is filled next
#pragma unroll 1
  for (int step = first; step < last; ++step) {
    settle<STAGES - 2>();
    __syncthreads();
    const int next = step + STAGES - 1;
    if (next < last) {
      bring_left(stages[empty].left, input, corners, m0, next * BK);
      bring_right(stages[empty].right, weights, next * BK, n0);
    }
    group();
    multiply(stages[full], sum, warp_m, warp_n);
    full = full + 1 == STAGES ? 0 : full + 1;
    empty = empty + 1 == STAGES ? 0 : empty + 1;
  }
}

// One tile of one part of the reduction. `work` counts the tiles of the first part, then those of the second, ...
DEVICE void compute(Stage* stages, int work, const half_t* input, const half_t* weights, const float* bias,
                    const half_t* residual, float* partial, half_t* out) {
  const int split = work / (TILES_M * TILES_N), tile = work % (TILES_M * TILES_N);
  const int top = tile / (RASTER * TILES_N) * RASTER, inside = tile % (RASTER * TILES_N);
  const int high = TILES_M % RASTER == 0 || top + RASTER <= TILES_M ? RASTER : TILES_M - top;
  const int m0 = (top + inside % high) * BM, n0 = inside / high * BN;
  float sum[ROWS][COLS][4] = {};
  accumulate(stages, sum, m0, n0, (int)((long long)STEPS * split / SPLIT), (int)((long long)STEPS * (split + 1) / SPLIT),
             input, weights);
  const int warp = (int)threadIdx.x / 32;
  write(sum, m0 + warp / WN * WARP_M, n0 + warp % WN * WARP_N, split, bias, residual, partial, out);
}

KERNEL void __launch_bounds__(THREADS) product(const half_t* __restrict__ input, const half_t* __restrict__ weights,
                                               const float* __restrict__ bias, const half_t* __restrict__ residual,
                                               float* __restrict__ partial, half_t* __restrict__ out) {
  STAGES_IN_SHARED(stages);
#if PERSISTENT
  for (int work = (int)blockIdx.x; work < TILES_M * TILES_N * SPLIT; work += (int)gridDim.x) {
    compute(stages, work, input, weights, bias, residual, partial, out);
    __syncthreads();  // the next tile's first stages are those that others may still read
  }
#else
  compute(stages, (int)blockIdx.x, input, weights, bias, residual, partial, out);
#endif
}

#if SPLIT > 1
KERNEL void __launch_bounds__(256) finish(const float* __restrict__ partial, const float* __restrict__ bias,
                                          const half_t* __restrict__ residual, half_t* __restrict__ out) {
  const long long at = (long long)blockIdx.x * 256 + threadIdx.x;
  if (at >= (long long)M * N) return;
  float sum = 0;
#pragma unroll
  for (int split = 0; split < SPLIT; ++split) sum += partial[(long long)split * M * N + at];
  out[at] = to_half(finished(sum, (int)(at / N), (int)(at % N), bias, residual));
}
#endif

// Block: fibers and what they wait for. run_warp takes a warp to its next barrier; collect does what a whole warp has come to.
#include "tests/tune/emulated_gpu.h"

#include "tailor/base/random.h"

#include <fmt/format.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <deque>
#include <numeric>

namespace tailor::testing {

using emulated::Index;

std::uint16_t half_of(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  if (std::isnan(value)) return 0x7fff;
  const float size = std::fabs(value);
  if (size >= 65520) return sign | 0x7c00;
  int exponent = 0;
  std::frexp(size, &exponent);
  // The distance of neighbours: 11 bits, but not below 2^-24.
  const float unit = std::ldexp(1.0f, std::max(exponent - 11, -24));
  const float rounded = std::nearbyint(size / unit) * unit;
  std::frexp(rounded, &exponent);
  if (rounded < std::ldexp(1.0f, -14)) return sign | static_cast<std::uint16_t>(std::ldexp(rounded, 24));
  const auto mantissa = static_cast<std::uint16_t>(std::ldexp(rounded, 11 - exponent));  // 1024 to 2047
  return static_cast<std::uint16_t>(sign | ((exponent + 14) << 10) | (mantissa & 0x3ff));
}

float float_of(std::uint16_t half) {
  const int exponent = half >> 10 & 31, mantissa = half & 0x3ff;
  const float sign = half & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa ? std::nanf("") : sign * INFINITY;
  return sign * (exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                               : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25));
}

namespace {

constexpr std::size_t kStack = std::size_t{128} << 10;
constexpr unsigned kWarp = 32;

enum class State { ready, at_warp, at_barrier, done };
enum class Operation { none, load, load_transposed, multiply_add };

struct Copy {
  void* to;
  const void* from;
  int bytes;
  bool inside;
};

// A lane's part of what its warp does together.
struct Deposit {
  Operation operation = Operation::none;
  unsigned* to = nullptr;
  const void* row = nullptr;
  float* sum = nullptr;
  std::array<unsigned, 4> left = {};
  std::array<unsigned, 2> right = {};
};

struct Fiber {
  ucontext_t context = {};
  std::unique_ptr<std::byte[]> stack = std::make_unique_for_overwrite<std::byte[]>(kStack);
  State state = State::done;
  Deposit deposit;
  std::vector<Copy> issued;
  std::deque<std::vector<Copy>> groups;
};

std::uint16_t half_in(unsigned pair, int which) {
  return static_cast<std::uint16_t>(which ? pair >> 16 : pair);
}
float value_in(unsigned pair, int which) { return float_of(half_in(pair, which)); }

class Block {
 public:
  void prepare(const EmulatedLaunch& launch, const std::vector<Readable>& readable,
               const std::function<void()>& body) {
    launch_ = launch, readable_ = readable, body_ = &body, result_ = {};
    random_ = std::make_unique<Random>(launch.seed);
    while (fibers_.size() < launch.block) fibers_.push_back(std::make_unique<Fiber>());
    storage_.assign(static_cast<std::size_t>(launch.shared_bytes) + 128, std::byte{0xff});
    void* at = storage_.data();
    std::size_t room = storage_.size();
    shared_ =
        static_cast<std::byte*>(std::align(128, static_cast<std::size_t>(launch.shared_bytes), at, room));
    grid = {launch.grid};
  }
  Emulated& result() { return result_; }

  void run(unsigned number) {
    block = {number};
    std::fill(storage_.begin(), storage_.end(), std::byte{0xff});
    for (unsigned t = 0; t < launch_.block; ++t) start(t);
    while (result_.fault.empty() && !all(State::done)) run_to_barrier();
    for (unsigned t = 0; t < launch_.block && result_.fault.empty(); ++t) check_end(*fibers_[t]);
  }

  // What fibers call.
  void wait(State state) {
    current().state = state;
    swapcontext(&current().context, &scheduler_);
  }
  [[noreturn]] void fail(const std::string& what) {
    if (result_.fault.empty())
      result_.fault = fmt::format("block {}, thread {}: {}", block.x, thread.x, what);
    for (;;) wait(State::done);
  }
  Fiber& current() { return *fibers_[thread.x]; }
  void together(const Deposit& deposit) {
    current().deposit = deposit;
    wait(State::at_warp);
  }
  std::byte* shared(std::int64_t bytes) {
    if (bytes != launch_.shared_bytes)
      fail(fmt::format("{} bytes of shared memory, not {}", bytes, launch_.shared_bytes));
    return shared_;
  }
  void require_shared(const void* at, int bytes) {
    const auto* begin = static_cast<const std::byte*>(at);
    if (begin < shared_ || begin + bytes > shared_ + launch_.shared_bytes)
      fail("an address outside shared memory");
    if (reinterpret_cast<std::uintptr_t>(at) % static_cast<unsigned>(bytes) != 0)
      fail("not aligned in shared memory");
  }
  void require_readable(const void* at, int bytes) {
    const auto* begin = static_cast<const std::byte*>(at);
    if (reinterpret_cast<std::uintptr_t>(at) % static_cast<unsigned>(bytes) != 0)
      fail("not aligned in a tensor");
    for (const Readable& r : readable_)
      if (const auto* from = static_cast<const std::byte*>(r.begin);
          begin >= from && begin + bytes <= from + r.bytes)
        return;
    fail("an address outside the tensors");
  }
  const EmulatedLaunch& launch() const { return launch_; }

  Index thread = {}, block = {}, grid = {};

 private:
  static void enter();
  void start(unsigned t);
  bool all(State state) const {
    return std::all_of(fibers_.begin(), fibers_.begin() + launch_.block,
                       [&](const auto& fiber) { return fiber->state == state; });
  }
  // Warps one after the other, each as far as it can.
  void run_to_barrier() {
    std::vector<unsigned> order(launch_.block / kWarp);
    std::iota(order.begin(), order.end(), 0u);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random_->below(i)]);
    for (unsigned warp : order)
      if (result_.fault.empty()) run_warp(warp);
    if (!result_.fault.empty() || all(State::done)) return;
    if (!all(State::at_barrier)) {
      result_.fault = fmt::format("block {}: a barrier that not all threads come to", block.x);
      return;
    }
    for (unsigned t = 0; t < launch_.block; ++t) fibers_[t]->state = State::ready;
  }
  void run_warp(unsigned warp) {
    while (result_.fault.empty()) {
      unsigned waiting = 0, ran = 0;
      for (unsigned t = warp * kWarp; t < (warp + 1) * kWarp && result_.fault.empty(); ++t) {
        if (fibers_[t]->state == State::ready) ++ran, resume(t);
        waiting += fibers_[t]->state == State::at_warp;
      }
      if (waiting == 0 && ran == 0) return;
      if (waiting == kWarp)
        collect(warp);
      else if (waiting > 0)
        result_.fault = fmt::format("block {}, warp {}: it does not come as a whole", block.x, warp);
    }
  }
  void resume(unsigned t) {
    thread = {t};
    swapcontext(&scheduler_, &fibers_[t]->context);
  }
  Fiber& lane(unsigned warp, unsigned l) { return *fibers_[warp * kWarp + l]; }
  void collect(unsigned warp);
  void load(unsigned warp, bool transposed);
  void multiply_add(unsigned warp);
  void check_end(const Fiber& fiber) {
    bool pending = !fiber.issued.empty();
    for (const auto& group : fiber.groups) pending = pending || !group.empty();
    if (pending) result_.fault = fmt::format("block {}: it ends with copies on their way", block.x);
  }

  EmulatedLaunch launch_;
  std::vector<Readable> readable_;
  const std::function<void()>* body_ = nullptr;
  Emulated result_;
  std::unique_ptr<Random> random_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<std::byte> storage_;
  std::byte* shared_ = nullptr;
  ucontext_t scheduler_ = {};
};

Block& gpu() {
  static Block one;
  return one;
}

void Block::enter() {
  (*gpu().body_)();
  for (;;) gpu().wait(State::done);
}

void Block::start(unsigned t) {
  Fiber& fiber = *fibers_[t];
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get(), fiber.context.uc_stack.ss_size = kStack;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, enter, 0);
  fiber.state = State::ready, fiber.issued.clear(), fiber.groups.clear();
}

void Block::collect(unsigned warp) {
  const Operation operation = lane(warp, 0).deposit.operation;
  for (unsigned l = 0; l < kWarp; ++l) {
    if (lane(warp, l).deposit.operation != operation)
      result_.fault = fmt::format("block {}, warp {}: lanes do different things", block.x, warp);
    lane(warp, l).state = State::ready;
  }
  if (operation == Operation::multiply_add)
    multiply_add(warp);
  else
    load(warp, operation == Operation::load_transposed);
}

// PTX ISA, ldmatrix: lane 8 i + r says where row r of matrix i lies; lane l gets two neighbours of row l / 4.
void Block::load(unsigned warp, bool transposed) {
  for (unsigned i = 0; i < 4; ++i) {
    std::array<std::array<std::uint16_t, 8>, 8> matrix;
    unsigned banks = 0;
    for (unsigned r = 0; r < 8; ++r) {
      const void* row = lane(warp, 8 * i + r).deposit.row;
      std::memcpy(matrix[r].data(), row, 16);
      const auto slot = static_cast<unsigned>((static_cast<const std::byte*>(row) - shared_) / 16 % 8);
      result_.bank_conflicts += banks >> slot & 1;
      banks |= 1u << slot;
    }
    for (unsigned l = 0; l < kWarp; ++l) {
      const unsigned a = l / 4, b = l % 4 * 2;
      const unsigned low = transposed ? matrix[b][a] : matrix[a][b],
                     high = transposed ? matrix[b + 1][a] : matrix[a][b + 1];
      lane(warp, l).deposit.to[i] = low | high << 16;
    }
  }
}

// PTX ISA, fragments of mma.m16n8k16 with f16 operands.
void Block::multiply_add(unsigned warp) {
  float left[16][16], right[16][8];
  for (unsigned l = 0; l < kWarp; ++l) {
    const Deposit& d = lane(warp, l).deposit;
    for (unsigned i = 0; i < 8; ++i) {  // a_i of the figure: two to a register
      const unsigned row = l / 4 + (i / 2 % 2 ? 8 : 0), column = l % 4 * 2 + i % 2 + (i >= 4 ? 8 : 0);
      left[row][column] = value_in(d.left[i / 2], static_cast<int>(i % 2));
    }
    for (unsigned i = 0; i < 4; ++i)
      right[l % 4 * 2 + i % 2 + (i >= 2 ? 8 : 0)][l / 4] = value_in(d.right[i / 2], static_cast<int>(i % 2));
  }
  for (unsigned l = 0; l < kWarp; ++l)
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned row = l / 4 + (i >= 2 ? 8 : 0), column = l % 4 * 2 + i % 2;
      float& sum = lane(warp, l).deposit.sum[i];
      for (unsigned k = 0; k < 16; ++k) sum += left[row][k] * right[k][column];
    }
  ++result_.products;
}

void arrive(const Copy& copy) {
  if (copy.inside)
    std::memcpy(copy.to, copy.from, static_cast<std::size_t>(copy.bytes));
  else
    std::memset(copy.to, 0, static_cast<std::size_t>(copy.bytes));
}

void bring(void* to, const void* from, int bytes, bool inside) {
  gpu().require_shared(to, bytes);
  gpu().require_readable(from, bytes);
  const Copy copy{to, from, bytes, inside};
  if (bytes < 4 || gpu().launch().at_once) return arrive(copy);
  std::memset(to, 0xff, static_cast<std::size_t>(bytes));  // NaN
  gpu().current().issued.push_back(copy);
}

void group() {
  Fiber& fiber = gpu().current();
  fiber.groups.push_back(std::move(fiber.issued));
  fiber.issued.clear();
}

void settle(int pending) {
  std::deque<std::vector<Copy>>& groups = gpu().current().groups;
  for (; groups.size() > static_cast<std::size_t>(pending); groups.pop_front())
    for (const Copy& copy : groups.front()) arrive(copy);
}

void load(unsigned* to, const void* row, bool transposed) {
  gpu().require_shared(row, 16);
  Deposit deposit;
  deposit.operation = transposed ? Operation::load_transposed : Operation::load;
  deposit.to = to, deposit.row = row;
  gpu().together(deposit);
}

void multiply_add(float* sum, const unsigned* left, unsigned right0, unsigned right1) {
  Deposit deposit;
  deposit.operation = Operation::multiply_add, deposit.sum = sum;
  deposit.left = {left[0], left[1], left[2], left[3]}, deposit.right = {right0, right1};
  gpu().together(deposit);
}

void barrier() { gpu().wait(State::at_barrier); }
void* shared(long long bytes) { return gpu().shared(bytes); }

}  // namespace

const emulated::Machine& emulated_machine() {
  static const emulated::Machine machine = {bring,        group,         settle,       load,
                                            multiply_add, barrier,       float_of,     half_of,
                                            shared,       &gpu().thread, &gpu().block, &gpu().grid};
  return machine;
}

Emulated emulate(const EmulatedLaunch& launch, const std::vector<Readable>& readable,
                 const std::function<void()>& thread) {
  gpu().prepare(launch, readable, thread);
  for (unsigned block = 0; block < launch.grid && gpu().result().fault.empty(); ++block) gpu().run(block);
  return gpu().result();
}

}  // namespace tailor::testing

/// \file Conditions on tuning parameters, as people and Kernel Tuner's T1 files write them:
/// "MWG % (MDIMC * VWM) == 0 and 32 <= block_size_x * block_size_y <= 1024".
///
/// The grammar is the part of Python's that such files use (or, and, not, chained comparisons, + - * / // % **,
/// min, max, abs, numbers, strings, True, False), with C's ||, && and ! beside. Nothing can be called or assigned.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace tailor::tune {

/// A value of a parameter. Truth is the integer 0 or 1.
using Value = std::variant<std::int64_t, double, std::string>;
/// "16", "0.5", "nhwc"
std::string to_string(const Value& value);
/// The number; of a string not-a-number.
double number_of(const Value& value);

/// A parsed condition over named parameters.
class Expression {
 public:
  /// @param names of the parameters, in the order of the values that holds() gets
  /// @throws Error bad_space, with the text as place: a syntax error, an unknown name, more than 4096 characters,
  /// or nesting deeper than 64
  Expression(std::string text, const std::vector<std::string>& names);

  /// Is it true of these values? A division by zero, arithmetic on strings and results that are not finite make it
  /// false. Integers stay exact as long as they fit 64 bits. O(size of the text).
  bool holds(std::span<const Value* const> values) const;

  const std::string& text() const { return text_; }
  /// The parameters that it reads, ascending.
  const std::vector<int>& reads() const { return reads_; }

  enum class Op {
    literal,
    parameter,
    negate,
    logical_not,
    logical_and,
    logical_or,
    add,
    subtract,
    multiply,
    divide,
    floor_divide,
    modulo,
    power,
    less,
    less_equal,
    greater,
    greater_equal,
    equal,
    not_equal,
    minimum,
    maximum,
    absolute
  };
  /// A node of the tree: `left` and `right` are places in the list of nodes, -1 where there is none.
  struct Node {
    Op op = Op::literal;
    int left = -1, right = -1;
    int parameter = -1;
    Value literal = std::int64_t{0};
  };

 private:
  std::string text_;
  std::vector<Node> nodes_;  // the root is the last
  std::vector<int> reads_;
};

}  // namespace tailor::tune

// Tokens: the text cut into words. Parser: words -> nodes, one function per level of precedence. evaluate: nodes ->
// a value, or nothing where arithmetic has no answer.
#include "tailor/tune/expression.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

namespace tailor::tune {
namespace {

using Op = Expression::Op;
using Node = Expression::Node;

constexpr std::size_t kLongest = 4096;
constexpr int kDeepest = 64;

bool begins_name(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool in_name(char c) { return begins_name(c) || std::isdigit(static_cast<unsigned char>(c)); }
bool in_number(char c) { return std::isdigit(static_cast<unsigned char>(c)) || c == '.'; }

class Parser {
 public:
  Parser(const std::string& text, const std::vector<std::string>& names) : text_(text), names_(names) {
    next();
  }

  std::vector<Node> parse() {
    disjunction();
    if (!word_.empty()) fail(fmt::format("'{}' is not expected here", word_));
    return std::move(nodes_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(Code::bad_space, fmt::format("condition not understood: {}", what), text_);
  }

  std::size_t end_of_word(std::size_t at) const {
    auto run = [&](auto belongs) {
      std::size_t end = at;
      while (end < text_.size() && belongs(text_[end])) ++end;
      return end;
    };
    const char c = text_[at];
    if (begins_name(c)) return run(in_name);
    if (in_number(c)) return end_of_number(run(in_number));
    if (c == '\'' || c == '"') {
      std::size_t close = text_.find(c, at + 1);
      if (close == std::string::npos) fail("a string has no end");
      return close + 1;
    }
    for (std::string_view pair : {"**", "//", "<=", ">=", "==", "!=", "&&", "||"})
      if (std::string_view(text_).substr(at, 2) == pair) return at + 2;
    return at + 1;
  }
  // "1e-3": the exponent belongs to the number.
  std::size_t end_of_number(std::size_t end) const {
    if (end >= text_.size() || (text_[end] != 'e' && text_[end] != 'E')) return end;
    std::size_t digits = end + 1;
    if (digits < text_.size() && (text_[digits] == '-' || text_[digits] == '+')) ++digits;
    if (digits >= text_.size() || !std::isdigit(static_cast<unsigned char>(text_[digits]))) return end;
    while (digits < text_.size() && std::isdigit(static_cast<unsigned char>(text_[digits]))) ++digits;
    return digits;
  }
  void next() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    std::size_t end = at_ < text_.size() ? end_of_word(at_) : at_;
    word_ = std::string_view(text_).substr(at_, end - at_);
    at_ = end;
  }
  bool take(std::string_view word) {
    if (word_ != word) return false;
    next();
    return true;
  }
  int add(Node node) {
    nodes_.push_back(std::move(node));
    return static_cast<int>(nodes_.size()) - 1;
  }
  int add(Op op, int left, int right = -1) { return add(Node{op, left, right, -1, std::int64_t{0}}); }

  int disjunction() {
    if (++depth_ > kDeepest) fail(fmt::format("nested more than {} levels deep", kDeepest));
    int left = conjunction();
    while (take("or") || take("||")) {
      int right = conjunction();
      left = add(Op::logical_or, left, right);
    }
    --depth_;
    return left;
  }
  int conjunction() {
    int left = negation();
    while (take("and") || take("&&")) {
      int right = negation();
      left = add(Op::logical_and, left, right);
    }
    return left;
  }
  int negation() {
    bool odd = false;
    while (take("not") || take("!")) odd = !odd;
    int operand = comparison();
    return odd ? add(Op::logical_not, operand) : operand;
  }
  std::optional<Op> comparator() {
    static constexpr std::pair<std::string_view, Op> kAll[] = {{"<", Op::less},    {"<=", Op::less_equal},
                                                               {">", Op::greater}, {">=", Op::greater_equal},
                                                               {"==", Op::equal},  {"!=", Op::not_equal}};
    for (auto [word, op] : kAll)
      if (take(word)) return op;
    return std::nullopt;
  }
  // a < b < c is a < b and b < c.
  int comparison() {
    int left = sum(), all = -1;
    while (std::optional<Op> op = comparator()) {
      int right = sum();
      int one = add(*op, left, right);
      all = all < 0 ? one : add(Op::logical_and, all, one);
      left = right;
    }
    return all < 0 ? left : all;
  }
  int sum() {
    int left = product();
    while (word_ == "+" || word_ == "-") {
      Op op = word_ == "+" ? Op::add : Op::subtract;
      next();
      int right = product();
      left = add(op, left, right);
    }
    return left;
  }
  std::optional<Op> multiplier() {
    static constexpr std::pair<std::string_view, Op> kAll[] = {
        {"*", Op::multiply}, {"/", Op::divide}, {"//", Op::floor_divide}, {"%", Op::modulo}};
    for (auto [word, op] : kAll)
      if (take(word)) return op;
    return std::nullopt;
  }
  int product() {
    int left = signed_value();
    while (std::optional<Op> op = multiplier()) {
      int right = signed_value();
      left = add(*op, left, right);
    }
    return left;
  }
  int signed_value() {
    bool odd = false;
    while (word_ == "-" || word_ == "+") odd ^= word_ == "-", next();
    int operand = power();
    return odd ? add(Op::negate, operand) : operand;
  }
  int power() {
    int base = atom();
    if (!take("**")) return base;
    if (++depth_ > kDeepest) fail(fmt::format("nested more than {} levels deep", kDeepest));
    int exponent = signed_value();
    --depth_;
    return add(Op::power, base, exponent);
  }
  int atom() {
    if (word_.empty()) fail("it ends too early");
    if (take("(")) {
      int inner = disjunction();
      if (!take(")")) fail("a ')' is missing");
      return inner;
    }
    if (in_number(word_.front())) return number();
    if (word_.front() == '\'' || word_.front() == '"') return string();
    if (begins_name(word_.front())) return name();
    fail(fmt::format("'{}' is not expected here", word_));
  }
  int literal(Value value) { return add(Node{Op::literal, -1, -1, -1, std::move(value)}); }
  int number() {
    const char *begin = word_.data(), *end = begin + word_.size();
    std::int64_t whole = 0;
    double real = 0;
    if (auto [at, bad] = std::from_chars(begin, end, whole); bad == std::errc{} && at == end) {
      next();
      return literal(whole);
    }
    if (auto [at, bad] = std::from_chars(begin, end, real); bad != std::errc{} || at != end)
      fail(fmt::format("'{}' is no number", word_));
    next();
    return literal(real);
  }
  int string() {
    std::string content(word_.substr(1, word_.size() - 2));
    next();
    return literal(std::move(content));
  }
  int name() {
    const std::string word(word_);
    next();
    if (word == "True" || word == "true") return literal(std::int64_t{1});
    if (word == "False" || word == "false") return literal(std::int64_t{0});
    if (word_ == "(") return call(word);
    auto it = std::find(names_.begin(), names_.end(), word);
    if (it == names_.end()) fail(fmt::format("there is no parameter '{}'", word));
    return add(Node{Op::parameter, -1, -1, static_cast<int>(it - names_.begin()), std::int64_t{0}});
  }
  int call(const std::string& function) {
    if (function != "min" && function != "max" && function != "abs")
      fail(fmt::format("'{}' cannot be called; only min, max and abs", function));
    take("(");
    int result = disjunction();
    if (function == "abs") result = add(Op::absolute, result);
    while (function != "abs" && take(",")) {
      int right = disjunction();
      result = add(function == "min" ? Op::minimum : Op::maximum, result, right);
    }
    if (!take(")")) fail("a ')' is missing");
    return result;
  }

  const std::string& text_;
  const std::vector<std::string>& names_;
  std::vector<Node> nodes_;
  std::string_view word_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

using Maybe = std::optional<Value>;
constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();

Maybe finite(double number) { return std::isfinite(number) ? Maybe(number) : std::nullopt; }
Value truth(bool yes) { return std::int64_t{yes}; }

bool is_true(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return !text->empty();
  return number_of(value) != 0;
}

// Exact where both are integers and the result fits; nothing where it does not.
Maybe exact(Op op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  if (op == Op::add && !__builtin_add_overflow(a, b, &result)) return result;
  if (op == Op::subtract && !__builtin_sub_overflow(a, b, &result)) return result;
  if (op == Op::multiply && !__builtin_mul_overflow(a, b, &result)) return result;
  if (b == 0 || (a == kLeast && b == -1)) return std::nullopt;
  const std::int64_t quotient = a / b, rest = a % b;
  const bool lower = rest != 0 && (rest < 0) != (b < 0);  // Python rounds down, C++ towards zero
  if (op == Op::floor_divide) return quotient - lower;
  if (op == Op::modulo) return lower ? rest + b : rest;
  return std::nullopt;
}

Maybe arithmetic(Op op, const Value& left, const Value& right) {
  if (std::holds_alternative<std::string>(left) || std::holds_alternative<std::string>(right))
    return std::nullopt;
  const auto *whole = std::get_if<std::int64_t>(&left), *other = std::get_if<std::int64_t>(&right);
  if (whole && other)
    if (Maybe result = exact(op, *whole, *other)) return result;
  const double a = number_of(left), b = number_of(right);
  if ((op == Op::divide || op == Op::floor_divide || op == Op::modulo) && b == 0) return std::nullopt;
  switch (op) {
    case Op::add:
      return finite(a + b);
    case Op::subtract:
      return finite(a - b);
    case Op::multiply:
      return finite(a * b);
    case Op::divide:
      return finite(a / b);
    case Op::floor_divide:
      return finite(std::floor(a / b));
    case Op::modulo:
      return finite(a - b * std::floor(a / b));
    case Op::power:
      return finite(std::pow(a, b));
    case Op::minimum:
      return a <= b ? left : right;
    case Op::maximum:
      return a >= b ? left : right;
    default:
      return std::nullopt;
  }
}

Maybe compare(Op op, const Value& left, const Value& right) {
  const auto *a = std::get_if<std::string>(&left), *b = std::get_if<std::string>(&right);
  if (op == Op::equal || op == Op::not_equal) {
    const bool same = a && b ? *a == *b : !a && !b && number_of(left) == number_of(right);
    return truth(same == (op == Op::equal));
  }
  if (a || b) return std::nullopt;
  const double x = number_of(left), y = number_of(right);
  return truth(op == Op::less ? x < y : op == Op::less_equal ? x <= y : op == Op::greater ? x > y : x >= y);
}

Maybe evaluate(const std::vector<Node>& nodes, int at, std::span<const Value* const> values) {
  const Node& node = nodes[static_cast<std::size_t>(at)];
  if (node.op == Op::literal) return node.literal;
  if (node.op == Op::parameter) return *values[static_cast<std::size_t>(node.parameter)];
  Maybe left = evaluate(nodes, node.left, values);
  if (!left) return std::nullopt;
  if (node.op == Op::logical_not) return truth(!is_true(*left));
  if (node.op == Op::negate) return arithmetic(Op::subtract, std::int64_t{0}, *left);
  if (node.op == Op::absolute)
    return number_of(*left) < 0 ? arithmetic(Op::subtract, std::int64_t{0}, *left) : left;
  if (node.op == Op::logical_and && !is_true(*left)) return truth(false);
  if (node.op == Op::logical_or && is_true(*left)) return truth(true);
  Maybe right = evaluate(nodes, node.right, values);
  if (!right) return std::nullopt;
  if (node.op == Op::logical_and || node.op == Op::logical_or) return truth(is_true(*right));
  return node.op >= Op::less && node.op <= Op::not_equal ? compare(node.op, *left, *right)
                                                         : arithmetic(node.op, *left, *right);
}

}  // namespace

std::string to_string(const Value& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return std::to_string(*whole);
  if (const auto* real = std::get_if<double>(&value)) return fmt::format("{}", *real);
  return std::get<std::string>(value);
}

double number_of(const Value& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  return std::numeric_limits<double>::quiet_NaN();
}

Expression::Expression(std::string text, const std::vector<std::string>& names) : text_(std::move(text)) {
  if (text_.size() > kLongest)
    throw Error(Code::bad_space, fmt::format("condition of more than {} characters", kLongest),
                text_.substr(0, 60) + "...");
  nodes_ = Parser(text_, names).parse();
  for (const Node& node : nodes_)
    if (node.op == Op::parameter) reads_.push_back(node.parameter);
  std::sort(reads_.begin(), reads_.end());
  reads_.erase(std::unique(reads_.begin(), reads_.end()), reads_.end());
}

bool Expression::holds(std::span<const Value* const> values) const {
  Maybe result = evaluate(nodes_, static_cast<int>(nodes_.size()) - 1, values);
  return result && is_true(*result);
}

}  // namespace tailor::tune

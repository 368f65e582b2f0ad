// Matrix products and recurrent layers.
#include "tailor/graph/rules.h"

#include <fmt/format.h>

#include <map>

namespace tailor::graph {
namespace {

void check_addend(Site& site, std::size_t addend, const Shape& out) {
  if (!site.has(addend)) return;
  const Shape* c = site.shape(addend);
  if (!c) return;
  if (c->size() > 2 || broadcast(site, out, *c).size() != 2)
    site.fail(fmt::format("an addend of {} for {}", to_string(*c), to_string(out)));
}

void swap_last(Shape& shape, bool swap) {
  if (swap && shape.size() >= 2) std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
}

// numpy's matmul: leading dimensions are broadcast, a vector is a row on the left and a column on the right.
std::optional<Shape> product(const Site& site, Shape a, Shape b) {
  auto refuse = [&] { site.fail(fmt::format("{} times {}", to_string(a), to_string(b))); };
  if (a.empty() || b.empty()) refuse();
  bool row = a.size() == 1, column = b.size() == 1;
  Shape left = a, right = b;
  if (row) left.insert(left.begin(), 1);
  if (column) right.push_back(1);
  if (!agree(left.back(), right[right.size() - 2])) refuse();
  Shape out = broadcast(site, Shape(left.begin(), left.end() - 2), Shape(right.begin(), right.end() - 2));
  if (!row) out.push_back(left[left.size() - 2]);
  if (!column) out.push_back(right.back());
  return out;
}

void matmul(Site& site, std::size_t right, DataType type) {
  const Shape *x = site.shape(0), *y = site.shape(right);
  if (!x || !y) return;
  if (site.node.integer("transBatchA", 0) || site.node.integer("transBatchB", 0))
    return site.note("transposed batches have no rule");
  Shape a = *x, b = *y;
  swap_last(a, site.node.integer("transA", 0) != 0);
  swap_last(b, site.node.integer("transB", 0) != 0);
  if (auto out = product(site, std::move(a), std::move(b))) site.set(0, type, std::move(*out));
}

void matmul_integer_rule(Site& site) { matmul(site, 1, DataType::i32); }
void qlinear_matmul_rule(Site& site) { matmul(site, 3, site.type(7)); }

struct Recurrent {
  std::int64_t length = 0, batch = 0, directions = 0, hidden = 0;
};

void set_recurrent(Site& site, const Recurrent& r, bool batch_first) {
  DataType type = site.type(0);
  Shape state = batch_first ? Shape{r.batch, r.directions, r.hidden} : Shape{r.directions, r.batch, r.hidden};
  site.set(0, type,
           batch_first ? Shape{r.batch, r.length, r.directions, r.hidden}
                       : Shape{r.length, r.directions, r.batch, r.hidden});
  site.set(1, type, state);
  site.set(2, type, state);
}

void recurrent_rule(Site& site) {
  const Shape *x = site.shape(0), *w = site.shape(1), *r = site.shape(2);
  if (!x || !w || !r) return;
  if (x->size() != 3 || w->size() != 3 || r->size() != 3 || !agree((*x)[2], (*w)[2]))
    site.fail(fmt::format("input {}, weights {} and {}", to_string(*x), to_string(*w), to_string(*r)));
  bool batch_first = site.node.integer("layout", 0) != 0;
  Recurrent size{(*x)[batch_first ? 1 : 0], (*x)[batch_first ? 0 : 1], (*w)[0], (*r)[2]};
  if (!agree(size.hidden, site.node.integer("hidden_size", kUnknown)))
    site.fail(
        fmt::format("hidden_size {} for weights {}", site.node.integer("hidden_size", 0), to_string(*r)));
  set_recurrent(site, size, batch_first);
}

std::string squeezed(const std::string& text) {
  std::string out;
  for (char c : text)
    if (c != ' ') out += c;
  return out;
}

void bind(const Site& site, std::map<char, std::int64_t>& sizes, const std::string& term,
          const Shape& shape) {
  if (term.size() != shape.size()) site.fail(fmt::format("the term '{}' for {}", term, to_string(shape)));
  for (std::size_t i = 0; i < term.size(); ++i) {
    auto [at, fresh] = sizes.emplace(term[i], shape[i]);
    auto both = agree(at->second == 1 ? shape[i] : at->second, shape[i] == 1 ? at->second : shape[i]);
    if (!both) site.fail(fmt::format("'{}' is {} and {}", term[i], at->second, shape[i]));
    at->second = *both;
  }
}

std::string implicit_output(const std::map<char, std::int64_t>& sizes, const std::string& terms) {
  std::string out;
  for (const auto& [letter, size] : sizes)
    if (terms.find(letter) == terms.rfind(letter)) out += letter;
  return out;
}

void einsum_rule(Site& site) {
  std::string equation = squeezed(site.node.text("equation"));
  if (equation.find('.') != std::string::npos) return site.note("an equation with an ellipsis has no rule");
  std::size_t arrow = equation.find("->");
  std::string terms = equation.substr(0, arrow);
  std::map<char, std::int64_t> sizes;
  std::size_t start = 0;
  for (std::size_t i = 0; i < site.node.inputs.size(); ++i) {
    const Shape* x = site.shape(i);
    if (!x) return;
    if (start > terms.size()) site.fail("the equation has fewer terms than the node has inputs");
    std::size_t end = std::min(terms.find(',', start), terms.size());
    bind(site, sizes, terms.substr(start, end - start), *x);
    start = end + 1;
  }
  Shape out;
  for (char letter :
       arrow == std::string::npos ? implicit_output(sizes, terms) : equation.substr(arrow + 2)) {
    auto size = sizes.find(letter);
    if (size == sizes.end()) site.fail(fmt::format("'{}' is not in any input", letter));
    out.push_back(size->second);
  }
  site.set(0, site.type(0), std::move(out));
}

}  // namespace

void matmul_rule(Site& site) { matmul(site, 1, site.type(0)); }

void gemm_of(Site& site, std::size_t factor, std::size_t addend, DataType type) {
  const Shape *a = site.shape(0), *b = site.shape(factor);
  if (!a || !b) return;
  Shape left = *a, right = *b;
  swap_last(left, site.node.integer("transA", 0) != 0);
  swap_last(right, site.node.integer("transB", 0) != 0);
  if (left.size() != 2 || right.size() != 2 || !agree(left[1], right[0]))
    site.fail(fmt::format("{} times {}{}", to_string(*a), to_string(*b),
                          site.node.integer("transB", 0) ? " transposed" : ""));
  Shape out{left[0], right[1]};
  check_addend(site, addend, out);
  site.set(0, type, std::move(out));
}

void gemm_rule(Site& site) { gemm_of(site, 1, 2, site.type(0)); }

// a as az b bs bz c ys yz; real where there is no ys.
void qgemm_rule(Site& site) { gemm_of(site, 3, 6, site.has(7) ? site.type(0) : DataType::f32); }

std::span<const RuleEntry> product_rules() {
  static constexpr RuleEntry rules[] = {{"Gemm", gemm_rule},
                                        {"MatMul", matmul_rule},
                                        {"MatMulInteger", matmul_integer_rule},
                                        {"QLinearMatMul", qlinear_matmul_rule},
                                        {"LSTM", recurrent_rule},
                                        {"GRU", recurrent_rule},
                                        {"RNN", recurrent_rule},
                                        {"Einsum", einsum_rule}};
  return rules;
}

}  // namespace tailor::graph

#include "tailor/tune/product.h"

#include "tailor/latency/post.h"

#include <fmt/format.h>

#include <algorithm>

namespace tailor::tune {

using latency::Kind;
using latency::Workload;

namespace {

bool has(const Workload& w, std::string_view word) {
  const std::vector<std::string> words = latency::post_words(w.post);
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

Product product_of(const Workload& w) {
  if (w.kind == Kind::conv) return {w.oc, w.oh * w.ow, w.ic * w.kh * w.kw, w.mb};
  return {w.mb * w.oh * w.ow, w.oc, w.ic, 1};
}

std::vector<Value> sizes_up_to(const std::vector<std::int64_t>& sizes, std::int64_t whole) {
  std::vector<std::int64_t> taken;
  std::copy_if(sizes.begin(), sizes.end(), std::back_inserter(taken),
               [&](std::int64_t s) { return s < whole; });
  taken.push_back(whole);
  return {taken.begin(), taken.end()};
}

std::int64_t setting(const Space& space, const Configuration& configuration, std::string_view name,
                     std::int64_t missing) {
  for (std::size_t p = 0; p < space.parameters().size(); ++p)
    if (space.parameters()[p].name == name)
      return std::get<std::int64_t>(space.parameters()[p].values[static_cast<std::size_t>(configuration[p])]);
  return missing;
}

std::string constants_of(const Workload& w, std::string_view suffix) {
  const Product p = product_of(w);
  std::string text;
  auto add = [&](const char* name, std::int64_t number) {
    text += fmt::format("#define {} {}{}\n", name, number, suffix);
  };
  add("M", p.m), add("N", p.n), add("K", p.k), add("IMAGES", p.images);
  add("CONV", w.kind == Kind::conv), add("IC", w.ic), add("IH", w.ih), add("IW", w.iw), add("OW", w.ow);
  add("KH", w.kh), add("KW", w.kw), add("SH", w.sh), add("SW", w.sw), add("DH", w.dh), add("DW", w.dw);
  add("PT", w.pt), add("PL", w.pl), add("PB", w.pb), add("PR", w.pr);
  add("BIAS", has(w, "bias") || has(w, "bn")), add("RESIDUAL", has(w, "add"));
  add("RELU", has(w, "relu")), add("CLIP", has(w, "clip"));
  return text;
}

}  // namespace tailor::tune

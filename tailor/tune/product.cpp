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

std::vector<Constant> constants_of(const Workload& w) {
  const Product p = product_of(w);
  const bool bias = has(w, "bias") || has(w, "bn"), residual = has(w, "add"), relu = has(w, "relu"),
             clip = has(w, "clip");
  return {{"M", p.m},
          {"N", p.n},
          {"K", p.k},
          {"IMAGES", p.images},
          {"CONV", w.kind == Kind::conv},
          {"IC", w.ic},
          {"IH", w.ih},
          {"IW", w.iw},
          {"OW", w.ow},
          {"KH", w.kh},
          {"KW", w.kw},
          {"SH", w.sh},
          {"SW", w.sw},
          {"DH", w.dh},
          {"DW", w.dw},
          {"PT", w.pt},
          {"PL", w.pl},
          {"PB", w.pb},
          {"PR", w.pr},
          {"BIAS", bias},
          {"RESIDUAL", residual},
          {"RELU", relu},
          {"CLIP", clip}};
}

std::string defines(const std::vector<Constant>& constants, std::string_view suffix) {
  std::string text;
  for (const Constant& constant : constants)
    text += fmt::format("#define {} {}{}\n", constant.name, constant.value, suffix);
  return text;
}

}  // namespace tailor::tune

// Workloads as text: fields are letters followed by a number, grouped by underscores; fields at their default
// value are left out where the notation allows it.
#include "tailor/latency/workload.h"

#include "tailor/base/error.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <string_view>

namespace tailor::latency {
namespace {

using Field = std::int64_t Workload::*;
struct Letter {
  std::string_view letters;
  Field field;
};
// In printed order; longer names first where one begins another.
constexpr std::array<Letter, 20> kConv = {
    {{"mb", &Workload::mb}, {"ic", &Workload::ic}, {"ih", &Workload::ih}, {"iw", &Workload::iw},
     {"oc", &Workload::oc}, {"oh", &Workload::oh}, {"ow", &Workload::ow}, {"kh", &Workload::kh},
     {"kw", &Workload::kw}, {"sh", &Workload::sh}, {"sw", &Workload::sw}, {"dh", &Workload::dh},
     {"dw", &Workload::dw}, {"pt", &Workload::pt}, {"pl", &Workload::pl}, {"pb", &Workload::pb},
     {"pr", &Workload::pr}, {"ph", &Workload::pt}, {"pw", &Workload::pl}, {"g", &Workload::g}}};
constexpr std::array<Letter, 3> kGemm = {{{"m", &Workload::mb}, {"k", &Workload::ic}, {"n", &Workload::oc}}};

std::string_view kind_name(Kind kind) {
  return kind == Kind::conv ? "conv" : kind == Kind::conv_transpose ? "deconv" : "gemm";
}

[[noreturn]] void fail(const std::string& text, const std::string& why) {
  throw Error(Code::bad_value, fmt::format("not a workload: {}", why), text.substr(0, 200),
              "layers are written as gemm_m64_k64_n64_f32; tailor analyze --json names those of a model");
}

// Padding: "ph1pw1" when both sides are alike, else all four.
std::string padding(const Workload& w) {
  if (w.pt == w.pb && w.pl == w.pr) return fmt::format("ph{}pw{}", w.pt, w.pl);
  return fmt::format("pt{}pl{}pb{}pr{}", w.pt, w.pl, w.pb, w.pr);
}

// Takes one "oc64" off the front of `rest`.
template <std::size_t N>
void take_field(std::string_view& rest, Workload& w, const std::array<Letter, N>& letters,
                const std::string& text) {
  for (const Letter& letter : letters) {
    if (!rest.starts_with(letter.letters)) continue;
    std::int64_t value = -1;
    const char* from = rest.data() + letter.letters.size();
    auto [end, error] = std::from_chars(from, rest.data() + rest.size(), value);
    if (error != std::errc{} || value < 0 || *from == '-') continue;
    w.*letter.field = value;
    if (letter.letters == "ph") w.pb = value;
    if (letter.letters == "pw") w.pr = value;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    return;
  }
  fail(text, fmt::format("unknown field at '{}'", rest.substr(0, 20)));
}

graph::DataType parse_type(std::string_view name) {
  for (int i = 1; i <= static_cast<int>(graph::DataType::f4e2m1); ++i)
    if (graph::name(static_cast<graph::DataType>(i)) == name) return static_cast<graph::DataType>(i);
  return graph::DataType::undefined;
}

std::string_view take_group(std::string_view& rest) {
  std::size_t end = rest.find('_');
  std::string_view group = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return group;
}

void check(const Workload& w, const std::string& text) {
  constexpr std::int64_t kMost = std::int64_t{1} << 24;
  for (const Letter& letter : kConv)
    if (w.*letter.field > kMost) fail(text, fmt::format("{} is above {}", letter.letters, kMost));
  for (Field field : {&Workload::mb, &Workload::g, &Workload::ic, &Workload::ih, &Workload::iw, &Workload::oc,
                      &Workload::oh, &Workload::ow, &Workload::kh, &Workload::kw, &Workload::sh,
                      &Workload::sw, &Workload::dh, &Workload::dw})
    if (w.*field < 1) fail(text, "a size is missing or zero");
  if (w.ic % w.g != 0 || w.oc % w.g != 0) fail(text, "channels are no multiple of the groups");
}

}  // namespace

std::string to_string(const Workload& w) {
  std::string text;
  if (w.kind == Kind::gemm) {
    text = fmt::format("gemm_m{}_k{}_n{}", w.mb, w.ic, w.oc);
  } else {
    text = fmt::format("{}_mb{}_g{}_ic{}ih{}iw{}_oc{}oh{}ow{}_kh{}kw{}_sh{}sw{}", kind_name(w.kind), w.mb,
                       w.g, w.ic, w.ih, w.iw, w.oc, w.oh, w.ow, w.kh, w.kw, w.sh, w.sw);
    if (w.dh != 1 || w.dw != 1) text += fmt::format("_dh{}dw{}", w.dh, w.dw);
    text += "_" + padding(w);
  }
  text += fmt::format("_{}", graph::name(w.type));
  return w.post.empty() ? text : text + "+" + w.post;
}

Workload parse_workload(const std::string& text) {
  Workload w;
  std::string_view rest = text;
  if (std::size_t plus = rest.find('+'); plus != std::string_view::npos) {
    w.post = std::string(rest.substr(plus + 1));
    rest = rest.substr(0, plus);
    if (w.post.empty() || w.post.find_first_of(" \t\n") != std::string::npos)
      fail(text, "malformed after '+'");
  }
  std::string_view kind = take_group(rest);
  if (kind != "conv" && kind != "deconv" && kind != "gemm") fail(text, "it begins with no kind of layer");
  w.kind = kind == "conv" ? Kind::conv : kind == "gemm" ? Kind::gemm : Kind::conv_transpose;
  w.type = graph::DataType::undefined;
  while (!rest.empty()) {
    std::string_view group = take_group(rest);
    if (rest.empty() && (w.type = parse_type(group)) != graph::DataType::undefined) break;
    if (group.empty()) fail(text, "an empty group");
    while (!group.empty())
      w.kind == Kind::gemm ? take_field(group, w, kGemm, text) : take_field(group, w, kConv, text);
  }
  if (w.type == graph::DataType::undefined) fail(text, "it ends with no type");
  check(w, text);
  return w;
}

std::int64_t macs(const Workload& w) {
  if (w.kind == Kind::gemm) return w.mb * w.ic * w.oc;
  // A transposed convolution multiplies every input pixel with the whole kernel.
  std::int64_t pixels = w.kind == Kind::conv ? w.oh * w.ow : w.ih * w.iw;
  return w.mb * pixels * w.kh * w.kw * (w.ic / w.g) * w.oc;
}

std::int64_t bytes(const Workload& w) {
  auto size = static_cast<std::int64_t>(graph::element_size(w.type));
  std::int64_t weights = w.ic / w.g * w.oc * w.kh * w.kw;
  return size * (weights + w.mb * w.ic * w.ih * w.iw + w.mb * w.oc * w.oh * w.ow);
}

}  // namespace tailor::latency

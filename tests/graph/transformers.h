/// \file Transformers of one block, as lines of tests/graph/one_node.h: x is [batch, 5, 7] (patches or ids), and
/// y [batch, 3]. Four heads of size 6 (24 channels), 10 channels of embedding, 20 hidden ones.
#pragma once

#include <string>
#include <vector>

namespace tailor::testing {

struct TransformerStyle {
  enum class Norm { batch, layer, spelled } norm = Norm::layer;
  /// Projections: three; one that is split; one reshaped to (3, heads, size) and gathered or split; one reshaped to
  /// (heads, 3 * size) and split.
  enum class Qkv { separate, split, gathered, stacked, per_head } qkv = Qkv::separate;
  /// Target shapes: literals; literals beside computed batch and length; sizes computed from others.
  enum class Sizes { literal, partly, computed } sizes = Sizes::literal;
  bool embedding =
      false;  // ids into a table and normalisation behind the sum (BERT), else the other way (ViT)
};

class TransformerLines {
 public:
  explicit TransformerLines(TransformerStyle style) : style_(style) {}

  std::vector<std::string> build() {
    if (style_.embedding)
      add({"ReduceSum x [2] -> x1 | keepdims=0", "Abs x1 -> x2", "Cast x2 -> ids | to=7",
           "Gather 30x10 ids -> e"});
    else
      add({"MatMul x 7x10 -> e"});
    add({"Add e 5x10 -> r0"});
    if (style_.embedding) {
      normalise("r0", "r1"), attention("r1", "a");
      add({"Add r1 a -> r2"}), normalise("r2", "r3"), feed_forward("r3", "f");
      add({"Add r3 f -> r4"}), normalise("r4", "last");
    } else {
      normalise("r0", "n1"), attention("n1", "a");
      add({"Add r0 a -> r1"}), normalise("r1", "n2"), feed_forward("n2", "f");
      add({"Add r1 f -> last"});
    }
    add({"ReduceMean last -> pooled | axes=[1] keepdims=0", "MatMul pooled 10x3 -> y"});
    return lines_;
  }

 private:
  void add(const std::vector<std::string>& lines) { lines_.insert(lines_.end(), lines.begin(), lines.end()); }

  void normalise(const std::string& in, const std::string& out) {
    const std::string& n = out;  // stem of the names on the way
    if (style_.norm == TransformerStyle::Norm::batch)
      add({"Transpose " + in + " -> " + n + "t | perm=[0,2,1]",
           "BatchNormalization " + n + "t 10 10 10 10 -> " + n + "b",
           "Transpose " + n + "b -> " + out + " | perm=[0,2,1]"});
    else if (style_.norm == TransformerStyle::Norm::layer)
      add({"LayerNormalization " + in + " 10 10 -> " + out + " | axis=-1"});
    else
      add({"ReduceMean " + in + " -> " + n + "m | axes=[-1]", "Sub " + in + " " + n + "m -> " + n + "c",
           "Pow " + n + "c {2}f -> " + n + "s", "ReduceMean " + n + "s -> " + n + "v | axes=[-1]",
           "Add " + n + "v {0.00001}f -> " + n + "w", "Sqrt " + n + "w -> " + n + "d",
           "Div " + n + "c " + n + "d -> " + n + "e", "Mul " + n + "e 10 -> " + n + "g",
           "Add " + n + "g 10 -> " + out});
  }

  // Lines that make the name of a target shape [batch, length, tail ...].
  std::string target(const std::string& like, const std::string& tail) {
    std::string s = "s" + std::to_string(lines_.size());
    if (style_.sizes == TransformerStyle::Sizes::literal) return "[0,-1," + tail + "]";
    std::string entries;
    for (std::size_t at = 0, end = 0; at < tail.size(); at = end + 1) {
      end = std::min(tail.find(',', at), tail.size());
      entries += " [" + tail.substr(at, end - at) + "]";
    }
    add({"Shape " + like + " -> " + s, "Gather " + s + " [0] -> " + s + "b",
         "Gather " + s + " {1} -> " + s + "l", "Unsqueeze " + s + "l [0] -> " + s + "t"});
    if (style_.sizes == TransformerStyle::Sizes::computed && tail == "4,6") {
      add({"Shape " + like + " -> " + s + "x", "Gather " + s + "x [-1] -> " + s + "c",
           "Div " + s + "c [4] -> " + s + "d"});
      entries = " [4] " + s + "d";
    }
    if (style_.sizes == TransformerStyle::Sizes::computed && tail == "24") {
      add({"Slice " + s + " [2] [4] -> " + s + "x",
           "ReduceProd " + s + "x -> " + s + "c | axes=[0] keepdims=1"});
      entries = " " + s + "c";
    }
    add({"Concat " + s + "b " + s + "t" + entries + " -> " + s + "v | axis=0"});
    return s + "v";
  }

  void reshape(const std::string& in, const std::string& tail, const std::string& out) {
    std::string shape = target(in, tail);
    add({"Reshape " + in + " " + shape + " -> " + out});
  }

  // in [batch, length, 10] -> q, v [batch, heads, length, size], k [batch, heads, size, length]
  void project(const std::string& in) {
    using Qkv = TransformerStyle::Qkv;
    if (style_.qkv == Qkv::separate) {
      for (const std::string p : {"q", "k", "v"})
        add({"MatMul " + in + " 10x24 -> " + p + "m", "Add 24 " + p + "m -> " + p + "0"});
    } else {
      add({"MatMul " + in + " 10x72 -> pm", "Add pm 72 -> p"});
    }
    if (style_.qkv == Qkv::split) add({"Split p [24,24,24] -> q0 k0 v0 | axis=2"});
    if (style_.qkv == Qkv::separate || style_.qkv == Qkv::split)
      for (const std::string p : {"q", "k", "v"}) reshape(p + "0", "4,6", p + "1");
    if (style_.qkv == Qkv::per_head) {
      reshape("p", "4,18", "p1");
      add({"Split p1 [6,6,6] -> q1 k1 v1 | axis=3"});
    }
    if (style_.qkv == Qkv::gathered || style_.qkv == Qkv::stacked) {
      reshape("p", "3,4,6", "p1");
      add({"Transpose p1 -> p2 | perm=[2,0,3,1,4]"});
      if (style_.qkv == Qkv::gathered)
        add({"Gather p2 {0} -> q", "Gather p2 {1} -> k2", "Gather p2 {2} -> v"});
      else
        add({"Split p2 -> qs ks vs | axis=0", "Squeeze qs [0] -> q", "Squeeze ks [0] -> k2",
             "Squeeze vs [0] -> v"});
      return add({"Transpose k2 -> k | perm=[0,1,3,2]"});
    }
    add({"Transpose q1 -> q | perm=[0,2,1,3]", "Transpose v1 -> v | perm=[0,2,1,3]",
         "Transpose k1 -> k | perm=[0,2,3,1]"});
  }

  void attention(const std::string& in, const std::string& out) {
    project(in);
    add({"MatMul q k -> scores", "Mul scores {0.4}f -> scaled", "Softmax scaled -> weights | axis=-1",
         "MatMul weights v -> o1", "Transpose o1 -> o2 | perm=[0,2,1,3]"});
    reshape("o2", "24", "o");
    add({"MatMul o 24x10 -> om", "Add om 10 -> " + out});
  }

  void feed_forward(const std::string& in, const std::string& out) {
    add({"MatMul " + in + " 10x20 -> h0", "Add h0 20 -> h1", "Div h1 {1.41421}f -> h2", "Erf h2 -> h3",
         "Add h3 {1}f -> h4", "Mul h1 h4 -> h5", "Mul h5 {0.5}f -> h6", "MatMul h6 20x10 -> h7",
         "Add h7 10 -> " + out});
  }

  TransformerStyle style_;
  std::vector<std::string> lines_;
};

inline std::vector<std::string> transformer(TransformerStyle style) {
  return TransformerLines(style).build();
}

}  // namespace tailor::testing

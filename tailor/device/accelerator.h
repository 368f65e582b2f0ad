/// \file A convolution accelerator, described in TOML: an array of processing elements (PEs) under a hierarchy of
/// memories, and the dataflow, which says in what order the loops of a convolution run and where each tensor is loaded
/// anew.
///
/// The hierarchy is that of DNN-Chip Predictor (Zhao et al., arXiv:2002.11270): DRAM > buffers > network on chip >
/// register files of a PE. tailor/latency/loop_nest.h says what a layer costs on it. devices/accelerators/*.toml are
/// built in. Letters of dimensions are oneDNN's, as in tailor/latency/workload.h.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tailor::device {

enum class Tensor { inputs, outputs, weights };
inline constexpr std::array kTensors = {Tensor::inputs, Tensor::outputs, Tensor::weights};
const char* name(Tensor tensor);

/// A loop of a convolution: batch, channels in and out, rows and columns of the output, rows and columns of the kernel.
enum class Dimension { mb, ic, oc, oh, ow, kh, kw };
inline constexpr std::array kDimensions = {Dimension::mb, Dimension::ic, Dimension::oc, Dimension::oh,
                                           Dimension::ow, Dimension::kh, Dimension::kw};
/// "mb" ... "kw"
const char* name(Dimension dimension);

/// One value per tensor or per dimension.
template <class T, class Key, std::size_t kCount>
struct Per : std::array<T, kCount> {
  T& operator[](Key key) { return std::array<T, kCount>::operator[](static_cast<std::size_t>(key)); }
  const T& operator[](Key key) const {
    return std::array<T, kCount>::operator[](static_cast<std::size_t>(key));
  }
};
template <class T>
using PerTensor = Per<T, Tensor, 3>;
template <class T>
using PerDimension = Per<T, Dimension, 7>;

/// A memory; one of registers is per PE.
struct Memory {
  std::string name;
  double bytes = 0;            // 0: as much as is needed
  double bytes_per_cycle = 0;  // 0: as fast as is needed
  double pj_per_byte = 0;
  friend bool operator==(const Memory&, const Memory&) = default;
};

/// One way to travel between the buffers and the PEs, or between PEs.
struct Network {
  double bytes_per_cycle = 0;  // 0: as fast as is needed
  double pj_per_byte = 0;
  PerTensor<bool> carries = {};
  friend bool operator==(const Network&, const Network&) = default;
};

/// Temporal loops of a level, outermost first. `refresh` of a tensor: how many of them lie outside the point where its
/// tile of this level is loaded; all the loops from there on, and those of lower levels, walk over that tile.
struct Order {
  std::vector<Dimension> loops;
  PerTensor<std::size_t> refresh = {};
  friend bool operator==(const Order&, const Order&) = default;
};

struct Dataflow {
  std::vector<Dimension> dram;  // loops outside the buffers; everything lies in DRAM
  Order buffer, registers;
  std::vector<Dimension> rows, columns;  // loops laid out over the array's axes ...
  std::vector<Dimension> array;          // ... or over all its PEs, folded as they fit
  bool reuse_windows = false;            // a PE keeps the inputs that the next window needs again
  friend bool operator==(const Dataflow&, const Dataflow&) = default;
};

struct Accelerator {
  std::string name, title;
  double frequency_mhz = 0;                                 // 0: not known, so cycles have no time
  double rows = 1, columns = 1;                             // PEs
  double mac_pj = 0;                                        // per multiply-accumulate
  double activations = 1, partial_sums = 1, weights = 1;    // bytes of an element
  Memory dram;                                              // its size is not looked at
  std::vector<Memory> buffers, registers;                   // at least one of each
  PerTensor<std::size_t> buffer_of = {}, register_of = {};  // indices of these
  Network unicast, multicast, forward;                      // forward: from PE to PE
  Dataflow dataflow;

  double pes() const { return rows * columns; }
  friend bool operator==(const Accelerator&, const Accelerator&) = default;
};

/// @param place names the text in messages
/// @throws Error bad_toml: syntax, a missing or unknown key, a value out of range, a tensor that lies nowhere or in two
/// places, a loop that stands twice in a level; the line is in the place
Accelerator parse_accelerator(std::string_view toml, const std::string& place);
/// @throws Error file_missing, bad_toml (also for more than 1 MiB)
Accelerator read_accelerator(const std::filesystem::path& path);
/// parse_accelerator(to_toml(a), ...) == a.
std::string to_toml(const Accelerator& accelerator);

/// Name and TOML text of every accelerator that is built in, sorted by name.
const std::vector<std::pair<std::string_view, std::string_view>>& accelerator_presets();
/// A built-in accelerator by its name, or a file: a name with a '/' or with ".toml" at its end.
/// @throws Error unknown_device naming those that are built in; as read_accelerator
Accelerator find_accelerator(const std::string& name);
/// Whether the name is that of a built-in accelerator, or of a file that says it describes one. @throws Error as
/// read_accelerator
bool names_accelerator(const std::string& name);

}  // namespace tailor::device

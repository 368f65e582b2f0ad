// .npy: magic, version, header length, a Python dict literal, data. The dict is read by a scanner that knows
// just the three keys that NumPy writes.
#include "tailor/graph/npy.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <charconv>
#include <cstring>

namespace tailor::graph {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";

struct TypeName {
  std::string_view code;
  DataType type;
};
constexpr std::array<TypeName, 14> kTypeNames = {{{"f4", DataType::f32},
                                                  {"u1", DataType::u8},
                                                  {"i1", DataType::i8},
                                                  {"u2", DataType::u16},
                                                  {"i2", DataType::i16},
                                                  {"i4", DataType::i32},
                                                  {"i8", DataType::i64},
                                                  {"b1", DataType::boolean},
                                                  {"f2", DataType::f16},
                                                  {"f8", DataType::f64},
                                                  {"u4", DataType::u32},
                                                  {"u8", DataType::u64},
                                                  {"c8", DataType::c64},
                                                  {"c16", DataType::c128}}};

class Header {
 public:
  Header(std::string_view text, const std::string& place) : text_(text), place_(place) {}

  [[noreturn]] void fail(const std::string& why) const {
    throw Error(Code::bad_dataset, "not a readable .npy file: " + why, place_);
  }

  DataType type() const {
    std::string_view rest = after("descr");
    if (rest.empty() || (rest.front() != '\'' && rest.front() != '"'))
      fail("structured types are not supported");
    std::string_view code = rest.substr(1, rest.find(rest.front(), 1) - 1);
    if (code.starts_with('>')) fail("big-endian numbers");
    if (!code.empty() && std::string_view("<|=").find(code.front()) != std::string_view::npos)
      code.remove_prefix(1);
    for (const TypeName& known : kTypeNames)
      if (known.code == code) return known.type;
    fail(fmt::format("element type '{}' is not supported", code.substr(0, 20)));
  }

  bool fortran_order() const { return after("fortran_order").starts_with("True"); }

  Shape shape() const {
    std::string_view rest = after("shape");
    std::size_t end = rest.find(')');
    if (!rest.starts_with('(') || end == std::string_view::npos) fail("no shape");
    Shape dims;
    for (const char *at = rest.data() + 1, *stop = rest.data() + end; at < stop;) {
      if (*at == ' ' || *at == ',') {
        ++at;
        continue;
      }
      std::int64_t dim = -1;
      auto [next, error] = std::from_chars(at, stop, dim);
      if (error != std::errc{} || dim < 0) fail("a dimension is no number");
      dims.push_back(dim);
      at = next;
    }
    if (dims.size() > 32) fail("more than 32 dimensions");
    return dims;
  }

 private:
  // The text of the value of `key`.
  std::string_view after(std::string_view key) const {
    std::size_t at = text_.find(fmt::format("'{}'", key));
    if (at == std::string_view::npos) fail(fmt::format("no '{}' in its header", key));
    at = text_.find_first_not_of(" :", at + key.size() + 2);
    return at == std::string_view::npos ? std::string_view{} : text_.substr(at);
  }

  std::string_view text_;
  const std::string& place_;
};

// Bytes of the elements, or -1 when that exceeds what a file can hold.
std::int64_t byte_count(const Shape& dims, DataType type) {
  std::int64_t total = static_cast<std::int64_t>(element_size(type));
  for (std::int64_t dim : dims)
    if (__builtin_mul_overflow(total, dim, &total)) return -1;
  return total;
}

}  // namespace

Tensor parse_npy(const Bytes& bytes, const std::string& place) {
  std::string_view view = bytes.view();
  Header none("", place);
  if (!view.starts_with(kMagic) || view.size() < 12) none.fail("it does not begin with NumPy's magic bytes");
  int version = static_cast<unsigned char>(view[6]);
  if (version < 1 || version > 3) none.fail(fmt::format("format version {}", version));
  std::size_t start = version == 1 ? 10 : 12, length = 0;
  for (std::size_t i = start; i-- > 8;) length = length << 8 | static_cast<unsigned char>(view[i]);
  if (length > view.size() - start) none.fail("it ends inside the header");
  Header header(view.substr(start, length), place);
  Tensor tensor{header.type(), header.shape(), {}, {}};
  if (header.fortran_order() && tensor.dims.size() > 1) header.fail("the array is in Fortran order");
  std::int64_t wanted = byte_count(tensor.dims, tensor.type);
  std::size_t found = view.size() - start - length;
  if (wanted < 0 || static_cast<std::size_t>(wanted) > found)
    header.fail(fmt::format("{} {} needs {} bytes, the file holds {}", name(tensor.type),
                            to_string(tensor.dims), wanted < 0 ? "too many" : std::to_string(wanted), found));
  tensor.data = bytes.part(start + length, static_cast<std::size_t>(wanted));
  return tensor;
}

Tensor read_npy(const std::filesystem::path& path) { return parse_npy(map_file(path), path.string()); }

void write_npy(const Tensor& tensor, const std::filesystem::path& path) {
  std::string_view code;
  for (const TypeName& known : kTypeNames)
    if (known.type == tensor.type) code = known.code;
  if (code.empty())
    throw Error(Code::bad_value, fmt::format("type {} cannot be stored as .npy", name(tensor.type)),
                path.string());
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}",
                                   code.back() == '1' ? '|' : '<', code, fmt::join(tensor.dims, ", "),
                                   tensor.dims.size() == 1 ? "," : "");
  header.append(63 - (header.size() + 10) % 64, ' ');
  header += '\n';
  std::string head(kMagic);
  head += {'\x01', '\x00', static_cast<char>(header.size() & 255), static_cast<char>(header.size() >> 8)};
  head += header;
  const std::array<Bytes, 2> pieces = {Bytes::own(std::move(head)), tensor.data};
  write_file(path, pieces);
}

}  // namespace tailor::graph

// JPEG through libjpeg, whose errors leave by longjmp: the functions between setjmp and the library hold no
// objects with destructors. PNG through libpng's simplified interface.
#include "tailor/data/pixels.h"

#include "tailor/base/error.h"

#include <fmt/format.h>
#include <png.h>

#include <array>
#include <csetjmp>
#include <cstdio>
#include <vector>
// jpeglib.h needs <cstdio> before it
#include <jerror.h>
#include <jpeglib.h>

namespace tailor::data {
namespace {

constexpr std::int64_t kMostPixels = 64'000'000;

[[noreturn]] void fail(const std::string& place, const std::string& what) {
  throw Error(Code::bad_dataset, what, place);
}

bool is_png(const Bytes& file) { return file.view().starts_with("\x89PNG\r\n\x1a\n"); }
bool is_jpeg(const Bytes& file) { return file.view().starts_with("\xff\xd8\xff"); }

struct JpegError {
  jpeg_error_mgr manager;  // first: libjpeg hands back a pointer to it
  std::jmp_buf back;
  std::array<char, JMSG_LENGTH_MAX> message;
};

[[noreturn]] void leave(j_common_ptr info) {
  auto* error = reinterpret_cast<JpegError*>(info->err);
  info->err->format_message(info, error->message.data());
  std::longjmp(error->back, 1);
}
// Warnings go unheard, except those of data that end early: libjpeg would fill in grey.
void weigh(j_common_ptr info, int level) {
  if (level < 0 && (info->err->msg_code == JWRN_JPEG_EOF || info->err->msg_code == JWRN_HIT_MARKER))
    leave(info);
}

class Jpeg {
 public:
  explicit Jpeg(const Bytes& file) : file_(file) {
    info_.err = ::jpeg_std_error(&error_.manager);
    error_.manager.error_exit = leave;
    error_.manager.emit_message = weigh;
  }
  ~Jpeg() { ::jpeg_destroy_decompress(&info_); }
  Jpeg(const Jpeg&) = delete;
  Jpeg& operator=(const Jpeg&) = delete;

  // Both return false with message() set.
  bool read_header() {
    if (setjmp(error_.back)) return false;
    jpeg_create_decompress(&info_);
    jpeg_mem_src(&info_, const_cast<unsigned char*>(reinterpret_cast<const unsigned char*>(file_.data())),
                 static_cast<unsigned long>(file_.size()));
    ::jpeg_read_header(&info_, TRUE);
    return true;
  }
  bool decode(unsigned char* out, std::size_t stride) {
    if (setjmp(error_.back)) return false;
    info_.out_color_space = info_.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
    ::jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      unsigned char* row = out + stride * info_.output_scanline;
      ::jpeg_read_scanlines(&info_, &row, 1);
    }
    ::jpeg_finish_decompress(&info_);
    return true;
  }
  graph::Shape shape() const { return {info_.num_components, info_.image_height, info_.image_width}; }
  const char* message() const { return error_.message.data(); }

 private:
  const Bytes& file_;
  jpeg_decompress_struct info_{};
  JpegError error_{};
};

class Png {
 public:
  explicit Png(const Bytes& file) : file_(file) { image_.version = PNG_IMAGE_VERSION; }
  ~Png() { ::png_image_free(&image_); }
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;

  bool read_header() { return ::png_image_begin_read_from_memory(&image_, file_.data(), file_.size()) != 0; }
  bool decode(unsigned char* out) {
    image_.format = colour() ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
    return ::png_image_finish_read(&image_, nullptr, out, 0, nullptr) != 0 && image_.warning_or_error == 0;
  }
  bool colour() const { return (image_.format & PNG_FORMAT_FLAG_COLOR) != 0; }
  bool alpha() const { return (image_.format & PNG_FORMAT_FLAG_ALPHA) != 0; }
  bool deep() const { return (image_.format & PNG_FORMAT_FLAG_LINEAR) != 0; }
  graph::Shape shape() const { return {colour() ? 3 : 1, image_.height, image_.width}; }
  const char* message() const { return image_.message; }

 private:
  const Bytes& file_;
  png_image image_{};
};

graph::Shape png_shape(const Bytes& file, const std::string& place) {
  Png png(file);
  if (!png.read_header()) fail(place, fmt::format("PNG: {}", png.message()));
  if (png.alpha()) fail(place, "PNG: the image has an alpha channel");
  if (png.deep()) fail(place, "PNG: the image has 16 bits per channel");
  return png.shape();
}

graph::Shape jpeg_shape(const Bytes& file, const std::string& place) {
  Jpeg jpeg(file);
  if (!jpeg.read_header()) fail(place, fmt::format("JPEG: {}", jpeg.message()));
  graph::Shape shape = jpeg.shape();
  if (shape[0] != 1 && shape[0] != 3) fail(place, fmt::format("JPEG: {} colour channels", shape[0]));
  return shape;
}

}  // namespace

graph::Shape image_shape(const Bytes& file, const std::string& place) {
  if (!is_png(file) && !is_jpeg(file)) fail(place, "neither a JPEG nor a PNG file");
  graph::Shape shape = is_png(file) ? png_shape(file, place) : jpeg_shape(file, place);
  if (shape[1] * shape[2] > kMostPixels)
    fail(place, fmt::format("an image of {}x{} pixels is too large", shape[2], shape[1]));
  return shape;
}

void decode_image(const Bytes& file, const graph::Shape& shape, const std::string& place, float* out) {
  auto channels = static_cast<std::size_t>(shape[0]), height = static_cast<std::size_t>(shape[1]),
       width = static_cast<std::size_t>(shape[2]), plane = height * width;
  std::vector<unsigned char> pixels(channels * plane);
  if (is_png(file)) {
    Png png(file);
    if (!png.read_header() || !png.decode(pixels.data())) fail(place, fmt::format("PNG: {}", png.message()));
  } else {
    Jpeg jpeg(file);
    if (!jpeg.read_header() || !jpeg.decode(pixels.data(), channels * width))
      fail(place, fmt::format("JPEG: {}", jpeg.message()));
  }
  for (std::size_t c = 0; c < channels; ++c)
    for (std::size_t i = 0; i < plane; ++i) out[c * plane + i] = pixels[i * channels + c];
}

}  // namespace tailor::data

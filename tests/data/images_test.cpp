#include "tailor/base/file.h"
#include "tests/data/expect_error.h"

#include <png.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>
// jpeglib.h needs <cstdio> before it
#include <jpeglib.h>

namespace tailor::data {
namespace {

namespace fs = std::filesystem;

std::string jpeg(unsigned width, unsigned height, int channels, unsigned char value) {
  jpeg_compress_struct info{};
  jpeg_error_mgr error{};
  info.err = jpeg_std_error(&error);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = width, info.image_height = height;
  info.input_components = channels;
  info.in_color_space = channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  jpeg_start_compress(&info, TRUE);
  std::vector<unsigned char> row(width * static_cast<unsigned>(channels), value);
  unsigned char* at = row.data();
  while (info.next_scanline < height) jpeg_write_scanlines(&info, &at, 1);
  jpeg_finish_compress(&info);
  std::string result(reinterpret_cast<char*>(bytes), size);
  jpeg_destroy_compress(&info);
  std::free(bytes);
  return result;
}

std::string png(unsigned width, unsigned height, png_uint_32 format,
                const std::vector<unsigned char>& pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width, image.height = height, image.format = format;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr);
  std::string bytes(size, '\0');
  png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, nullptr);
  return bytes;
}

class Images : public ::testing::Test {
 protected:
  void put(const std::string& name, const std::string& bytes) { write_file(folder.path() / name, bytes); }
  void fails(const std::string& words, const graph::Shape& expected = {}) {
    expect_error(folder.path(), expected.empty() ? Code::bad_dataset : Code::dataset_mismatch, words, {},
                 expected);
  }
  TemporaryFolder folder;
};

TEST_F(Images, PngIsExactAndPlanar) {
  std::vector<unsigned char> pixels = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};  // 2 rows, 2 columns, RGB
  put("b.png", png(2, 2, PNG_FORMAT_RGB, pixels));
  Dataset data = read_dataset(folder.path(), {.scale = 1});
  EXPECT_EQ(data.sample_shape(), (graph::Shape{3, 2, 2}));
  EXPECT_FALSE(data.labelled());
  EXPECT_EQ(data.batch(0, 1).values<float>(), (std::vector<float>{1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12}));
}

TEST_F(Images, JpegsInTheOrderOfTheirNames) {
  for (int i = 0; i < 20; ++i)
    put("i" + std::to_string(10 + i) + ".jpg", jpeg(16, 8, 3, static_cast<unsigned char>(10 * i)));
  put("readme.txt", "no image");
  Dataset data = read_dataset(folder.path(), {.scale = 1}, {3, 8, 16});
  ASSERT_EQ(data.size(), 20);
  auto x = data.batch(0, 20).values<float>();
  for (std::size_t i = 0; i < 20; ++i) EXPECT_NEAR(x[i * 3 * 8 * 16 + 5], 10.0 * static_cast<double>(i), 2);
}

TEST_F(Images, OfManySizesAreResizedWhereAsked) {
  put("a.jpg", jpeg(40, 20, 3, 50));
  put("b.jpg", jpeg(8, 33, 3, 200));
  for (Resize how : {Resize::stretch, Resize::crop}) {
    Dataset data = read_dataset(folder.path(), {.scale = 1, .resize = how}, {3, 12, 10});
    EXPECT_EQ(data.sample_shape(), (graph::Shape{3, 12, 10}));
    auto x = data.batch(0, 2).values<float>();
    EXPECT_NEAR(x[7], 50, 2);
    EXPECT_NEAR(x[360 + 7], 200, 2);
  }
  expect_error(folder.path(), Code::dataset_mismatch, "--shape", {.resize = Resize::crop}, {3, -1, 10});
  put("c.jpg", jpeg(8, 8, 1, 10));
  expect_error(folder.path(), Code::bad_dataset, "this one is 1x8x8", {.resize = Resize::crop}, {3, 12, 10});
  expect_error(folder.path() / "a.jpg", Code::bad_value, "of a folder", {.resize = Resize::crop},
               {3, 12, 10});
  expect_error(folder.path() / "gone", Code::file_missing, "gone", {.resize = Resize::crop}, {3, 12, 10});
}

TEST_F(Images, BlueFirst) {
  put("b.png", png(2, 1, PNG_FORMAT_RGB, {1, 2, 3, 4, 5, 6}));
  Dataset data = read_dataset(folder.path(), {.scale = 1, .mean = {0, 0, 1}, .bgr = true});
  EXPECT_EQ(data.batch(0, 1).values<float>(), (std::vector<float>{3, 6, 2, 5, 0, 3}));
  put("b.png", png(2, 1, PNG_FORMAT_GRAY, {1, 2}));
  expect_error(folder.path(), Code::bad_value, "order of channels", {.bgr = true});
}

TEST_F(Images, LabelsByTable) {
  put("a.jpg", jpeg(8, 8, 1, 10));
  put("b.jpg", jpeg(8, 8, 1, 200));
  put("labels.tsv", "file\tclass\tname\nb.jpg\t5\tcat\r\na.jpg\t7\n");
  Dataset data = read_dataset(folder.path(), {.scale = 1});
  EXPECT_EQ(data.labels(), (std::vector<std::int64_t>{5, 7}));
  EXPECT_NEAR(data.batch(0, 1).values<float>()[0], 200, 2);
}

TEST_F(Images, BadTables) {
  put("a.jpg", jpeg(8, 8, 1, 10));
  put("labels.tsv", "a.jpg\tcat\n");
  fails("line 1: expected a file name");
  put("labels.tsv", "a.jpg\t1\na.jpg\n");
  fails("line 2");
  put("labels.tsv", "../a.jpg\t1\n");
  fails("leads out of the folder");
  put("labels.tsv", "");
  fails("no .jpg");
  put("labels.tsv", "gone.jpg\t3\n");
  expect_error(folder.path(), Code::file_missing, "gone.jpg");
}

TEST_F(Images, BadImages) {
  fails("no .jpg");
  put("a.jpg", "not an image");
  fails("neither a JPEG nor a PNG");
  std::string good = jpeg(64, 64, 3, 99);
  put("a.jpg", good.substr(0, good.size() - 40));
  fails("JPEG: Premature end");
  put("a.jpg", good.substr(0, 30));
  fails("JPEG");
  put("a.jpg", good);
  put("b.jpg", jpeg(64, 32, 3, 99));
  fails("this one is 3x32x64, the first is 3x64x64");
  put("b.jpg", jpeg(64, 64, 1, 99));
  fails("this one is 1x64x64");
  fs::remove(folder.path() / "b.jpg");
  fails("3x64x64, the model takes 3x224x224", {3, 224, 224});
}

TEST_F(Images, BadPngs) {
  std::string good = png(2, 2, PNG_FORMAT_RGB, std::vector<unsigned char>(12, 3));
  for (std::size_t cut = 0; cut + 12 < good.size(); ++cut) {  // all but the end chunk, which holds no pixels
    put("a.png", good.substr(0, cut));
    fails(cut < 8 ? "neither" : "PNG");
  }
  put("a.png", png(2, 2, PNG_FORMAT_RGBA, std::vector<unsigned char>(16, 3)));
  fails("alpha");
}

// Unpacked ImageNet samples: $TAILOR_TEST_IMAGES/imagenet.
TEST(RealImages, ImageNetSamples) {
  const char* root = std::getenv("TAILOR_TEST_IMAGES");
  if (!root) GTEST_SKIP() << "TAILOR_TEST_IMAGES names no folder of unpacked data sets";
  Dataset data = read_dataset(fs::path(root) / "imagenet", {.mean = {.5}, .std = {.5}}, {3, 224, 224});
  EXPECT_EQ(data.size(), 700);
  EXPECT_EQ(data.labels()[1], 1);
  for (float value : data.batch(0, 16).values<float>()) ASSERT_TRUE(value >= -1 && value <= 1);
}

}  // namespace
}  // namespace tailor::data

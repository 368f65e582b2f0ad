#include "tailor/data/dataset.h"

#include "tailor/base/file.h"
#include "tailor/graph/npy.h"
#include "tests/data/expect_error.h"

#include <cmath>
#include <cstdlib>

namespace tailor::data {
namespace {

namespace fs = std::filesystem;

class Datasets : public ::testing::Test {
 protected:
  fs::path file(const std::string& name, const std::string& content) {
    fs::path path = folder.path() / name;
    write_file(path, content);
    return path;
  }
  TemporaryFolder folder;
};

std::string cifar10(int records) {
  std::string bytes;
  for (int r = 0; r < records; ++r) {
    bytes += static_cast<char>(r % 10);
    for (int i = 0; i < 3072; ++i) bytes += static_cast<char>((i + r) % 256);
  }
  return bytes;
}

TEST_F(Datasets, Cifar10) {
  Dataset data = read_dataset(file("a.bin", cifar10(12)), {}, {3, 32, graph::kUnknown});
  EXPECT_EQ(data.size(), 12);
  EXPECT_EQ(data.sample_shape(), (graph::Shape{3, 32, 32}));
  EXPECT_EQ(data.labels()[11], 1);
  graph::Tensor batch = data.batch(2, 3);
  EXPECT_EQ(batch.dims, (graph::Shape{3, 3, 32, 32}));
  EXPECT_FLOAT_EQ(batch.values<float>()[3072 + 7], 10.0f / 255);
}

TEST_F(Datasets, Cifar100HasTwoLabels) {
  std::string bytes;
  for (int r = 0; r < 5; ++r) bytes += std::string{char(19), char(95 + r)} + std::string(3072, char(r));
  Dataset data = read_dataset(file("a.bin", bytes), {.scale = 1});
  EXPECT_EQ(data.labels(), (std::vector<std::int64_t>{95, 96, 97, 98, 99}));
  EXPECT_EQ(data.batch(4, 1).values<float>()[0], 4.0f);
}

TEST_F(Datasets, BrokenCifar) {
  expect_error(file("a", cifar10(2).substr(1)), Code::bad_dataset, "6145 bytes are no multiple of 3073");
  std::string bad = cifar10(3);
  bad[3073] = 77;
  expect_error(file("b", bad), Code::bad_dataset, "record 1 begins with 77");
  expect_error(file("c", ""), Code::bad_dataset, "empty");
  expect_error(file("d", "\x1f\x8b\x08 and so on"), Code::bad_dataset, "unpack it first");
  expect_error(folder.path() / "absent", Code::file_missing, "absent");
}

TEST_F(Datasets, MeanAndDeviationPerChannel) {
  auto path = file("a.bin", cifar10(1));
  Preparation p{.mean = {0.5, 0.25, 0.125}, .std = {0.5, 1, 2}};
  auto x = read_dataset(path, p).batch(0, 1).values<float>();
  for (int i : {0, 5, 1024, 2047, 2048, 3071}) {
    int c = i / 1024;
    EXPECT_FLOAT_EQ(x[i], static_cast<float>(((i % 256) / 255.0 - p.mean[c]) / p.std[c]));
  }
  expect_error(path, Code::bad_value, "mean has 2 values", {.mean = {1, 2}});
  expect_error(path, Code::bad_value, "must not be zero", {.std = {0}});
  expect_error(path, Code::dataset_mismatch, "3x32x32, the model takes 3x224x224", {}, {3, 224, 224});
}

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 255);
  return bytes;
}
std::string idx(std::vector<std::uint32_t> dims, const std::string& content) {
  std::string bytes = {0, 0, 8, static_cast<char>(dims.size())};
  for (std::uint32_t dim : dims) bytes += big_endian(dim);
  return bytes + content;
}

TEST_F(Datasets, IdxWithLabelsBesideIt) {
  auto path = file("t10k-images-idx3-ubyte", idx({2, 3, 4}, std::string(24, 51)));
  EXPECT_FALSE(read_dataset(path).labelled());
  file("t10k-labels-idx1-ubyte", idx({2}, "\x07\x02"));
  Dataset data = read_dataset(path);
  EXPECT_EQ(data.sample_shape(), (graph::Shape{1, 3, 4}));
  EXPECT_EQ(data.labels(), (std::vector<std::int64_t>{7, 2}));
  EXPECT_FLOAT_EQ(data.batch(0, 2).values<float>()[23], 0.2f);
  file("t10k-labels-idx1-ubyte", idx({3}, "abc"));
  expect_error(path, Code::bad_dataset, "3 labels for 2 images");
}

TEST_F(Datasets, BrokenIdx) {
  expect_error(file("a", idx({2, 3, 4}, std::string(23, 0))), Code::bad_dataset,
               "2x3x4 needs 24 bytes of data, the file holds 23");
  expect_error(file("b", idx({2}, "ab")), Code::bad_dataset, "file of labels");
  expect_error(file("c", idx({0xffffffff, 0xffffffff, 0xffffffff}, "")), Code::bad_dataset, "impossible");
  std::string floats = idx({1, 1, 1}, std::string(4, 0));
  floats[2] = 0x0d;
  expect_error(file("d", floats), Code::bad_dataset, "0x0d");
}

TEST_F(Datasets, NpyFloatsAreTakenAsTheyAre) {
  auto path = folder.fresh(".npy");
  graph::write_npy(graph::make_f32({2, 3}, {1, 2, 3, 4, 5, 6}), path);
  Dataset data = read_dataset(path);
  EXPECT_FALSE(data.labelled());
  EXPECT_EQ(data.batch(1, 1).values<float>(), (std::vector<float>{4, 5, 6}));
  EXPECT_EQ(read_dataset(path, {.scale = 2}).batch(0, 1).values<float>(), (std::vector<float>{0.5, 1, 1.5}));
  graph::write_npy(graph::make_i64({2, 1, 1}, {7, -8}), path);
  EXPECT_EQ(read_dataset(path).batch(0, 2).values<float>(), (std::vector<float>{7, -8}));
}

TEST_F(Datasets, BrokenNpy) {
  auto path = folder.fresh(".npy");
  graph::write_npy(graph::make_f32({2, 2}, {1, 2, 3, NAN}), path);
  expect_error(path, Code::bad_dataset, "sample 1 holds nan at element 1");
  graph::write_npy(graph::make_f32({4}, {1, 2, 3, 4}), path);
  expect_error(path, Code::bad_dataset, "shape 4 holds no samples");
  graph::write_npy(graph::make_f32({0, 4}, {}), path);
  expect_error(path, Code::bad_dataset, "empty");
  expect_error(file("a.npy", "what"), Code::bad_dataset, "magic");
  expect_error(file("b.npy", "\x93NUMPY"), Code::bad_dataset, "magic");
  graph::write_npy(graph::make_f32({1, 2, 2, 3}, std::vector<float>(12)), path);
  expect_error(path, Code::dataset_mismatch, "channels come last", {}, {3, 2, 2});
}

TEST_F(Datasets, NpyHeaders) {
  auto npy = [&](const std::string& header, const std::string& data = std::string(16, 0)) {
    return file("h.npy", std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) + '\0' +
                             header + data);
  };
  expect_error(npy("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 2)}"), Code::bad_dataset,
               "big-endian");
  expect_error(npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2)}"), Code::bad_dataset, "Fortran");
  expect_error(npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 2)}"), Code::bad_dataset,
               "'O' is not supported");
  expect_error(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 2)}"), Code::bad_dataset,
               "structured");
  expect_error(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -2)}"), Code::bad_dataset,
               "no number");
  expect_error(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000)}"),
               Code::bad_dataset, "too many");
  expect_error(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}"), Code::bad_dataset,
               "needs 24 bytes");
  expect_error(npy("{}"), Code::bad_dataset, "no 'descr'");
  expect_error(file("s.npy", std::string("\x93NUMPY\x01\x00\xff\xff{}", 12)), Code::bad_dataset,
               "inside the header");
}

TEST_F(Datasets, SubsetSharesAndNests) {
  Dataset data = read_dataset(file("a.bin", cifar10(12)));
  Dataset part = data.subset({11, 3, 3}).subset({2, 0});
  EXPECT_EQ(part.size(), 2);
  EXPECT_EQ(part.labels(), (std::vector<std::int64_t>{3, 1}));
  EXPECT_EQ(part.batch(0, 1).data, data.batch(3, 1).data);
  EXPECT_THROW(data.batch(11, 2), Error);
  EXPECT_THROW(data.subset({12}), Error);
}

// Unpacked real data sets: $TAILOR_TEST_IMAGES (cifar10/test.bin, mnist/t10k-images-idx3-ubyte).
TEST(RealData, CifarAndMnist) {
  const char* root = std::getenv("TAILOR_TEST_IMAGES");
  if (!root) GTEST_SKIP() << "TAILOR_TEST_IMAGES names no folder of unpacked data sets";
  EXPECT_EQ(read_dataset(fs::path(root) / "cifar10/test.bin").size(), 517);
  Dataset mnist = read_dataset(fs::path(root) / "mnist/t10k-images-idx3-ubyte", {}, {1, 28, 28});
  EXPECT_EQ(mnist.size(), 10000);
  EXPECT_EQ(mnist.labels()[0], 7);  // the first test digit is a seven
}

}  // namespace
}  // namespace tailor::data

// .npz archives written here byte by byte, so that every field can be made wrong.
#include "tailor/base/file.h"
#include "tailor/graph/npy.h"
#include "tests/data/expect_error.h"

#include <zlib.h>

#include <string>
#include <vector>

namespace tailor::data {
namespace {

namespace fs = std::filesystem;

std::string little(std::uint32_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i) bytes += static_cast<char>(value >> 8 * i & 255);
  return bytes;
}

std::string deflated(const std::string& content) {
  std::string out(content.size() + 1000, '\0');
  z_stream z{};
  deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  z.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(content.data()));
  z.avail_in = static_cast<uInt>(content.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

struct Member {
  std::string name, content;
  bool packed = false;
  std::uint32_t claimed_size = 0;  // 0: the true one
  std::uint32_t crc_error = 0, flags = 0, method_error = 0;
};

std::string zip(const std::vector<Member>& members) {
  std::string body, directory;
  for (const Member& m : members) {
    std::string stored = m.packed ? deflated(m.content) : m.content;
    auto crc = static_cast<std::uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(m.content.data()), static_cast<uInt>(m.content.size())));
    auto size = m.claimed_size ? m.claimed_size : static_cast<std::uint32_t>(m.content.size());
    std::string common = little(20, 2) + little(m.flags, 2) + little((m.packed ? 8 : 0) + m.method_error, 2) +
                         little(0, 4) + little(crc ^ m.crc_error, 4) +
                         little(static_cast<std::uint32_t>(stored.size()), 4) + little(size, 4) +
                         little(static_cast<std::uint32_t>(m.name.size()), 2) + little(0, 2);
    directory += little(0x02014b50, 4) + little(20, 2) + common + little(0, 4) + little(0, 2) + little(0, 4) +
                 little(static_cast<std::uint32_t>(body.size()), 4) + m.name;
    body += little(0x04034b50, 4) + common + m.name + stored;
  }
  auto count = static_cast<std::uint32_t>(members.size());
  return body + directory + little(0x06054b50, 4) + little(0, 4) + little(count, 2) + little(count, 2) +
         little(static_cast<std::uint32_t>(directory.size()), 4) +
         little(static_cast<std::uint32_t>(body.size()), 4) + little(0, 2);
}

std::string npy(const graph::Tensor& tensor) {
  TemporaryFolder folder;
  auto path = folder.fresh(".npy");
  graph::write_npy(tensor, path);
  return std::string(map_file(path).view());
}

class Npz : public ::testing::Test {
 protected:
  fs::path file(const std::string& content) {
    fs::path path = folder.fresh(".npz");
    write_file(path, content);
    return path;
  }
  const std::string x = npy(graph::make_f32({3, 2}, {1, 2, 3, 4, 5, 6}));
  const std::string y = npy(graph::make_i64({3}, {2, 0, 1}));
  TemporaryFolder folder;
};

TEST_F(Npz, StoredAndDeflated) {
  for (bool packed : {false, true}) {
    Dataset data = read_dataset(file(zip({{"x.npy", x, packed}, {"y.npy", y, packed}})));
    EXPECT_EQ(data.labels(), (std::vector<std::int64_t>{2, 0, 1}));
    EXPECT_EQ(data.batch(1, 2).values<float>(), (std::vector<float>{3, 4, 5, 6}));
  }
}

TEST_F(Npz, TheOnlyCandidateIsTaken) {
  EXPECT_EQ(read_dataset(file(zip({{"whatever.npy", x}, {"labels.npy", y}}))).size(), 3);
  expect_error(file(zip({{"a.npy", x}, {"b.npy", x}})), Code::bad_dataset,
               "several could be the samples; it holds: a (f32 3x2), b");
  expect_error(file(zip({{"a.npy", y}})), Code::bad_dataset, "none could be the samples");
  expect_error(file(zip({})), Code::bad_dataset, "none could be the samples");
}

TEST_F(Npz, LabelsMustFit) {
  expect_error(file(zip({{"x.npy", x}, {"y.npy", npy(graph::make_i64({2}, {1, 2}))}})), Code::bad_dataset,
               "expected 3 integers");
  expect_error(file(zip({{"x.npy", x}, {"y.npy", npy(graph::make_i64({3}, {1, 2, -1}))}})), Code::bad_dataset,
               "label -1 of sample 2");
  expect_error(file(zip({{"x.npy", x}, {"y.npy", npy(graph::make_f32({3}, {1, 2, 3}))}})), Code::bad_dataset,
               "labels are f32");
}

TEST_F(Npz, DamagedArchives) {
  expect_error(file("PK and nothing else of an archive"), Code::bad_dataset, "no end of a zip archive");
  expect_error(file("garbage"), Code::bad_dataset, "zip");
  expect_error(file(zip({{"x.npy", x, true, 0, 1}})), Code::bad_dataset, "checksum");
  expect_error(file(zip({{"x.npy", x, true, static_cast<std::uint32_t>(x.size() + 1)}})), Code::bad_dataset,
               "does not unpack");
  expect_error(file(zip({{"x.npy", x, true, static_cast<std::uint32_t>(x.size() - 1)}})), Code::bad_dataset,
               "does not unpack");
  expect_error(file(zip({{"x.npy", x, false, 7}})), Code::bad_dataset, "damaged");
  expect_error(file(zip({{"x.npy", x, false, 0, 0, 1}})), Code::bad_dataset, "encrypted");
  expect_error(file(zip({{"x.npy", x, false, 0, 0, 0, 14}})), Code::bad_dataset, "method 14");
  expect_error(file(zip({{"x.npy", x, false, 0xffffffff}})), Code::bad_dataset, "larger than 4 GiB");
}

TEST_F(Npz, BombsAreRefused) {
  expect_error(file(zip({{"x.npy", std::string(1 << 20, 'x'), true, 0xf0000000}})), Code::bad_dataset,
               "zip bomb");
}

// No cut and no flipped byte may do anything but throw or read.
TEST_F(Npz, EveryDamageIsAnErrorOrHarmless) {
  std::string good = zip({{"x.npy", x, true}, {"y.npy", y}});
  auto try_to_read = [&](const std::string& bytes) {
    auto path = file(bytes);
    try {
      Dataset data = read_dataset(path);
      data.batch(0, data.size());
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == Code::bad_dataset || error.code() == Code::bad_value) << error.what();
    }
    fs::remove(path);
  };
  for (std::size_t cut = 0; cut < good.size(); ++cut) try_to_read(good.substr(0, cut));
  for (std::size_t at = 0; at < good.size(); ++at)
    for (int flip : {0x01, 0x80, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ flip);
      try_to_read(bad);
    }
}

}  // namespace
}  // namespace tailor::data

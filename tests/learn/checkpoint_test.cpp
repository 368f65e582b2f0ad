#include "tailor/learn/checkpoint.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tests/learn/graphs.h"
#include "tests/testing.h"

namespace tailor::learn {
namespace {

namespace fs = std::filesystem;

Checkpoint example() {
  Checkpoint checkpoint{"a run", 41, "{\"notes\": \"\xC3\xA4\"}", {}};
  checkpoint.tensors.emplace_back("weight", testing::drawn({2, 3}, 1));
  checkpoint.tensors.emplace_back("empty", testing::drawn({0, 3}, 1));
  checkpoint.tensors.emplace_back("scalar", graph::make_i64({}, {7}));
  return checkpoint;
}

std::string bytes_of(const fs::path& path) { return std::string(map_file(path).view()); }

Code code_of(const fs::path& path) {
  try {
    read_checkpoint(path);
  } catch (const Error& error) {
    return error.code();
  }
  return Code::bug;
}

class Checkpoints : public ::testing::Test {
 protected:
  TemporaryFolder folder;
  fs::path path = folder.path() / "run.checkpoint";
};

TEST_F(Checkpoints, ComeBackAsTheyWere) {
  Checkpoint written = example();
  write_checkpoint(path, written);
  Checkpoint found = read_checkpoint(path);
  EXPECT_EQ(found.run, written.run);
  EXPECT_EQ(found.step, written.step);
  EXPECT_EQ(found.notes, written.notes);
  ASSERT_EQ(found.tensors.size(), written.tensors.size());
  for (std::size_t i = 0; i < found.tensors.size(); ++i) {
    EXPECT_EQ(found.tensors[i].first, written.tensors[i].first);
    EXPECT_EQ(found.tensors[i].second.dims, written.tensors[i].second.dims);
    EXPECT_EQ(found.tensors[i].second.type, written.tensors[i].second.type);
    EXPECT_EQ(found.tensors[i].second.data, written.tensors[i].second.data);
  }
}

TEST_F(Checkpoints, MissingOnesAreNothingToResume) { EXPECT_EQ(code_of(path), Code::nothing_to_resume); }

TEST_F(Checkpoints, CutAnywhereAreDamaged) {
  write_checkpoint(path, example());
  std::string whole = bytes_of(path);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    if (length == 0) continue;  // an empty file has a code of its own
    write_file(path, std::string_view(whole).substr(0, length));
    ASSERT_EQ(code_of(path), Code::bad_checkpoint) << length;
  }
  write_file(path, whole + "x");
  EXPECT_EQ(code_of(path), Code::bad_checkpoint);
}

// Every byte turned: read as it was (only where the header's blanks or letters of a name allow it) or refused.
TEST_F(Checkpoints, ChangedAnywhereNeverCrash) {
  write_checkpoint(path, example());
  std::string whole = bytes_of(path);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x15);
    write_file(path, changed);
    Code code = code_of(path);
    ASSERT_TRUE(code == Code::bad_checkpoint || code == Code::bug) << at;
    if (at >= whole.size() - 24) {
      ASSERT_EQ(code, Code::bad_checkpoint) << at;  // the tensors' own bytes
    }
  }
}

TEST_F(Checkpoints, ImpossibleDimensionsAreRefused) {
  for (const char* dims :
       {"[-1]", "[9223372036854775807,9223372036854775807]", "[1e3]", "[4611686018427387904]", "7"}) {
    std::string header =
        std::string(R"({"run":"r","step":1,"notes":"","tensors":[{"name":"w","type":1,"dims":)") + dims +
        R"(}],"sha256":")" + sha256(std::string_view("")) + "\"}";
    std::string length(8, '\0');
    length[0] = static_cast<char>(header.size() & 255), length[1] = static_cast<char>(header.size() >> 8);
    write_file(path, "tailor checkpoint 1\n" + length + header);
    EXPECT_EQ(code_of(path), Code::bad_checkpoint) << dims;
  }
}

}  // namespace
}  // namespace tailor::learn

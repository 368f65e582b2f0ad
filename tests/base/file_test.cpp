#include "tailor/base/file.h"

#include "tailor/base/error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <vector>

namespace tailor {
namespace {

TEST(Bytes, NothingIsEqualToNothing) {
  EXPECT_EQ(Bytes(), Bytes::own(std::string()));
  EXPECT_EQ(Bytes::own(std::string("ab")).part(1, 0), Bytes());
  EXPECT_FALSE(Bytes() == Bytes::own(std::string("a")));
  EXPECT_FALSE(Bytes::own(std::string("b")) == Bytes::own(std::string("a")));
}

TEST(File, Sha256GoldenValues) {  // FIPS 180-4 examples
  EXPECT_EQ(sha256(std::string_view("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256(std::string_view("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256(std::string_view("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1000000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(File, WritesWholeAndReadsBack) {
  TemporaryFolder folder;
  auto path = folder.fresh(".txt");
  write_file(path, "first");
  write_file(path, "second");
  EXPECT_EQ(map_file(path).view(), "second");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(File, AFailedWriteLeavesTheOldContentAndNoLitter) {
  TemporaryFolder folder;
  EXPECT_THROW(write_file(folder.path() / "no/such/folder/file", "x"), Error);
  auto target = folder.path() / "is_a_folder";
  std::filesystem::create_directory(target);
  try {
    write_file(target, "x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::write_failed);
  }
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(File, AFullDiskIsReported) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  try {
    append_line("/dev/full", "x");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::write_failed);
    EXPECT_NE(error.help().find("free some space"), std::string::npos);
  }
}

TEST(File, ManyPiecesMakeOneFile) {
  TemporaryFolder folder;
  std::vector<Bytes> pieces;
  std::string whole;
  for (int i = 0; i < 1000; ++i) {
    std::string text(i % 7 == 0 ? 100000 : static_cast<std::size_t>(i % 50), static_cast<char>('a' + i % 26));
    whole += text;
    pieces.push_back(Bytes::own(std::move(text)));
  }
  write_file(folder.path() / "many", pieces);
  EXPECT_TRUE(map_file(folder.path() / "many").view() == whole);
}

TEST(File, AReleasedPageIsReadAgain) {
  TemporaryFolder folder;
  std::string content(1 << 20, 'x');
  write_file(folder.path() / "a", content);
  Bytes mapped = map_file(folder.path() / "a"), owned = Bytes::own(content);
  for (const Bytes& bytes : {mapped, owned, Bytes(), mapped.part(5, 9000)}) {
    release_pages(bytes);
    EXPECT_TRUE(std::all_of(bytes.view().begin(), bytes.view().end(), [](char c) { return c == 'x'; }));
  }
  EXPECT_EQ(sha256(mapped), sha256(std::string_view(content)));
}

TEST(File, AFileThatIsNotCommittedVanishes) {
  TemporaryFolder folder;
  write_file(folder.path() / "a", "old");
  {
    NewFile file(folder.path() / "a");
    file.write(std::as_bytes(std::span("new", 3)));
    EXPECT_EQ(map_file(folder.path() / "a").view(), "old");
  }
  EXPECT_EQ(map_file(folder.path() / "a").view(), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(File, MissingAndFolderAndEmpty) {
  TemporaryFolder folder;
  EXPECT_THROW(map_file(folder.path() / "absent"), Error);
  EXPECT_THROW(map_file(folder.path()), Error);
  write_file(folder.path() / "empty", "");
  EXPECT_TRUE(map_file(folder.path() / "empty").empty());
}

TEST(File, BytesOutliveTheirMapping) {
  TemporaryFolder folder;
  auto path = folder.fresh("");
  write_file(path, "0123456789");
  Bytes part = map_file(path).part(2, 3);
  std::filesystem::remove(path);
  EXPECT_EQ(part.view(), "234");
}

TEST(File, TemporaryFolderVanishes) {
  std::filesystem::path path;
  {
    TemporaryFolder folder;
    path = folder.path();
    write_file(folder.fresh("a"), "x");
    EXPECT_TRUE(std::filesystem::exists(path));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace tailor

#include "tailor/base/json.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tailor {
namespace {

Error failure(const std::string& text) {
  try {
    parse_json(text, "place");
  } catch (const Error& error) {
    return error;
  }
  return Error(Code::bug, "parsed");
}

TEST(Json, KeepsTheOrderOfMembers) {
  EXPECT_EQ(to_line(parse_json(R"({"b":1,"a":[2]})", "")), R"({"b":1,"a":[2]})");
}

TEST(Json, NamesTheLine) {
  Error error = failure("{\n\"a\": 1,\n\"b\": }\n");
  EXPECT_EQ(error.code(), Code::bad_json);
  EXPECT_EQ(error.place(), "place");
  EXPECT_NE(std::string(error.what()).find("line 3"), std::string::npos) << error.what();
}

TEST(Json, DeepNestingIsRefused) {
  EXPECT_EQ(failure(std::string(64, '[') + std::string(64, ']')).code(), Code::bug);  // still parses
  EXPECT_EQ(failure(std::string(65, '[') + std::string(65, ']')).code(), Code::bad_json);
  EXPECT_EQ(failure(std::string(10'000'000, '[')).code(), Code::bad_json);
  EXPECT_EQ(failure("\"" + std::string(100, '[') + "\\\"[\"").code(), Code::bug);  // brackets in a string
}

TEST(Json, NonsenseNeverEscapesAsAnotherException) {
  for (const char* text :
       {"", "nul", "{", "\"\xff\"", "1e999", "[1,]", "{\"a\":1}x", "\"\\ud800\"", "\x01", "-"})
    EXPECT_EQ(failure(text).code(), Code::bad_json) << text;
}

TEST(Json, MembersAreTypeChecked) {
  Json json = parse_json(R"({"n":1.5,"i":3,"b":true,"s":"x","big":18446744073709551615})", "");
  EXPECT_EQ(number(json, "n", "p"), 1.5);
  EXPECT_EQ(number(json, "i", "p"), 3);
  EXPECT_EQ(integer(json, "i", "p"), 3);
  EXPECT_TRUE(boolean(json, "b", "p"));
  EXPECT_EQ(text(json, "s", "p"), "x");
  EXPECT_THROW(integer(json, "n", "p"), Error);
  EXPECT_THROW(integer(json, "big", "p"), Error);
  EXPECT_THROW(number(json, "b", "p"), Error);
  EXPECT_THROW(text(json, "absent", "p"), Error);
  EXPECT_THROW(text(Json(3), "x", "p"), Error);
}

TEST(Json, FilesHaveASchema) {
  TemporaryFolder folder;
  auto path = folder.fresh(".json");
  write_file(path, R"({"schema":"tailor/plan/1"})");
  EXPECT_NO_THROW(read_json(path));
  EXPECT_NO_THROW(read_json(path, "tailor/plan/1"));
  EXPECT_THROW(read_json(path, "tailor/plan/2"), Error);
  write_file(path, "[]");
  EXPECT_THROW(read_json(path, "tailor/plan/1"), Error);
}

TEST(Json, BytesThatAreNoTextAreReplaced) { EXPECT_EQ(to_line(Json("a\xff")), "\"a\xef\xbf\xbd\""); }

}  // namespace
}  // namespace tailor

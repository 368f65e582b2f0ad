// Text that becomes HTML: nothing that comes from outside can leave its place.
#include "tailor/report/markup.h"

#include "tests/report/samples.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace tailor::report {
namespace {

TEST(Markup, EscapesEverySpecialCharacter) {
  EXPECT_EQ(escaped("a<b>&\"'c"), "a&lt;b&gt;&amp;&quot;&#39;c");
  EXPECT_EQ(escaped(std::string("a\0b\nc\x7f", 6)), "a b c ");
  EXPECT_EQ(escaped("\xC3\xA9 \xE6\xBC\xA2"), "\xC3\xA9 \xE6\xBC\xA2") << "letters beyond ASCII stay";
}

TEST(Markup, DataForScriptsReadsBackAndEndsNoElement) {
  for (const std::string& name : testing::hostile_names()) {
    const Json json = {{"name", name + "\xE2\x80\xA8\xE2\x80\xA9"}, {name, 1}};
    const std::string text = for_script(json);
    EXPECT_EQ(text.find('<'), std::string::npos);
    EXPECT_EQ(text.find("\xE2\x80\xA8"), std::string::npos);
    EXPECT_EQ(Json::parse(text), json);
  }
  EXPECT_EQ(for_script(Json("\xFF")), "\"\xEF\xBF\xBD\"") << "no UTF-8";
}

TEST(Markup, ShellWordsCanBePasted) {
  EXPECT_EQ(shell_word("a/b-1.onnx"), "a/b-1.onnx");
  EXPECT_EQ(shell_word("a b"), "'a b'");
  EXPECT_EQ(shell_word("it's; rm"), "'it'\\''s; rm'");
  EXPECT_EQ(shell_word("$(x)"), "'$(x)'");
  EXPECT_EQ(shell_word(""), "''");
}

TEST(Markup, TableKeepsTheExactNumber) {
  Table table{"Caption & more", {{"layer"}, {"us", true, "time"}}, {}};
  table.rows.push_back({{name_cell("<x>"), number_cell(1.0 / 3, 1)}, 4});
  EXPECT_EQ(html(table),
            "<div class=\"scroll\"><table>\n<caption>Caption &amp; more</caption>\n"
            "<thead><tr><th scope=\"col\">layer</th><th scope=\"col\" class=\"n\" "
            "title=\"time\">us</th></tr></thead>\n"
            "<tbody>\n<tr data-layer=\"4\"><th class=\"name\" scope=\"row\"><bdi>&lt;x&gt;</bdi></th>"
            "<td class=\"n\" data-v=\"0.3333333333333333\">0.3</td></tr>\n</tbody>\n</table></div>\n");
}

TEST(Markup, NumbersThatAreNoneAreText) {
  EXPECT_EQ(html({"", {{"x"}}, {{{number_cell(INFINITY, 1)}, {}}}}).find("data-v"), std::string::npos);
}

}  // namespace
}  // namespace tailor::report

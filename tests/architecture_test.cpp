// The module table of ARCHITECTURE.md against the sources: who includes whom, how long files and functions
// are.
#include "tests/testing.h"

#include <fstream>
#include <map>
#include <optional>
#include <set>

namespace tailor::testing {
namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

constexpr std::size_t kLongestFile = 500, kLongestFunction = 80, kMedianFunction = 8;

const fs::path kRoot = TAILOR_SOURCE_DIR;

Lines lines_of(const fs::path& path) {
  std::ifstream file(path);
  Lines lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// Rows "| 3 | `runtime` | ..." -> rank by module.
std::map<std::string, int> ranks() {
  std::map<std::string, int> table;
  for (const std::string& line : lines_of(kRoot / "ARCHITECTURE.md")) {
    std::size_t open = line.find('`'), close = line.find('`', open + 1);
    bool row = line.starts_with("| ") && line.size() > 2 && line[2] >= '0' && line[2] <= '9';
    if (row && close != std::string::npos)
      table[line.substr(open + 1, close - open - 1)] = std::stoi(line.substr(2));
  }
  return table;
}

// "tailor/graph/model.h" -> "graph"; "runners/x/y.h" -> "runners/x"; "demo/shapes.h" -> "demo"; else nothing.
std::optional<std::string> module_of(const std::string& path) {
  std::size_t first = path.find('/'), second = path.find('/', first + 1);
  std::string top = path.substr(0, first);
  if (first == std::string::npos) return std::nullopt;
  if (top == "demo") return top;
  if (second == std::string::npos || (top != "tailor" && top != "runners")) return std::nullopt;
  return top == "tailor" ? path.substr(first + 1, second - first - 1) : path.substr(0, second);
}

bool is_source(const fs::path& path) {
  std::string extension = path.extension().string();
  return extension == ".cpp" || extension == ".h" || extension == ".cu" || extension == ".cuh";
}

// Sources below the given folders, relative to the root.
std::vector<std::string> sources(std::initializer_list<const char*> folders) {
  std::vector<std::string> paths;
  for (const char* folder : folders)
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder))
      if (entry.is_regular_file() && is_source(entry.path()))
        paths.push_back(entry.path().lexically_relative(kRoot).generic_string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::optional<std::string> included(const std::string& line) {
  constexpr std::string_view kInclude = "#include \"";
  if (!line.starts_with(kInclude)) return std::nullopt;
  return line.substr(kInclude.size(), line.rfind('"') - kInclude.size());
}

// A block that begins with an unindented line and ends with "}" alone, or one line "... (...) {...}".
struct Function {
  std::size_t first = 0, length = 0;
  std::string head;
};
std::vector<Function> functions(const Lines& lines) {
  static const std::vector<std::string> others = {"namespace", "class", "struct", "enum", "union",
                                                  "#",         "//",    "}",      "using"};
  std::vector<Function> found;
  constexpr std::size_t kNone = std::string::npos;
  std::size_t start = kNone;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    if (start != kNone && line == "}") {
      found.push_back({start + 1, i - start + 1, lines[start]});
      start = kNone;
    } else if (!line.empty() && line[0] != ' ' && !line.starts_with("} catch")) {
      bool other =
          std::any_of(others.begin(), others.end(), [&](const auto& word) { return line.starts_with(word); });
      bool ended = line.ends_with(';') || (line.ends_with('}') && line != "}");
      if (start == kNone && !other && line.ends_with('}') && line.find(") ") < line.find('{'))
        found.push_back({i + 1, 1, line});
      if (other || ended)
        start = kNone;
      else if (start == kNone)
        start = i;
    }
  }
  return found;
}

TEST(Architecture, TheTableIsThere) {
  std::map<std::string, int> table = ranks();
  EXPECT_EQ(table.at("base"), 0);
  EXPECT_GT(table.at("app"), table.at("pipeline"));
}

TEST(Architecture, EveryFolderIsInTheTable) {
  std::map<std::string, int> table = ranks();
  for (const std::string& path : sources({"tailor", "runners", "demo"})) {
    auto module = module_of(path);
    ASSERT_TRUE(module) << path;
    EXPECT_TRUE(table.contains(*module)) << path;
  }
}

TEST(Architecture, ModulesIncludeOnlyLowerRanks) {
  std::map<std::string, int> table = ranks();
  for (const std::string& path : sources({"tailor", "runners", "demo"})) {
    std::string from = module_of(path).value_or("");
    for (const std::string& line : lines_of(kRoot / path)) {
      std::optional<std::string> file = included(line);
      if (!file) continue;
      EXPECT_TRUE(fs::exists(kRoot / *file)) << path << ": write includes from the root: " << line;
      std::string to = module_of(*file).value_or("");
      bool allowed = to == from || (table.contains(to) && table.contains(from) && table[to] < table[from]);
      EXPECT_TRUE(allowed) << path << " may not include " << *file;
    }
  }
}

TEST(Architecture, CostlyHeadersStayInSources) {
  for (const std::string& path : sources({"tailor"})) {
    if (!path.ends_with(".h")) continue;
    for (const std::string& line : lines_of(kRoot / path))
      for (const char* costly : {"#include <nlohmann/json.hpp>", "#include <fmt/", "#include <CLI/"})
        EXPECT_FALSE(line.starts_with(costly)) << path;
  }
}

TEST(Architecture, FilesAreShort) {
  for (const std::string& path : sources({"tailor", "runners", "demo", "tests", "bench"}))
    EXPECT_LE(lines_of(kRoot / path).size(), kLongestFile) << path;
}

TEST(Architecture, FunctionsAreShort) {
  std::vector<std::size_t> lengths;
  for (const std::string& path : sources({"tailor", "runners", "demo"}))
    for (const Function& function : functions(lines_of(kRoot / path))) {
      EXPECT_LE(function.length, kLongestFunction) << path << ":" << function.first << ": " << function.head;
      lengths.push_back(function.length);
    }
  ASSERT_GT(lengths.size(), 500u);
  std::nth_element(lengths.begin(), lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() / 2),
                   lengths.end());
  EXPECT_LE(lengths[lengths.size() / 2], kMedianFunction) << "the median function is too long";
}

TEST(Architecture, TheScannerSeesFunctions) {
  Lines text = {
      "int f(int a,",          "      int b) {", "  return a;",     "}", "", "struct S {", "  int x;", "};",
      "int g() { return 1; }", "void h() try {", "} catch (int) {", "}"};
  std::vector<Function> found = functions(text);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].length, 4u);
  EXPECT_EQ(found[0].first, 1u);
  EXPECT_EQ(found[1].length, 1u);
}

}  // namespace
}  // namespace tailor::testing

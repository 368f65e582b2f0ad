/// \file TOML for modules that read files of their own: tables with typed access that names the line of what is wrong and
/// knows which keys were asked for. The parser stays in this module.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tailor::device {

/// One table of a file. Every accessor is empty where the key is absent, and @throws Error bad_toml with the line where
/// its value is of another kind or out of bounds.
class Settings {
 public:
  struct Node;  // private to settings.cpp

  bool has(const std::string& key) { return find(key) != nullptr; }
  /// Of the table, in the order of the parser.
  std::vector<std::string> keys() const;
  std::optional<std::string> text(const std::string& key);
  std::optional<bool> flag(const std::string& key);
  std::optional<double> number(const std::string& key, double least, double most);
  std::optional<std::int64_t> integer(const std::string& key, std::int64_t least, std::int64_t most);
  std::optional<std::vector<std::string>> texts(const std::string& key);
  std::optional<std::vector<std::int64_t>> integers(const std::string& key, std::int64_t least,
                                                    std::int64_t most);
  std::optional<std::vector<double>> numbers(const std::string& key, double least, double most);
  std::optional<Settings> table(const std::string& key);

  /// The same where the key must be there. @throws Error bad_toml "'key' is missing"
  std::string need_text(const std::string& key);
  double need_number(const std::string& key, double least, double most);
  std::int64_t need_integer(const std::string& key, std::int64_t least, std::int64_t most);
  /// At least one. @throws as above
  std::vector<std::string> need_texts(const std::string& key);
  Settings need_table(const std::string& key);

  /// [[key]]; none if the key is absent.
  std::vector<Settings> tables(const std::string& key);

  /// @throws Error bad_toml with the line of `key`, or of the table where it has none of that name
  [[noreturn]] void fail(const std::string& why, const std::string& key = {}) const;
  /// "space.toml:12", for errors that are found later.
  std::string place(const std::string& key = {}) const;
  /// @throws Error bad_toml for a key that nobody asked for, with near names
  void done() const;

 private:
  friend Settings parse_settings(std::string_view toml, const std::string& file, const std::string& help);
  Settings(std::shared_ptr<const Node> node, std::string file, std::string name, std::string help);
  const Node* find(const std::string& key);
  const Node* member(const std::string& key) const;
  template <class T>
  T needed(std::optional<T> value, const std::string& key) const;
  [[noreturn]] void fail_at(const Node& node, const std::string& why) const;
  template <class T, class F>
  std::optional<std::vector<T>> list(const std::string& key, const char* of_what, F one);

  std::shared_ptr<const Node> node_;
  std::string file_, name_, help_;
  std::set<std::string> asked_;
};

/// @param help the next step that errors name @throws Error bad_toml
Settings parse_settings(std::string_view toml, const std::string& file, const std::string& help);
/// @throws Error file_missing; bad_toml, also for more than 1 MiB
Settings read_settings(const std::filesystem::path& path, const std::string& help);

/// A basic string of TOML with its quotes; control characters are written by their code.
std::string quoted(const std::string& text);

}  // namespace tailor::device

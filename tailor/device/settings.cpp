// The parser's tree becomes one of our own (Node), so that its header ends here; Settings reads that.
#include "tailor/device/settings.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/text.h"

#include <fmt/format.h>

// Last of the libraries: it changes what assertions do.
#include "tailor/device/toml.h"

#include <cmath>

namespace tailor::device {

struct Settings::Node {
  enum class Kind { boolean, integer, real, text, list, table, other } kind = Kind::other;
  std::uint32_t line = 0;
  bool boolean = false;
  std::int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<std::pair<std::string, std::shared_ptr<const Node>>> members = {};  // of lists without names

  bool is_number() const { return kind == Kind::integer || kind == Kind::real; }
  double number() const { return kind == Kind::integer ? static_cast<double>(integer) : real; }
};

namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 20;

using Node = Settings::Node;

// The parser bounds the nesting.
std::shared_ptr<const Node> copied(const toml::node& from) {
  auto node = std::make_shared<Node>();
  node->line = from.source().begin.line;
  if (const auto* v = from.as_boolean()) node->kind = Node::Kind::boolean, node->boolean = v->get();
  if (const auto* v = from.as_integer()) node->kind = Node::Kind::integer, node->integer = v->get();
  if (const auto* v = from.as_floating_point()) node->kind = Node::Kind::real, node->real = v->get();
  if (const auto* v = from.as_string()) node->kind = Node::Kind::text, node->text = v->get();
  if (const auto* v = from.as_array()) {
    node->kind = Node::Kind::list;
    for (const toml::node& entry : *v) node->members.emplace_back(std::string(), copied(entry));
  }
  if (const auto* v = from.as_table()) {
    node->kind = Node::Kind::table;
    for (const auto& [key, entry] : *v) node->members.emplace_back(std::string(key.str()), copied(entry));
  }
  return node;
}

}  // namespace

Settings::Settings(std::shared_ptr<const Node> node, std::string file, std::string name, std::string help)
    : node_(std::move(node)), file_(std::move(file)), name_(std::move(name)), help_(std::move(help)) {}

const Node* Settings::member(const std::string& key) const {
  for (const auto& [name, node] : node_->members)
    if (name == key) return node.get();
  return nullptr;
}

const Node* Settings::find(const std::string& key) {
  asked_.insert(key);
  return member(key);
}

std::vector<std::string> Settings::keys() const {
  std::vector<std::string> names;
  for (const auto& [name, node] : node_->members) names.push_back(name);
  return names;
}

void Settings::fail_at(const Node& node, const std::string& why) const {
  throw Error(Code::bad_toml, name_.empty() ? why : fmt::format("{}: {}", name_, why),
              node.line ? fmt::format("{}:{}", file_, node.line) : file_, help_);
}

void Settings::fail(const std::string& why, const std::string& key) const {
  const Node* node = key.empty() ? nullptr : member(key);
  fail_at(node ? *node : *node_, why);
}

std::string Settings::place(const std::string& key) const {
  const Node* node = key.empty() ? nullptr : member(key);
  return fmt::format("{}:{}", file_, (node ? node : node_.get())->line);
}

std::optional<std::string> Settings::text(const std::string& key) {
  const Node* node = find(key);
  if (!node) return std::nullopt;
  if (node->kind != Node::Kind::text || node->text.empty())
    fail_at(*node, fmt::format("'{}' is no text", key));
  return node->text;
}

std::optional<bool> Settings::flag(const std::string& key) {
  const Node* node = find(key);
  if (!node) return std::nullopt;
  if (node->kind != Node::Kind::boolean) fail_at(*node, fmt::format("'{}' is neither true nor false", key));
  return node->boolean;
}

std::optional<double> Settings::number(const std::string& key, double least, double most) {
  const Node* node = find(key);
  if (!node) return std::nullopt;
  if (!node->is_number() || !(node->number() >= least) || !(node->number() <= most))
    fail_at(*node, fmt::format("'{}' is no number of {:g} to {:g}", key, least, most));
  return node->number();
}

std::optional<std::int64_t> Settings::integer(const std::string& key, std::int64_t least, std::int64_t most) {
  const Node* node = find(key);
  if (!node) return std::nullopt;
  if (node->kind != Node::Kind::integer || node->integer < least || node->integer > most)
    fail_at(*node, fmt::format("'{}' is no whole number of {} to {}", key, least, most));
  return node->integer;
}

template <class T, class F>
std::optional<std::vector<T>> Settings::list(const std::string& key, const char* of_what, F one) {
  const Node* node = find(key);
  if (!node) return std::nullopt;
  if (node->kind != Node::Kind::list) fail_at(*node, fmt::format("'{}' is no list of {}", key, of_what));
  std::vector<T> values;
  for (const auto& [name, entry] : node->members) {
    std::optional<T> value = one(*entry);
    if (!value) fail_at(*entry, fmt::format("'{}' is no list of {}", key, of_what));
    values.push_back(std::move(*value));
  }
  return values;
}

std::optional<std::vector<std::string>> Settings::texts(const std::string& key) {
  return list<std::string>(key, "texts", [](const Node& node) {
    return node.kind == Node::Kind::text ? std::optional(node.text) : std::nullopt;
  });
}

std::optional<std::vector<std::int64_t>> Settings::integers(const std::string& key, std::int64_t least,
                                                            std::int64_t most) {
  const std::string what = fmt::format("whole numbers of {} to {}", least, most);
  return list<std::int64_t>(key, what.c_str(), [&](const Node& node) {
    const bool good = node.kind == Node::Kind::integer && node.integer >= least && node.integer <= most;
    return good ? std::optional(node.integer) : std::nullopt;
  });
}

std::optional<std::vector<double>> Settings::numbers(const std::string& key, double least, double most) {
  const std::string what = fmt::format("numbers of {:g} to {:g}", least, most);
  return list<double>(key, what.c_str(), [&](const Node& node) {
    const bool good = node.is_number() && node.number() >= least && node.number() <= most;
    return good ? std::optional(node.number()) : std::nullopt;
  });
}

std::optional<Settings> Settings::table(const std::string& key) {
  find(key);
  for (const auto& [name, node] : node_->members) {
    if (name != key) continue;
    if (node->kind != Node::Kind::table) fail_at(*node, fmt::format("'{}' is no table", key));
    return Settings(node, file_, name_.empty() ? key : fmt::format("{}, {}", name_, key), help_);
  }
  return std::nullopt;
}

std::vector<Settings> Settings::tables(const std::string& key) {
  const Node* node = find(key);
  std::vector<Settings> list;
  if (!node) return list;
  if (node->kind != Node::Kind::list) fail_at(*node, fmt::format("'{}' must be written as [[{}]]", key, key));
  for (const auto& [name, entry] : node->members) {
    if (entry->kind != Node::Kind::table)
      fail_at(*entry, fmt::format("'{}' must be written as [[{}]]", key, key));
    list.push_back(Settings(entry, file_, fmt::format("{} {}", key, list.size() + 1), help_));
  }
  return list;
}

template <class T>
T Settings::needed(std::optional<T> value, const std::string& key) const {
  if (!value) fail(fmt::format("'{}' is missing", key));
  return *std::move(value);
}

std::string Settings::need_text(const std::string& key) { return needed(text(key), key); }
double Settings::need_number(const std::string& key, double least, double most) {
  return needed(number(key, least, most), key);
}
std::int64_t Settings::need_integer(const std::string& key, std::int64_t least, std::int64_t most) {
  return needed(integer(key, least, most), key);
}
std::vector<std::string> Settings::need_texts(const std::string& key) {
  std::vector<std::string> list = needed(texts(key), key);
  if (list.empty()) fail(fmt::format("'{}' is empty", key), key);
  return list;
}
Settings Settings::need_table(const std::string& key) { return needed(table(key), key); }

void Settings::done() const {
  for (const auto& [key, node] : node_->members)
    if (!asked_.contains(key))
      fail_at(*node,
              fmt::format("unknown key '{}'{}", key, did_you_mean(key, {asked_.begin(), asked_.end()})));
}

Settings parse_settings(std::string_view toml, const std::string& file, const std::string& help) {
  try {
    const toml::table table = toml::parse(toml, std::string_view(file));
    return {copied(table), file, {}, help};
  } catch (const toml::parse_error& error) {
    throw Error(Code::bad_toml, std::string(error.description()),
                fmt::format("{}:{}", file, error.source().begin.line), help);
  } catch (const std::logic_error& error) {
    throw Error(Code::bad_toml, error.what(), file, help);
  }
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      result += {'\\', c};
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      result += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    else
      result += c;
  }
  return result + '"';
}

Settings read_settings(const std::filesystem::path& path, const std::string& help) {
  const Bytes bytes = map_file(path);
  if (bytes.size() > kLargestFile)
    throw Error(Code::bad_toml, "a file of more than 1 MiB", path.string(), help);
  return parse_settings(bytes.view(), path.string(), help);
}

}  // namespace tailor::device

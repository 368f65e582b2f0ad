/// \file What a search has found so far, one line of JSON each, so that a run that was killed goes on where it was.
#pragma once

#include "tailor/base/json.h"
#include "tailor/pipeline/supernet_search.h"

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace tailor::trainer {

/// Numbers and members by key. Every one is appended and synced before it is used. A last line that was cut off is passed
/// over.
class SearchJournal {
 public:
  /// A new journal of a run in the place of what is there. @throws Error write_failed
  static SearchJournal begin(std::filesystem::path path, const std::string& run);
  /// The journal of that run; nothing if there is none. @throws Error checkpoint_mismatch for another run's,
  /// bad_checkpoint for anything else than a journal
  static std::optional<SearchJournal> go_on(std::filesystem::path path, const std::string& run);

  /// Numbers whose keys begin so.
  std::size_t count(const std::string& beginning) const;
  std::optional<double> number(const std::string& key) const;
  void write(const std::string& key, double value);
  std::optional<pipeline::FoundMember> member(const std::string& key) const;
  void write(const std::string& key, const pipeline::FoundMember& found);

 private:
  explicit SearchJournal(std::filesystem::path path) : path_(std::move(path)) {}
  void append(const Json& line);

  std::filesystem::path path_;
  std::map<std::string, double> numbers_;
  std::map<std::string, pipeline::FoundMember> members_;
};

/// {"widths", "gone", "kernels", "ratio", ...}, also as it stands in the result's document.
Json to_json(const pipeline::FoundMember& found);

}  // namespace tailor::trainer

#include "tailor/trainer/search_journal.h"

#include "tailor/base/error.h"
#include "tailor/base/file.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace tailor::trainer {
namespace {

namespace fs = std::filesystem;

std::vector<int> integers(const Json& json, const char* key, const std::string& place) {
  std::vector<int> list;
  for (const Json& value : member(json, key, place)) {
    if (!value.is_number_integer()) throw Error(Code::bad_json, "no whole number", place);
    list.push_back(value.get<int>());
  }
  return list;
}

pipeline::FoundMember found_of(const Json& json, const std::string& place) {
  pipeline::FoundMember f;
  f.member = {integers(json, "widths", place), integers(json, "gone", place),
              integers(json, "kernels", place)};
  f.ratio = tailor::number(json, "ratio", place), f.fits = boolean(json, "fits", place);
  f.predicted_loss = tailor::number(json, "predicted_loss", place),
  f.loss = tailor::number(json, "loss", place);
  const Json& certificate = tailor::member(json, "certificate", place);
  f.certificate = {boolean(certificate, "optimal", place), tailor::number(certificate, "quantum_us", place),
                   tailor::number(certificate, "loss_bound", place),
                   tailor::number(certificate, "gap", place)};
  f.measured = static_cast<int>(integer(json, "measured", place));
  return f;
}

// JSON knows no infinity: a bound that is none is 0.
double finite(double value) { return std::isfinite(value) ? value : 0; }

}  // namespace

Json to_json(const pipeline::FoundMember& f) {
  return {{"widths", f.member.widths},
          {"gone", f.member.gone},
          {"kernels", f.member.kernels},
          {"ratio", f.ratio},
          {"fits", f.fits},
          {"predicted_loss", f.predicted_loss},
          {"loss", f.loss},
          {"certificate",
           {{"optimal", f.certificate.optimal},
            {"quantum_us", f.certificate.quantum_us},
            {"loss_bound", finite(f.certificate.loss_bound)},
            {"gap", finite(f.certificate.gap)}}},
          {"measured", f.measured}};
}

void SearchJournal::append(const Json& line) { append_line(path_, to_line(line)); }

SearchJournal SearchJournal::begin(fs::path path, const std::string& run) {
  write_file(path, to_line({{"run", run}}) + "\n");
  return SearchJournal(std::move(path));
}

std::optional<SearchJournal> SearchJournal::go_on(fs::path path, const std::string& run) {
  if (!fs::exists(path)) return std::nullopt;
  SearchJournal journal(path);
  const std::string place = path.string();
  std::istringstream lines{std::string(map_file(path).view())};
  bool first = true, torn = false;
  std::string whole;
  for (std::string line; std::getline(lines, line);) {
    if (torn = lines.eof() && !line.empty(); torn) break;
    whole += line + "\n";
    try {
      const Json json = parse_json(line, place);
      if (first && text(json, "run", place) != run)
        throw Error(
            Code::checkpoint_mismatch, "the search in this folder is another one", place,
            "give the space, data, options and threads that it was begun with, or leave --resume out");
      if (json.contains("member"))
        journal.members_[text(json, "key", place)] = found_of(json["member"], place);
      else if (!first)
        journal.numbers_[text(json, "key", place)] = tailor::number(json, "value", place);
    } catch (const Error& error) {
      if (error.code() == Code::checkpoint_mismatch) throw;
      throw Error(Code::bad_checkpoint, error.what(), place, "remove it and search again without --resume");
    }
    first = false;
  }
  if (first) return std::nullopt;
  if (torn) write_file(path, whole);  // what is appended next begins a line
  return journal;
}

std::size_t SearchJournal::count(const std::string& beginning) const {
  return static_cast<std::size_t>(std::count_if(numbers_.begin(), numbers_.end(), [&](const auto& entry) {
    return entry.first.starts_with(beginning);
  }));
}

std::optional<double> SearchJournal::number(const std::string& key) const {
  const auto at = numbers_.find(key);
  return at == numbers_.end() ? std::nullopt : std::optional(at->second);
}

void SearchJournal::write(const std::string& key, double value) {
  append({{"key", key}, {"value", value}});
  numbers_[key] = value;
}

std::optional<pipeline::FoundMember> SearchJournal::member(const std::string& key) const {
  const auto at = members_.find(key);
  return at == members_.end() ? std::nullopt : std::optional(at->second);
}

void SearchJournal::write(const std::string& key, const pipeline::FoundMember& found) {
  append({{"key", key}, {"member", to_json(found)}});
  members_[key] = found;
}

}  // namespace tailor::trainer

/// \file Tuning records: one trial a line, appended and never changed.
///
/// A record belongs to its key and is never used for another one: a configuration tuned on a part of a device is the
/// best one near that part only (arXiv:2008.03602). Every sample is kept, and with them where the trial ran, beside
/// whom, and how far a fixed kernel between the trials had drifted, so that it can be judged later.
#pragma once

#include "tailor/base/json.h"
#include "tailor/tune/space.h"
#include "tailor/tune/trial.h"

#include <compare>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tailor::tune {

/// What a record is valid for.
struct RecordKey {
  std::string op;         // "conv_mb1_g1_...", "gemm_m768_k768_n768_f32+bias+relu"
  std::string precision;  // "f32"
  std::string layout;     // "nchw", "row-major"
  std::string device;     // its class: processor and instruction set, or GPU
  double share = 1;       // of the device, 0 < share <= 1
  std::string versions;   // compiler, driver, toolkit
  std::string source;     // SHA-256 of what the kernels are generated from
  friend auto operator<=>(const RecordKey&, const RecordKey&) = default;
  friend bool operator==(const RecordKey&, const RecordKey&) = default;
};

/// How much a time is worth.
enum class Tier {
  parallel,  // measured while neighbours ran: good for ranking
  exclusive  // measured alone
};
const char* name(Tier tier);  // "parallel", "exclusive"

struct Record {
  RecordKey key;
  std::vector<std::pair<std::string, Value>> configuration;  // in the order of the space
  Outcome outcome = Outcome::ok;
  std::vector<double> us;  // every sample; empty unless ok
  std::string clock;       // "thread cpu", "wall"; "" if unknown
  std::string partition;   // where: "cpu 0", "sm 0-7"; "" if unknown
  std::string neighbours;  // "idle", "busy"; "" if unknown
  Tier tier = Tier::parallel;
  double sentinel = 1;   // time of the fixed kernel around the trial over its time at the start
  double compile_s = 0;  // processor seconds
  std::string when;      // ISO 8601, UTC; "" if unknown
  std::string message;   // of a failed trial: the first words of the compiler or the runner
  friend bool operator==(const Record&, const Record&) = default;

  /// The least sample; infinite without.
  double time_us() const;
};

/// One line of a record file; schema "tailor/trial/1".
Json to_json(const Record& record);
/// @throws Error bad_json for anything but a whole record: members missing or of a wrong type, times that are not
/// finite and positive, an ok trial without samples or a failed one with some
Record record_from_json(const Json& json, const std::string& place);

/// The parameters of a configuration as an object, in their order, and back. @throws Error bad_json: no object, no parameter,
/// more than 64, a value that is neither number nor string
Json configuration_json(const std::vector<std::pair<std::string, Value>>& configuration);
std::vector<std::pair<std::string, Value>> configuration_from(const Json& json, const std::string& place);

/// A file of records. A last line that kill -9 tore, or any other that is no JSON, is counted and passed over; the
/// next append begins a line of its own.
class RecordFile {
 public:
  /// Reads what is there; a missing file is empty. Lines are at most 1 MiB, the file at most 4 GiB.
  /// @throws Error bad_json for a line that is JSON and no record, with file and line
  explicit RecordFile(std::filesystem::path path);

  const std::vector<Record>& records() const { return records_; }
  int damaged() const { return damaged_; }
  /// On the disk when it returns. @throws Error write_failed
  void append(const Record& record);
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::vector<Record> records_;
  int damaged_ = 0;
  bool torn_ = false;
};

/// Records sorted by key, within a key in the order given; of equal ones the first.
std::vector<Record> merge(const std::vector<std::vector<Record>>& lists);

/// All records of one key.
struct RecordGroup {
  RecordKey key;
  std::vector<Record> records;
};
/// One group per key, sorted by key.
std::vector<RecordGroup> group(const std::vector<Record>& records);

/// A configuration, with all its samples of one tier.
struct Standing {
  std::vector<std::pair<std::string, Value>> configuration;
  Tier tier = Tier::parallel;
  std::vector<double> us;
  double time_us() const;  // the least sample
};
/// Configurations of the group that have succeeded, best first: those measured alone before all others, then by time,
/// then by text, so that the same records give the same order everywhere. A configuration that once gave a wrong
/// result is left out.
std::vector<Standing> ranking(const RecordGroup& group);

/// The best of one key; nothing if none has succeeded.
std::optional<Standing> best_of(const std::vector<Record>& records, const RecordKey& key);

/// A configuration of a space as records have it, and back; nothing if the parameters or a value are not the space's.
std::vector<std::pair<std::string, Value>> named(const Space& space, const Configuration& configuration);
std::optional<Configuration> place_of(const Space& space,
                                      const std::vector<std::pair<std::string, Value>>& list);

/// "MWG=64 NWG=128"
std::string to_string(const std::vector<std::pair<std::string, Value>>& configuration);

}  // namespace tailor::tune

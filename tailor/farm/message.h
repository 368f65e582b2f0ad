/// \file What ranks of the farm say to each other: one JSON line per message. Rank 0 is the master, who decides and keeps
/// the records; the others measure. Every message is checked when it is read, because it may come from another build.
#pragma once

#include "tailor/tune/alone.h"
#include "tailor/tune/kernel_source.h"
#include "tailor/tune/records.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tailor::farm {

/// Of these messages; ranks of another one are refused.
inline constexpr int kProtocol = 1;

/// A configuration by the names of its parameters, as records have it.
using Named = std::vector<std::pair<std::string, tune::Value>>;

/// The first words of a worker: where it is and what it could measure.
struct Hello {
  int protocol = kProtocol;
  std::string host;
  std::vector<int> cores;  // that it may run on, ascending
  tune::MachineClass machine;
  tune::VectorUnit unit;
};
/// What became of a TrialOrder.
struct TrialAnswer {
  std::int64_t ticket = 0;
  tune::Record record;  // of tier parallel; its key says the operator and the share only
  double measure_s = 0;
  std::size_t repeated = 0;  // measurements thrown away
};
/// What became of a ContestOrder.
struct ContestAnswer {
  std::int64_t ticket = 0;
  std::vector<tune::Record> records;  // of tier exclusive
  std::string refused;                // why the library has no time; "" if it has, or was not asked
};
/// The worker cannot go on.
struct GiveUp {
  std::string why;
};
using FromWorker = std::variant<Hello, TrialAnswer, ContestAnswer, GiveUp>;

/// Where a worker measures. It comes again when neighbours come.
struct Place {
  int core = 0;
  std::vector<int> compile_cores;  // of no worker; empty: anywhere
  std::string neighbours;          // for the records: "busy" or "compiler"
};
/// Compile and measure one configuration.
struct TrialOrder {
  std::int64_t ticket = 0;
  tune::TuneTask task;
  Named configuration;
  int samples = 5;
  double drift = 0.02;
};
/// Time configurations against each other; nobody is beside on that host.
struct ContestOrder {
  std::int64_t ticket = 0;
  tune::TuneTask task;
  std::vector<Named> configurations;
  tune::HalvingOptions how;
  tune::OneDnnFile onednn;
};
/// Nothing is wanted of this worker any more: it forgets its orders and waits for Stop.
struct Wait {
  std::string why;
};
struct Stop {};
using ToWorker = std::variant<Place, TrialOrder, ContestOrder, Wait, Stop>;

std::string to_text(const FromWorker& message);
std::string to_text(const ToWorker& message);
/// @throws Error bad_json for anything but a whole message, bad_value for a layer that is none
FromWorker read_from_worker(std::string_view line);
ToWorker read_to_worker(std::string_view line);

}  // namespace tailor::farm

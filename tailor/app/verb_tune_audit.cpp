// tailor tune audit: the best recorded kernels timed again, and what kernels are made of (--backend).
#include "tailor/app/tune.h"
#include "tailor/base/file.h"
#include "tailor/base/table.h"
#include "tailor/tune/alone.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace tailor::app {
namespace {

// "opencl", "opencl:1": the device's number; nothing: another backend.
std::optional<int> number_of(const std::string& kind, const std::string& backend) {
  if (kind == backend) return 0;
  int number = 0;
  const char* end = kind.data() + kind.size();
  if (kind.starts_with(backend + ":"))
    if (auto [at, error] = std::from_chars(kind.data() + backend.size() + 1, end, number);
        error == std::errc{} && at == end && number >= 0)
      return number;
  return std::nullopt;
}

// The device as it was when it was tuned: runners on parts of it, one at a time.
class Bench {
 public:
  explicit Bench(const TuneAuditArguments& a)
      : opencl_(opencl_of(a.backend, a.threads)), whole_(whole_device(opencl_, a.threads)) {
    if (opencl_) backend_ = tune::opencl_backend(*opencl_);
  }
  tune::Audit audit(const tune::RecordGroup& group, int top) {
    return tune::audit(
        group, top, whole_, [this](int workers) -> tune::KernelRunner& { return runner(workers); }, backend_);
  }

 private:
  // The workers of a task in C++ take turns on one core; OpenCL's are units beside each other.
  tune::KernelRunner& runner(int workers) {
    const int units = opencl_ ? workers : 1;
    if (!runner_ || units != units_) {
      runner_.reset();
      runner_.emplace(opencl_ ? tune::KernelRunner(-1, tune::command_for(*opencl_, 0, std::min(units, whole_),
                                                                         cache_.path()))
                              : tune::KernelRunner(tune::usable_cores().front()));
      units_ = units;
    }
    return *runner_;
  }

  std::optional<tune::OpenClPlace> opencl_;
  tune::Backend backend_;
  int whole_, units_ = 0;
  TemporaryFolder cache_;
  std::optional<tune::KernelRunner> runner_;
};

Json audit_json(const tune::Audit& audit) {
  Json entries = Json::array();
  for (const tune::Audit::Entry& entry : audit.entries)
    entries.push_back({{"configuration", entry.configuration},
                       {"recorded_us", entry.recorded_us},
                       {"now_us", std::isfinite(entry.now_us) ? Json(entry.now_us) : Json(nullptr)}});
  return {
      {"op", audit.key.op},
      {"share", audit.key.share},
      {"skipped", audit.skipped.empty() ? Json(nullptr) : Json(audit.skipped)},
      {"regret", audit.skipped.empty() && std::isfinite(audit.regret) ? Json(audit.regret) : Json(nullptr)},
      {"entries", std::move(entries)}};
}

std::string audit_text(const std::vector<tune::Audit>& audits, double limit) {
  Table table({{"operator", Align::left, true},
               {"share", Align::right},
               {"recorded", Align::right},
               {"now", Align::right},
               {"regret", Align::right},
               {"verdict", Align::left, true}});
  for (const tune::Audit& audit : audits) {
    std::vector<std::string> row = {audit.key.op, fmt::format("{:.3g} %", 100 * audit.key.share)};
    if (!audit.skipped.empty()) {
      row.insert(row.end(), {"", "", "", audit.skipped});
    } else {
      const tune::Audit::Entry& first = audit.entries.front();
      row.insert(row.end(),
                 {duration(first.recorded_us), std::isfinite(first.now_us) ? duration(first.now_us) : "-",
                  fmt::format("{:.1f} %", 100 * audit.regret), audit.regret <= limit ? "holds" : "changed"});
    }
    table.row(std::move(row));
  }
  return table.text({}, output_width());
}

}  // namespace

std::optional<tune::OpenClPlace> opencl_of(const BackendArguments& backend, int threads) {
  const std::optional<int> number = number_of(backend.kind, "opencl");
  if (!number && backend.kind != "c++" && !number_of(backend.kind, "cuda"))
    throw Error(Code::unknown_name, fmt::format("there is no backend '{}'", backend.kind), "--backend",
                "c++, opencl, opencl:1, cuda, cuda:1");
  if (!number && !backend.opencl.empty())
    throw Error(Code::usage, "--opencl names a library that nothing asks for", "--opencl",
                "add --backend opencl");
  if (!number) return std::nullopt;
  if (threads != 0)
    throw Error(Code::usage, "the whole of an OpenCL device is its compute units", "--threads",
                "leave --threads away");
  return tune::find_opencl(*number, backend.opencl);
}

std::optional<int> cuda_number(const BackendArguments& backend, int threads) {
  const std::optional<int> number = number_of(backend.kind, "cuda");
  if (number && threads != 0)
    throw Error(Code::usage, "the whole of a GPU is its multiprocessors", "--threads",
                "leave --threads away");
  return number;
}

int whole_device(const std::optional<tune::OpenClPlace>& opencl, int threads) {
  if (opencl) return opencl->device.units;
  return threads > 0 ? threads : static_cast<int>(tune::usable_cores().size());
}

int tune_audit(const Global& global, const TuneAuditArguments& arguments) {
  if (arguments.top < 1 || arguments.top > 100)
    throw Error(Code::bad_value, "--top must be 1 to 100", "--top");
  if (arguments.threads < 0 || arguments.threads > 1024)
    throw Error(Code::bad_value, "--threads must be 0 to 1024", "--threads");
  const double limit = parse_share(arguments.max_regret, "--max-regret");
  if (cuda_number(arguments.backend, arguments.threads))
    throw Error(
        Code::usage, "audit does not time CUDA kernels", "--backend",
        "tailor tune MODEL --backend cuda --db NEW_FILE times them afresh; tune show compares both files");
  const tune::RecordFile file = read_records(global, arguments.file);
  Bench bench(arguments);
  std::vector<tune::Audit> audits;
  for (const tune::RecordGroup& group : tune::group(file.records()))
    audits.push_back(bench.audit(group, arguments.top));
  // What was skipped proves nothing, so a file of which nothing could be timed does not hold.
  const bool any =
      std::any_of(audits.begin(), audits.end(), [](const tune::Audit& a) { return a.skipped.empty(); });
  const bool holds = any && std::all_of(audits.begin(), audits.end(), [&](const tune::Audit& a) {
                       return !a.skipped.empty() || a.regret <= limit;
                     });
  if (global.json) {
    Json json = {{"schema", "tailor/tune-audit/1"},
                 {"file", arguments.file.string()},
                 {"holds", holds},
                 {"groups", Json::array()}};
    for (const tune::Audit& audit : audits) json["groups"].push_back(audit_json(audit));
    print_document(json);
  } else {
    print(audit_text(audits, limit));
  }
  return holds ? 0 : exit_code(Code::gate_failed);
}

}  // namespace tailor::app

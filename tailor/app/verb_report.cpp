// --report, --netron, --trace and --csv of other verbs; tailor report, which makes pages from results that were saved.
#include "tailor/app/app.h"
#include "tailor/base/file.h"
#include "tailor/report/exports.h"
#include "tailor/report/page.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace tailor::app {
namespace {

constexpr std::size_t kLargest = 256u << 20;  // bytes of a result

// Results go to stdout; that a file was written is a remark.
void wrote(const Global& global, const std::filesystem::path& path, const char* what) {
  say(global, 0, fmt::format("wrote {}  ({})", path.string(), what));
}

const char* page_text() {
  return report::has_charts()
             ? "page for a browser"
             : "page for a browser, without charts: scripts/get-charts was not run before the build";
}

void check_if_given(const std::filesystem::path& path) {
  if (!path.empty()) check_target(path);
}

Json read_run(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::file_size(path, ignored) > kLargest && !ignored)
    throw Error(Code::bad_json, "a result of more than 256 MiB is not read", path.string());
  try {
    return read_json(path);
  } catch (const Error& error) {
    if (error.code() != Code::bad_json) throw;
    throw Error(error.code(), error.what(), error.place(),
                "give what a verb printed with --json, saved to a file");
  }
}

std::string indented(const Json& json) {
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

void check_page(const PageArguments& page) { check_if_given(page.report); }

void write_page(const Global& global, const PageArguments& page, const Json& document) {
  if (page.report.empty()) return;
  write_file(page.report, report::page(document, "this run"));
  wrote(global, page.report, page_text());
}

void check_trace(const std::filesystem::path& path) { check_if_given(path); }

void write_trace(const Global& global, const std::filesystem::path& path, const Json& document) {
  if (path.empty()) return;
  write_file(path, indented(report::trace(document, "this run")));
  wrote(global, path, "for ui.perfetto.dev or chrome://tracing");
}

void check_exports(const AnalyzeArguments& a) {
  check_if_given(a.netron), check_if_given(a.trace), check_if_given(a.csv);
}

void write_exports(const Global& global, const AnalyzeArguments& a, const Json& document) {
  constexpr const char* kPlace = "this run";
  if (!a.netron.empty()) {
    write_file(a.netron, indented(report::netron_attachment(document, kPlace)));
    wrote(global, a.netron, "for Netron: open the model, then drop this file on it");
  }
  write_trace(global, a.trace, document);
  if (!a.csv.empty()) {
    write_file(a.csv, report::csv(document, kPlace));
    wrote(global, a.csv, "one line per layer");
  }
}

int report_runs(const Global& global, const ReportArguments& a) {
  check_target(a.out);
  const Json first = read_run(a.runs[0]);
  if (a.runs.size() == 1) {
    write_file(a.out, report::page(first, a.runs[0].string()));
  } else if (a.runs.size() > 2) {
    std::vector<Json> documents;
    for (const std::filesystem::path& path : a.runs) documents.push_back(read_run(path));
    std::vector<report::Run> runs;
    for (std::size_t i = 0; i < documents.size(); ++i) runs.push_back({a.runs[i].string(), documents[i]});
    write_file(a.out, report::outcomes_page(runs));
  } else {
    const Json second = read_run(a.runs[1]);
    write_file(a.out, report::comparison_page(first, a.runs[0].string(), second, a.runs[1].string()));
  }
  if (global.json)
    print_document(
        {{"schema", "tailor/report/1"}, {"written", a.out.string()}, {"charts", report::has_charts()}});
  else
    print(fmt::format("wrote {}  ({})\n", a.out.string(), page_text()));
  return 0;
}

}  // namespace tailor::app

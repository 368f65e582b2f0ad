// sample_pages FOLDER: pages of every kind for the browser's tests, with the documents that they were made of.
#include "tailor/base/file.h"
#include "tailor/report/page.h"
#include "tests/report/samples.h"

#include <nlohmann/json.hpp>

#include <cstdio>

namespace {

using namespace tailor;

void write(const std::filesystem::path& folder, const std::string& name, const Json& document) {
  write_file(folder / (name + ".json"), document.dump(-1, ' ', false, Json::error_handler_t::replace));
  write_file(folder / (name + ".html"), report::page(document, name));
}

void compare(const std::filesystem::path& folder, const std::string& name, const Json& before,
             const Json& after) {
  write_file(folder / (name + ".html"), report::comparison_page(before, "first.json", after, "second.json"));
}

// Three ways of one network, at latencies and accuracies of their own.
void write_outcomes(const std::filesystem::path& folder) {
  std::vector<Json> results(3, testing::optimize_document());
  for (std::size_t i = 0; i < results.size(); ++i) {
    const double less = 0.02 * static_cast<double>(i);
    Json& first = results[i]["proof"]["speed"]["models"][1]["to_first"];
    first["ratio"] = 0.7 - less, first["lo"] = 0.69 - less, first["hi"] = 0.71 - less;
    results[i]["proof"]["samples"][0]["labelled"]["top1_b"] = 0.918 - less / 2;
    results[i]["plan"]["rule"] = i == 0 ? "exact" : "uniform";
  }
  write_file(folder / "outcomes.html",
             report::outcomes_page(
                 {{"exact.json", results[0]}, {"uniform.json", results[1]}, {"three.json", results[2]}}));
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const std::filesystem::path folder = arguments[1];
  std::filesystem::create_directories(folder);
  write(folder, "analysis", testing::analysis_document(12));
  write(folder, "hostile", testing::analysis_document(16, testing::hostile_names()));
  Json large = testing::analysis_document(2000);
  large.erase("base");
  write(folder, "large", large);
  write(folder, "device", testing::device_document());
  write(folder, "gpu", testing::gpu_document(12));
  write(folder, "gpu-hostile", testing::gpu_document(16, testing::hostile_names()));
  write(folder, "bench", testing::bench_document());
  write(folder, "verify", testing::verify_document());
  write(folder, "optimize", testing::optimize_document());
  write(folder, "devices", testing::devices_document());
  write(folder, "map", testing::map_document());
  write(folder, "turns", testing::turns_document());
  write(folder, "turns-missed", testing::turns_document(false));
  write(folder, "plan", testing::plan_document());
  write(folder, "tune", testing::tune_document());
  write(folder, "interference", testing::interference_document());
  write(folder, "patterns", testing::patterns_document());
  Json keeps = testing::plan_document();
  for (int unit = 2; unit < 34; ++unit) keeps["groups"][0]["kept"].push_back(unit);
  compare(folder, "kept", testing::patterns_document(), keeps);
  write_outcomes(folder);
  Json other_gpu = testing::gpu_document(12);
  other_gpu["device"] = "another GPU", other_gpu["layers"][4]["us"] = 12.5;
  compare(folder, "gpus", testing::gpu_document(12), other_gpu);
  Json narrower = testing::device_document();
  narrower["precision"] = "i8", narrower["layers"][1]["model"]["us"] = 1.5;
  compare(folder, "described", testing::device_document(), narrower);
  Json slower = testing::analysis_document(12);
  slower["layers"][3]["us"] = slower["layers"][3]["us"].get<double>() * 1.5;
  compare(folder, "difference", testing::analysis_document(12), slower);
  Json other = testing::plan_document();
  other["groups"].erase(2), other["groups"][0]["after"] = 40;
  compare(folder, "plans", testing::plan_document(), other);
  std::puts(report::has_charts() ? "charts" : "tables");
}

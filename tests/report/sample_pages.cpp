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

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const std::filesystem::path folder = arguments[1];
  std::filesystem::create_directories(folder);
  write(folder, "analysis", testing::analysis_document(12));
  write(folder, "hostile", testing::analysis_document(16, testing::hostile_names()));
  write(folder, "large", testing::analysis_document(2000));
  write(folder, "device", testing::device_document());
  write(folder, "gpu", testing::gpu_document(12));
  write(folder, "gpu-hostile", testing::gpu_document(16, testing::hostile_names()));
  write(folder, "bench", testing::bench_document());
  write(folder, "verify", testing::verify_document());
  write(folder, "optimize", testing::optimize_document());
  write(folder, "map", testing::map_document());
  write(folder, "plan", testing::plan_document());
  write(folder, "tune", testing::tune_document());
  Json slower = testing::analysis_document(12);
  slower["layers"][3]["us"] = slower["layers"][3]["us"].get<double>() * 1.5;
  write_file(folder / "difference.html",
             report::comparison_page(testing::analysis_document(12), "first.json", slower, "second.json"));
  Json other = testing::plan_document();
  other["groups"].erase(2), other["groups"][0]["after"] = 40;
  write_file(folder / "plans.html",
             report::comparison_page(testing::plan_document(), "first.plan.json", other, "second.plan.json"));
  std::puts(report::has_charts() ? "charts" : "tables");
}

/// \file A compiling runner that is a line of shell: it answers each request as a sed script says.
#pragma once

#include <string>

namespace tailor::testing {

/// Answers `json` to every request, in which ID stands for the request's number.
inline std::string runner_that_answers(std::string json) {
  for (std::size_t at = json.find("ID"); at != std::string::npos; at = json.find("ID"))
    json.replace(at, 2, "\\1");
  return "exec sed -u -E 's%.*\"id\":([0-9]+).*%" + json + "%'";
}

/// An NVRTC 13.0 that knows sm_80 and sm_90: kernels take 80 registers, those of tiles of 256 rows are refused, those of 192
/// spill. A cubin has as many bytes as its tile has rows.
inline std::string scripted_compiler() {
  const std::string kernel =
      R"({"name":"product","registers":80,"shared_bytes":0,"stack_bytes":0,"spill_stores":SPILL,"spill_loads":0})";
  const std::string answer =
      R"({"id":\2,"ok":true,"outcome":"ok","seconds":0.25,"cubin_bytes":\1,"kernels":[)" + kernel + "]}";
  auto spilling = [&](const std::string& bytes) {
    std::string text = answer;
    return text.replace(text.find("SPILL"), 5, bytes);
  };
  const std::string take = R"(s%.*define BM ([0-9]+).*"id":([0-9]+).*%)";
  return "exec sed -u -E '"
         R"(s%.*"op":"compiler".*"id":([0-9]+).*%{"id":\1,"ok":true,"version":"13.0","library":"scripted","architectures":[80,90]}%;t;)"
         R"(/define BM 256/s%.*"id":([0-9]+).*%{"id":\1,"ok":true,"outcome":"compile","seconds":0.1,"message":"too large"}%;t;)"
         "/define BM 192/" +
         take + spilling("64") + "%;t;" + take + spilling("0") + "%'";
}

}  // namespace tailor::testing

// Bytes -> Model: the records of the outermost message, what must be known before any node can be read
// (operator sets, functions), then the graph, then what must hold of it as a whole.
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/onnx/decode.h"
#include "tailor/onnx/onnx.h"
#include "tailor/onnx/proto.h"

#include <optional>

namespace tailor::onnx {
namespace {

constexpr std::int64_t kOldestOpset = 7;

struct Parts {
  std::optional<Bytes> graph;
  std::int64_t ir_version = 0;
  bool any = false;  // a field of ModelProto was seen
  std::vector<Bytes> opsets, functions;
};

Wire wire_of(std::uint32_t number) {
  return number == field::ir_version || number == 5 ? Wire::varint : Wire::bytes;  // 5: model_version
}

bool is_model_field(const Record& record) {
  bool named = (record.field >= 1 && record.field <= 8) || record.field == 14 || record.field == 20 ||
               record.field == field::functions || record.field == 26;
  return named && record.wire == wire_of(record.field);
}

[[noreturn]] void not_onnx(const std::string& why) {
  throw Error(Code::not_onnx, why, {}, "give the path of an .onnx file");
}

[[noreturn]] void cut_off() {
  throw Error(Code::truncated, "the model ends early", {},
              "the file is incomplete: fetch or export it again");
}

void add_part(Parts& parts, const Record& record, const Bytes& payload) {
  if (!is_model_field(record) && !parts.any) not_onnx("the bytes are no ONNX model");
  parts.any = true;
  if (!is_model_field(record)) return;
  if (record.field == field::ir_version) parts.ir_version = static_cast<std::int64_t>(record.number);
  if (record.field == field::opset_import) parts.opsets.push_back(payload);
  if (record.field == field::functions) parts.functions.push_back(payload);
  if (record.field != field::graph) return;
  if (parts.graph) not_onnx("the file holds two graphs");
  parts.graph = payload;
}

Parts split(const Bytes& bytes) {
  Parts parts;
  Scanner scanner(bytes.span());
  Record record;
  Step step = scanner.next(record);
  for (; step == Step::record; step = scanner.next(record))
    add_part(parts, record, within(bytes, record.payload));
  if (step == Step::truncated && (parts.any || is_model_field(record))) cut_off();
  if (step != Step::end) not_onnx("the bytes are no ONNX model");
  if (!parts.graph) cut_off();
  return parts;
}

std::map<std::string, std::int64_t, std::less<>> opsets(const Parts& parts) {
  std::map<std::string, std::int64_t, std::less<>> sets;
  for (const Bytes& record : parts.opsets) {
    auto [domain, version] = decode_opset(record);
    auto [at, fresh] = sets.emplace(domain, version);
    if (!fresh && at->second != version)
      throw Error(Code::bad_model, "the model imports two versions of the domain '" + domain + "'");
  }
  if (sets.empty())
    throw Error(Code::no_opset, "the model does not say which version of the ONNX operators it uses", {},
                "it was written by a tool of 2017: export it again");
  if (auto at = sets.find(""); at != sets.end() && at->second < kOldestOpset)
    throw Error(Code::unsupported_opset,
                "the model uses ONNX operators of version " + std::to_string(at->second), {},
                "version 7 is the oldest that is read: export it again, or use the ONNX version converter");
  return sets;
}

std::set<std::string, std::less<>> function_domains(const Parts& parts) {
  std::set<std::string, std::less<>> domains;
  for (const Bytes& record : parts.functions) {
    Scanner scanner(record.span());
    for (Record part; next_record(scanner, part);)
      if (part.field == 10 && part.wire == Wire::bytes) domains.emplace(part.text());  // FunctionProto.domain
  }
  return domains;
}

}  // namespace

graph::Model parse(const Bytes& bytes, const std::filesystem::path& folder) {
  if (bytes.empty()) throw Error(Code::file_empty, "the model file is empty", {}, "fetch or export it again");
  Parts parts = split(bytes);
  graph::Model model;
  model.ir_version = parts.ir_version;
  model.opsets = opsets(parts);
  model.origin = bytes;
  Source source{folder, function_domains(parts), model.opsets.contains("")};
  model.graph = decode_graph(*parts.graph, source, 0);
  graph::check(model.graph);
  return model;
}

graph::Model read(const std::filesystem::path& path) {
  try {
    return parse(map_file(path), path.parent_path());
  } catch (const Error& error) {
    throw error.at(path.string());
  }
}

std::string fingerprint(const std::filesystem::path& path) { return sha256(map_file(path)); }

}  // namespace tailor::onnx

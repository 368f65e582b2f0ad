// One request: read the arrays, check them against the model, run chunk by chunk, join the outputs, write
// them. "Batched" inputs have one row per sample; an input whose fixed shape is given as it is (a state, a
// rate) goes into every chunk whole.
#include "runners/onnxruntime/evaluate.h"

#include "tailor/graph/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>
#include <string>

namespace tailor::ort {
namespace {

struct Fed {
  graph::Tensor stored;
  bool batched = false;
};
struct Chunking {
  std::int64_t samples = 1;  // in all
  std::int64_t rows = 1;     // a chunk
  bool fixed = false;        // the model takes exactly `rows`
};
struct Joined {
  graph::DataType type = graph::DataType::undefined;
  graph::Shape shape;  // of all samples
  std::vector<std::byte> data;
};

template <class Ports>
std::string names_of(const Ports& ports) {
  std::vector<std::string> names;
  for (const Port& port : ports) names.push_back(port.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

bool same_but_leading(const graph::Shape& model, const graph::Shape& data) {
  if (model.size() != data.size()) return false;
  for (std::size_t i = 1; i < model.size(); ++i)
    if (model[i] >= 0 && model[i] != data[i]) return false;
  return true;
}

void check_fits(const Port& port, const graph::Tensor& tensor) {
  if (port.type != tensor.type)
    throw Error(Code::dataset_mismatch, fmt::format("input '{}' takes {}, the data are {}", port.name,
                                                    graph::name(port.type), graph::name(tensor.type)));
  if (!same_but_leading(port.shape, tensor.dims))
    throw Error(Code::dataset_mismatch,
                fmt::format("input '{}' is {}, the data are {}", port.name, graph::to_string(port.shape),
                            graph::to_string(tensor.dims)));
}

std::vector<Fed> read_inputs(const LoadedModel& model, const Json& files) {
  std::vector<Fed> fed;
  for (const Port& port : model.inputs()) {
    if (!files.contains(port.name))
      throw Error(Code::usage, fmt::format("input '{}' is not given", port.name));
    fed.push_back({graph::read_npy(text(files, port.name.c_str(), "inputs"))});
    check_fits(port, fed.back().stored);
  }
  if (fed.size() != files.size())
    throw Error(Code::unknown_name,
                fmt::format("the model has no such input; its inputs are: {}", names_of(model.inputs())));
  return fed;
}

// The first input with rows says how many samples there are.
Chunking plan_chunks(const LoadedModel& model, std::vector<Fed>& fed, std::int64_t wanted) {
  Chunking chunking;
  bool known = false;
  for (std::size_t i = 0; i < fed.size(); ++i) {
    const graph::Shape& data = fed[i].stored.dims;
    if (data.empty()) continue;
    std::int64_t fixed = model.inputs()[i].shape[0];
    if (!known) {
      chunking = {data[0], fixed >= 0 ? fixed : wanted, fixed >= 0};
      known = true;
    } else if (data[0] != chunking.samples && fixed == data[0]) {
      continue;
    }
    fed[i].batched = true;
    if (data[0] != chunking.samples || (chunking.fixed && fixed >= 0 && fixed != chunking.rows))
      throw Error(Code::dataset_mismatch, fmt::format("input '{}' has {} samples where another has {}",
                                                      model.inputs()[i].name, data[0], chunking.samples));
  }
  if (chunking.samples < 1 || chunking.rows < 1) throw Error(Code::dataset_mismatch, "there are no samples");
  return chunking;
}

// Rows [first, first + rows) of the stored tensor; rows past the end repeat the last one.
Tensor slice(const Api& api, const Fed& fed, std::int64_t first, std::int64_t rows) {
  graph::Shape shape = fed.stored.dims;
  if (fed.batched) shape[0] = rows;
  Tensor tensor(api, fed.stored.type, shape);
  const Bytes& data = fed.stored.data;
  if (!fed.batched) {
    if (!data.empty()) std::memcpy(tensor.data(), data.data(), std::min(data.size(), tensor.size()));
    return tensor;
  }
  auto total = fed.stored.dims[0];
  std::size_t bytes = data.size() / static_cast<std::size_t>(total);
  for (std::int64_t row = 0; row < rows && bytes > 0; ++row) {
    auto from = static_cast<std::size_t>(std::min(first + row, total - 1));
    std::memcpy(tensor.data() + static_cast<std::size_t>(row) * bytes, data.data() + from * bytes, bytes);
  }
  return tensor;
}

void append(Joined& joined, const Tensor& output, const std::string& name, std::int64_t rows,
            std::int64_t valid, std::int64_t samples, bool alone) {
  if (!output.data() && output.size() > 0)
    throw Error(Code::runtime_refused, fmt::format("output '{}' is no dense tensor of numbers", name));
  bool batched = !output.shape().empty() && output.shape()[0] == rows;
  if (!batched && !alone)
    throw Error(
        Code::dataset_mismatch,
        fmt::format("output '{}' is {} for {} samples: it has no batch axis, so outputs of several chunks "
                    "cannot be joined; give one chunk at a time",
                    name, graph::to_string(output.shape()), rows));
  std::size_t bytes = batched
                          ? output.size() / static_cast<std::size_t>(rows) * static_cast<std::size_t>(valid)
                          : output.size();
  if (joined.data.empty())
    joined.data.reserve(bytes * static_cast<std::size_t>((samples + valid - 1) / valid));
  joined.data.insert(joined.data.end(), output.data(), output.data() + bytes);
  graph::Shape shape = output.shape();
  if (batched) shape[0] = valid + (joined.shape.empty() ? 0 : joined.shape[0]);
  if (!joined.shape.empty() &&
      !std::equal(shape.begin() + 1, shape.end(), joined.shape.begin() + 1, joined.shape.end()))
    throw Error(Code::dataset_mismatch,
                fmt::format("output '{}' changes its shape from chunk to chunk", name));
  joined.shape = shape;
  joined.type = output.type();
}

std::vector<std::string> wanted_outputs(const LoadedModel& model, const Json& request) {
  std::vector<std::string> names;
  if (request.contains("outputs"))
    for (const Json& name : request["outputs"]) {
      if (!name.is_string()) throw Error(Code::usage, "\"outputs\" must be an array of names");
      names.push_back(name.get<std::string>());
      bool known = std::any_of(model.outputs().begin(), model.outputs().end(),
                               [&](const Port& port) { return port.name == names.back(); });
      if (!known)
        throw Error(Code::unknown_name, fmt::format("the model has no output '{}'; its outputs are: {}",
                                                    names.back(), names_of(model.outputs())));
    }
  if (names.empty())
    for (const Port& port : model.outputs()) names.push_back(port.name);
  return names;
}

std::vector<Joined> run_chunks(const std::shared_ptr<const LoadedModel>& model, const std::vector<Fed>& fed,
                               const Chunking& chunking, const std::vector<std::string>& names,
                               const Progress& progress) {
  std::vector<Joined> joined(names.size());
  for (std::int64_t first = 0; first < chunking.samples; first += chunking.rows) {
    std::int64_t valid = std::min(chunking.rows, chunking.samples - first);
    std::int64_t rows = chunking.fixed ? chunking.rows : valid;
    std::vector<Tensor> inputs;
    for (const Fed& one : fed) inputs.push_back(slice(model->api(), one, first, rows));
    Prepared prepared(model, std::move(inputs), names);
    prepared.run();
    bool alone = chunking.samples <= chunking.rows && rows == valid;
    for (std::size_t i = 0; i < names.size(); ++i)
      append(joined[i], prepared.outputs()[i], names[i], rows, valid, chunking.samples, alone);
    progress(static_cast<double>(first) / static_cast<double>(chunking.samples));
  }
  return joined;
}

}  // namespace

Json evaluate(ModelCache& cache, const Json& request, const Progress& progress) {
  std::filesystem::path path = text(request, "model", "request");
  auto flag = [&](const char* key) { return request.contains(key) && boolean(request, key, "request"); };
  Loading how{parse_measurement(request).threads, flag("exact")};
  auto model = flag("once") ? cache.load(path, how) : cache.get(path, how);
  const Json& files = member(request, "inputs", "request");
  if (!files.is_object()) throw Error(Code::usage, "\"inputs\" must be an object of names and files");
  std::vector<Fed> fed = read_inputs(*model, files);
  std::int64_t wanted = request.contains("chunk") ? integer(request, "chunk", "request") : 64;
  Chunking chunking = plan_chunks(*model, fed, std::max<std::int64_t>(1, wanted));
  std::vector<std::string> names = wanted_outputs(*model, request);
  std::vector<Joined> joined = run_chunks(model, fed, chunking, names, progress);
  std::filesystem::path folder = text(request, "folder", "request");
  Json outputs = Json::array();
  for (std::size_t i = 0; i < joined.size(); ++i) {
    auto file = folder / fmt::format("output{}.npy", i);
    graph::write_npy({joined[i].type, joined[i].shape, Bytes::own(std::move(joined[i].data)), {}}, file);
    outputs.push_back({{"name", names[i]}, {"file", file.string()}});
  }
  return {{"outputs", std::move(outputs)}, {"samples", chunking.samples}};
}

}  // namespace tailor::ort

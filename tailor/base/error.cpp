#include "tailor/base/error.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace tailor {
namespace {

constexpr std::array kTexts = {
    CodeText{Code::bug, "internal error",
             "A fault of tailor itself, not of your input. Please report it with the command line."},
    CodeText{Code::usage, "wrong usage",
             "The command line cannot be understood. `tailor VERB --help` lists the options."},
    CodeText{Code::unknown_name, "unknown name",
             "A layer, input, verb or option of that name does not exist. The message lists near ones."},
    CodeText{Code::bad_value, "bad value", "The value of an option is malformed or out of range."},
    CodeText{Code::file_missing, "file not readable",
             "The file does not exist or may not be opened by this user."},
    CodeText{Code::file_empty, "file is empty",
             "The file holds no bytes: an interrupted copy or download, usually."},
    CodeText{Code::bad_json, "bad JSON",
             "The file is not JSON, or not of the schema that is expected here (`tailor schema NAME`)."},
    CodeText{Code::bad_toml, "bad TOML",
             "The device or configuration file has a syntax error or an unknown key."},
    CodeText{Code::bad_dataset, "data not readable",
             "Data is read from CIFAR binary files, IDX pairs, npz/npy arrays and folders of images with "
             "labels.tsv. "
             "The message says which of them was tried and what did not fit."},
    CodeText{Code::dataset_mismatch, "data does not fit the model",
             "The samples can be read, but their shape is not the shape of the model's input."},
    CodeText{
        Code::plan_mismatch, "plan made for another model",
        "A plan names the SHA-256 of its model. Make a new plan, or give the model that it was made for."},
    CodeText{Code::unknown_device, "unknown device", "`tailor doctor` lists what is usable on this host."},
    CodeText{
        Code::nothing_to_resume, "nothing to resume",
        "--resume goes on from layer timings of the same runtime, processor, instruction set and number of "
        "threads, or, where models are trained, from a checkpoint; there is none. Without --resume the work "
        "begins anew."},
    CodeText{Code::bad_checkpoint, "checkpoint not readable",
             "The file is no checkpoint, or was damaged. Remove it and train again without --resume."},
    CodeText{
        Code::checkpoint_mismatch, "checkpoint of another run",
        "A checkpoint goes on only with the models, the data and the options that it was made with; anything "
        "else would end with weights that no run repeats."},
    CodeText{
        Code::bad_space, "configuration space not usable",
        "A parameter without values, a name or value given twice, a condition that is not understood, or "
        "conditions that leave nothing. The message names the place."},
    CodeText{Code::nothing_to_transfer, "records of no use here",
             "The records to learn from hold fewer than five configurations that this space has. Take "
             "records of the "
             "same operator and kernel, or search without them."},
    CodeText{Code::not_onnx, "not an ONNX model",
             "The bytes of the file are not a serialised ONNX ModelProto."},
    CodeText{Code::truncated, "model is truncated",
             "The file ends in the middle of a field: an interrupted copy, usually."},
    CodeText{
        Code::bad_model, "model contradicts itself",
        "For instance a node that reads a value which nobody writes, a cycle, or two values of one name."},
    CodeText{
        Code::no_opset, "model names no operator set",
        "Without an opset import nobody can know what the nodes mean; ONNX Runtime refuses such a file too. "
        "Export the model again with a current exporter."},
    CodeText{Code::unsupported_opset, "operator set too old",
             "Opset 7 (ONNX 1.2, 2018) is the oldest that is read. Convert the model first."},
    CodeText{
        Code::foreign_domain, "operators of a foreign domain",
        "The model uses operators that belong to neither ONNX nor ONNX Runtime. Export it without them."},
    CodeText{Code::bad_tensor, "weights do not match their shape",
             "A tensor's data has another size than its type and shape ask for."},
    CodeText{Code::external_data, "external data not usable",
             "External data must lie in the model's folder or below it, and be as long as the model says."},
    CodeText{Code::not_finite, "weights are not finite",
             "A weight is NaN or infinite. Saliency and repair would spread it; mend the model first."},
    CodeText{Code::bad_shape, "shapes contradict each other",
             "The shapes in the model, or a --shape on the command line, do not fit together."},
    CodeText{Code::shape_unknown, "a free dimension is unknown", "Give it with --shape NAME:1x3x224x224."},
    CodeText{Code::nothing_to_change, "nothing can be changed",
             "Every channel of the model is frozen. `tailor inspect` says why, layer by layer."},
    CodeText{Code::bad_cut, "cut not allowed",
             "The plan removes channels that the graph does not allow to be removed."},
    CodeText{Code::nothing_to_map, "nothing to map",
             "No layer of the model has constant f32 weights that a unit of the platform can compute. "
             "`tailor inspect` "
             "shows the layers; a quantised model has to be mapped before quantisation."},
    CodeText{
        Code::bad_workload, "workload contradicts itself",
        "The graph of operators has a cycle, an edge to an operator that is not there, or colours that tie a "
        "backward operator before its forward one."},
    CodeText{Code::nothing_to_tune, "nothing to tune",
             "Kernels are generated for dense convolutions and matrix products in f32; the model has none of "
             "known "
             "shape."},
    CodeText{Code::not_trainable, "model cannot be trained",
             "Training runs the operators of convolutional networks and vision transformers in floating "
             "point. The "
             "message names the ones that it cannot run, or says what else is missing."},
    CodeText{Code::goal_not_met, "goal not met",
             "No plan meets the goal. The message names the nearest one; --best-effort writes it."},
    CodeText{Code::gate_failed, "gate failed", "A gate of `verify` was not passed."},
    CodeText{Code::would_be_slower, "result would be slower",
             "A model that measures slower than its input is never written."},
    CodeText{Code::diverged, "training diverged",
             "The loss became infinite or NaN. Lower --rate, add --warmup, or clip gradients with --clip."},
    CodeText{Code::not_trustworthy, "measurement not trustworthy",
             "The machine is too noisy or too busy to certify the result. Close other programs or allow more "
             "time."},
    CodeText{Code::runtime_missing, "runtime missing",
             "`tailor doctor` says what was looked for, where, and how to install it."},
    CodeText{Code::runner_failed, "runner failed",
             "The program that runs models died or answered with something else than its protocol."},
    CodeText{Code::runtime_refused, "runtime refuses the model",
             "The runtime cannot load or run this model; its own words are in the message."},
    CodeText{
        Code::trainer_missing, "training program missing",
        "train, finetune, distill and evaluate are done by tailor-learn, which is built where libtorch is "
        "installed: `make learn` installs and builds it."},
    CodeText{Code::partial, "finished in part", "Run the same command again: it goes on from what is kept."},
    CodeText{Code::write_failed, "cannot write",
             "The disk is full or the place is not writable. Nothing was changed there."},
    CodeText{Code::interrupted, "interrupted",
             "Stopped by Ctrl-C. Layer timings measured so far are kept: the same command goes on from them; "
             "training goes "
             "on from its checkpoint with --resume."},
};

}  // namespace

const CodeText& explain(Code code) {
  for (const CodeText& text : kTexts)
    if (text.code == code) return text;
  return kTexts.front();
}

const CodeText* find_code(std::string_view spelled) {
  if (!spelled.empty() && (spelled.front() == 'E' || spelled.front() == 'e')) spelled.remove_prefix(1);
  int number = 0;
  auto [end, failed] = std::from_chars(spelled.data(), spelled.data() + spelled.size(), number);
  if (failed != std::errc{} || end != spelled.data() + spelled.size()) return nullptr;
  for (const CodeText& text : kTexts)
    if (static_cast<int>(text.code) == number) return &text;
  return nullptr;
}

std::string spelling(Code code) { return fmt::format("E{}", static_cast<int>(code)); }

int exit_code(Code code) { return code == Code::interrupted ? 130 : static_cast<int>(code) / 1000; }

Error::Error(Code code, std::string message, std::string place, std::string help)
    : std::runtime_error(std::move(message)), code_(code), place_(std::move(place)), help_(std::move(help)) {}

Error Error::at(std::string place) const {
  return Error(code_, what(), place_.empty() ? std::move(place) : place_, help_);
}

void bug(std::string_view what, const char* file, int line) {
  throw Error(Code::bug, fmt::format("check failed: {}", what), fmt::format("{}:{}", file, line));
}

}  // namespace tailor

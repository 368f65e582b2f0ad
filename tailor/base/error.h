/// \file The one exception of the project, and the stable codes that it carries.
///
/// A broken input, a missing device or a failed write throws `Error`; it is caught once, in main. Outcomes
/// that a caller expects (an infeasible budget, a trial that failed) are fields of results, never exceptions.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace tailor {

/// Stable codes: the number is printed as "E3012" and never reused. The first digit is the exit code of the
/// program.
enum class Code : int {
  bug = 1000,

  usage = 2000,         // the command line cannot be understood
  unknown_name = 2001,  // a layer, input, device, verb or option that does not exist
  bad_value = 2002,     // an option's value is out of range or malformed
  file_missing = 2101,  // a file named by the user does not exist or cannot be opened
  file_empty = 2102,
  bad_json = 2103,  // not JSON, or not the schema
  bad_toml = 2104,
  bad_dataset = 2105,       // calibration or evaluation data that cannot be read
  dataset_mismatch = 2106,  // readable data whose shape does not fit the model
  plan_mismatch = 2107,     // a plan made for another model
  unknown_device = 2108,
  nothing_to_resume = 2109,    // --resume without a journal or a checkpoint to go on from
  bad_checkpoint = 2201,       // a checkpoint that cannot be read
  checkpoint_mismatch = 2202,  // a checkpoint of another run
  bad_space = 2301,            // a configuration space that contradicts itself, or conditions not understood
  nothing_to_transfer = 2302,  // records of another device, share or shape that say nothing about this space

  not_onnx = 3001,           // the bytes are no ONNX model
  truncated = 3002,          // a model that ends early
  bad_model = 3003,          // parses, but contradicts itself (missing producer, cycle, duplicate name ...)
  no_opset = 3004,           // no operator set: nobody can know what the nodes mean
  unsupported_opset = 3005,  // older than 7
  foreign_domain = 3006,     // operators of a domain that no supported runtime knows
  bad_tensor = 3007,         // size of the data does not match type and shape
  external_data = 3008,      // external data missing, outside the model's folder, or too short
  not_finite = 3009,         // NaN or infinity in the weights
  bad_shape = 3101,          // shapes contradict each other, or a --shape does not fit
  shape_unknown = 3102,      // a free dimension that must be given with --shape
  nothing_to_change = 3201,  // every channel is frozen
  bad_cut = 3202,            // a cut that the graph does not allow
  nothing_to_map = 3203,     // no layer that a platform's units compute
  bad_workload = 3204,       // a placement workload that contradicts itself
  nothing_to_tune = 3205,    // no layer that kernels are generated for
  not_trainable = 3301,      // operators that training cannot run, or nothing that could learn

  goal_not_met = 4001,
  gate_failed = 4002,
  would_be_slower = 4003,
  diverged = 4101,  // training came to numbers that are not finite

  not_trustworthy = 5001,

  runtime_missing = 6001,
  runner_failed = 6002,    // the runner died or answered nonsense
  runtime_refused = 6003,  // the runtime refuses the model
  trainer_missing = 6101,  // the program that trains is not built

  partial = 8001,
  write_failed = 8002,  // full disk, no permission: the target is untouched

  interrupted = 130000,
};

/// What a user reads about a code in `tailor explain E3012`.
struct CodeText {
  Code code;
  std::string_view title;        // one line
  std::string_view explanation;  // what it means and what usually helps
};

/// Text of `code`; every enumerator has one.
const CodeText& explain(Code code);
/// Text of the code spelled "E3012" or "3012"; nullptr if there is none.
const CodeText* find_code(std::string_view spelling);
/// "E3012"
std::string spelling(Code code);
/// 0..8 or 130: see DESIGN's table of exit codes.
int exit_code(Code code);

/// One cause, one place, one next step.
class Error : public std::runtime_error {
 public:
  /// @param message what is wrong, without a full stop
  /// @param place   file, node or option where it is wrong; may be empty
  /// @param help    what to do next; may be empty
  Error(Code code, std::string message, std::string place = {}, std::string help = {});

  Code code() const { return code_; }
  const std::string& place() const { return place_; }
  const std::string& help() const { return help_; }
  /// The same error with a place, if it had none.
  Error at(std::string place) const;

 private:
  Code code_;
  std::string place_, help_;
};

/// Throws Error(Code::bug) with the place in the source. For states that no input can cause.
[[noreturn]] void bug(std::string_view what, const char* file, int line);
#define TAILOR_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::tailor::bug(#condition, __FILE__, __LINE__))

}  // namespace tailor

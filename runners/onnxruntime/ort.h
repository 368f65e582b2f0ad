/// \file ONNX Runtime through its C ABI, loaded at run time: a table of functions whose slots never move.
///
/// Only the slots that the runner needs are declared, each by its number and its signature. Any library
/// from 1.15 on serves. Every object is held by a Handle, which releases it; every failed call throws with
/// the runtime's own words.
#pragma once

#include "tailor/base/error.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace tailor::ort {

// Opaque objects of the runtime.
struct Status;
struct Env;
struct Session;
struct SessionOptions;
struct RunOptions;
struct Value;
struct TypeInfo;
struct TensorInfo;  // tensor type and shape
struct Allocator;

/// A function of the table: its slot, and its signature as type.
template <class Signature>
struct Slot {
  int index;
};

using LogFunction = void (*)(void* self, int severity, const char* category, const char* id,
                             const char* where, const char* message);

namespace slot {
inline constexpr Slot<const char*(const Status*)> get_error_message{2};
inline constexpr Slot<Status*(LogFunction, void*, int, const char*, Env**)> create_env_with_logger{4};
inline constexpr Slot<Status*(const Env*, const char*, const SessionOptions*, Session**)> create_session{7};
inline constexpr Slot<Status*(Session*, const RunOptions*, const char* const*, const Value* const*,
                              std::size_t, const char* const*, std::size_t, Value**)>
    run{9};
inline constexpr Slot<Status*(SessionOptions**)> create_session_options{10};
inline constexpr Slot<Status*(SessionOptions*, const char*)> enable_profiling{14};
inline constexpr Slot<Status*(SessionOptions*, int)> set_optimization_level{23};
inline constexpr Slot<Status*(SessionOptions*, int)> set_intra_op_threads{24};
inline constexpr Slot<Status*(SessionOptions*, int)> set_inter_op_threads{25};
inline constexpr Slot<Status*(const Session*, std::size_t*)> get_input_count{30};
inline constexpr Slot<Status*(const Session*, std::size_t*)> get_output_count{31};
inline constexpr Slot<Status*(const Session*, std::size_t, TypeInfo**)> get_input_type{33};
inline constexpr Slot<Status*(const Session*, std::size_t, TypeInfo**)> get_output_type{34};
inline constexpr Slot<Status*(const Session*, std::size_t, Allocator*, char**)> get_input_name{36};
inline constexpr Slot<Status*(const Session*, std::size_t, Allocator*, char**)> get_output_name{37};
inline constexpr Slot<Status*(Allocator*, const std::int64_t*, std::size_t, int, Value**)> create_tensor{48};
inline constexpr Slot<Status*(const Value*, int*)> is_tensor{50};
inline constexpr Slot<Status*(Value*, void**)> get_tensor_data{51};
inline constexpr Slot<Status*(const TypeInfo*, const TensorInfo**)> cast_to_tensor_info{55};
inline constexpr Slot<Status*(const TensorInfo*, int*)> get_element_type{60};
inline constexpr Slot<Status*(const TensorInfo*, std::size_t*)> get_rank{61};
inline constexpr Slot<Status*(const TensorInfo*, std::int64_t*, std::size_t)> get_dimensions{62};
inline constexpr Slot<Status*(const Value*, TensorInfo**)> get_tensor_info{65};
inline constexpr Slot<Status*(Allocator*, void*)> allocator_free{76};
inline constexpr Slot<Status*(Allocator**)> get_default_allocator{78};
inline constexpr Slot<void(Env*)> release_env{92};
inline constexpr Slot<void(Status*)> release_status{93};
inline constexpr Slot<void(Session*)> release_session{95};
inline constexpr Slot<void(Value*)> release_value{96};
inline constexpr Slot<void(TypeInfo*)> release_type{98};
inline constexpr Slot<void(TensorInfo*)> release_tensor_info{99};
inline constexpr Slot<void(SessionOptions*)> release_session_options{100};
inline constexpr Slot<Status*(Session*, Allocator*, char**)> end_profiling{110};
inline constexpr Slot<Status*(SessionOptions*, const char*, const char*)> add_config_entry{130};
}  // namespace slot

/// The loaded library. It stays loaded until the program ends.
class Api {
 public:
  /// The first that loads of: `library`, else $TAILOR_ORT_LIBRARY, the copy in the source folder, ../lib
  /// beside the program, the loader's libonnxruntime.so.1. The first two, if given, are not replaced by a
  /// later one.
  /// @throws Error runtime_missing: what was tried and why it failed
  explicit Api(const std::string& library);

  /// @throws Error runtime_refused with the runtime's message and what it logged meanwhile
  template <class... P, class... A>
  void call(Slot<Status*(P...)> slot, A... arguments) const {
    if (Status* status = function(slot)(arguments...)) refuse(status);
  }
  template <class R, class... P>
  auto function(Slot<R(P...)> slot) const {
    return reinterpret_cast<R (*)(P...)>(table_[slot.index]);
  }

  const std::string& version() const { return version_; }
  /// The file that was loaded.
  const std::string& library() const { return library_; }
  Env* env() const { return env_; }
  Allocator* allocator() const { return allocator_; }
  /// Takes over a string that the runtime allocated.
  std::string take(char* text) const;

 private:
  [[noreturn]] void refuse(Status* status) const;

  void (*const* table_)() = nullptr;
  std::string version_, library_;
  Env* env_ = nullptr;  // one per process; left to the operating system at the end
  Allocator* allocator_ = nullptr;
};

/// Owner of a runtime object.
template <class T>
struct Release {
  const Api* api = nullptr;
  Slot<void(T*)> slot{};
  void operator()(T* object) const { api->function(slot)(object); }
};
template <class T>
using Handle = std::unique_ptr<T, Release<T>>;

/// Calls a creating function whose last parameter is the new object.
template <class T, class... P, class... A>
Handle<T> create(const Api& api, Slot<void(T*)> release, Slot<Status*(P...)> slot, A... arguments) {
  T* object = nullptr;
  api.call(slot, arguments..., &object);
  return Handle<T>(object, Release<T>{&api, release});
}

}  // namespace tailor::ort

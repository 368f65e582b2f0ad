/// \file A runner's side of the runner protocol (docs/runner-protocol.md): lines in, lines out, and what becomes of errors.
#pragma once

#include "tailor/base/json.h"

#include <exception>
#include <functional>
#include <string>
#include <utility>

namespace tailor::serving {

/// Told now and then how much of a request is done (0..1); throws when nobody listens any more.
using Progress = std::function<void(double)>;

/// A failure that is no Error of Tailor's. `ends`: the runner must not go on after it has answered (a device's context is
/// lost, for instance).
class Failure : public std::exception {
 public:
  Failure(std::string kind, std::string message, bool ends)
      : kind_(std::move(kind)), message_(std::move(message)), ends_(ends) {}
  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& kind() const { return kind_; }
  bool ends() const { return ends_; }

 private:
  std::string kind_, message_;
  bool ends_;
};

/// Reads requests from stdin until its end or "quit"; each but "quit" is given to `answer`, which returns the members of
/// its answer, or throws: Error (its code, place and help go with it), Failure, std::bad_alloc.
///
/// The real stdout is kept for answers and file descriptor 1 points to stderr, so nothing that a library prints can break
/// the protocol. @return the program's exit status: 0; 1 if a failure ended it or nobody reads its answers
int serve(const std::function<Json(const Json& request, const Progress& progress)>& answer);

}  // namespace tailor::serving

/// \file Results for tools that people already use. All take the document of `analyze --json`, of either kind, so numbers
/// there are the document's; `trace` also takes that of `map`.
#pragma once

#include "tailor/base/json.h"

#include <string>

namespace tailor::report {

/// A file that Netron opens beside the model: latency, share, verdict and widths in the side bar of each layer's node.
/// @throws Error bad_json
Json netron_attachment(const Json& analysis, const std::string& place);

/// The trace event format of Chrome, which Perfetto opens: what was executed, in order, on one line. Begin of an event
/// is the sum of what came before; of a described device the layers follow each other. Of a mapping every unit has a line.
/// @throws Error bad_json
Json trace(const Json& analysis, const std::string& place);

/// One line per layer, RFC 4180. @throws Error bad_json
std::string csv(const Json& analysis, const std::string& place);

}  // namespace tailor::report

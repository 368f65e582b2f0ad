/// \file A page for people out of a result that --json printed: one HTML file that asks for nothing else.
///
/// The documents of schemas/*.json are the only source, so every number on a page is a number of the document. The page
/// is complete without its script: verdict, cards and tables are plain HTML. The script draws charts (Observable Plot,
/// bundled when the program was built) and links them: a layer selected anywhere is selected everywhere. A content
/// security policy names the one style and the one script by their SHA-256 and allows nothing else, no request either;
/// pictures, where there are any, are in the page itself.
#pragma once

#include "tailor/base/json.h"

#include <string>
#include <vector>

namespace tailor::report {

/// Kinds that have a page, by the name of their schema: "analysis", "bench" ...
const std::vector<std::string>& kinds_with_page();

/// The page of one document. @param name where it came from, for the heading and for messages. O(size)
/// @throws Error bad_json for another kind of document, or one that is not what its schema says
std::string page(const Json& document, const std::string& name);

/// Two runs of one kind side by side; or patterns, and a plan or a result of optimize for their model: which filters it
/// keeps. @throws Error bad_json as page(), and for documents of different kinds; plan_mismatch
std::string comparison_page(const Json& before, const std::string& name_before, const Json& after,
                            const std::string& name_after);

/// A result and where it came from. The document must outlive it.
struct Run {
  std::string name;
  const Json& document;
};
/// Any number of results of optimize beside each other: what each reached, and what it cost. @throws Error bad_json as page(),
/// and for other kinds
std::string outcomes_page(const std::vector<Run>& runs);

/// True if this build has the charts.
bool has_charts();

}  // namespace tailor::report

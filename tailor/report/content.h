/// \file What a page says, before it is HTML; one function per kind of document. Private.
#pragma once

#include "tailor/base/json.h"
#include "tailor/report/markup.h"
#include "tailor/report/page.h"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tailor::report {

/// One figure that a reader should not miss.
struct Card {
  std::string label, value, note = {};
};

/// A part of the page: charts, then the table that holds their numbers, then pictures.
struct Section {
  std::string title, note;
  std::vector<std::string> figures = {};  // names that the page's script knows
  std::optional<Table> table = {};
  std::vector<Strip> strips = {};
};

struct Content {
  std::string title;    // what kind of run, of what
  std::string verdict;  // one sentence
  std::string stamp;    // how the numbers came to be
  std::vector<Card> cards = {};
  std::string limits_title = "What limits it";
  std::vector<std::string> limits = {};                        // what stands in the way of more, sentences
  std::vector<std::pair<std::string, std::string>> next = {};  // a command, and what it is for
  std::vector<Section> sections = {};
  std::vector<std::pair<std::string, std::string>> method = {};  // how and where, word and value
};

/// Each: @throws Error bad_json where the document is not what its schema says
Content analysis_content(const Json& document, const std::string& place);
Content device_content(const Json& document, const std::string& place);
Content gpu_content(const Json& document, const std::string& place);
Content bench_content(const Json& document, const std::string& place);
Content verify_content(const Json& document, const std::string& place);
Content optimize_content(const Json& document, const std::string& place);
Content map_content(const Json& document, const std::string& place);
Content turns_content(const Json& document, const std::string& place);
Content plan_content(const Json& document, const std::string& place);
Content tune_content(const Json& document, const std::string& place);
Content patterns_content(const Json& document, const std::string& place);
/// The same with what a plan for the same model keeps. @param plan a plan, or a result of optimize, which holds one
/// @throws Error bad_json, plan_mismatch for a plan of another model
Content patterns_content(const Json& document, const std::string& place, const Json& plan,
                         const std::string& plan_place);
Content interference_content(const Json& document, const std::string& place);
/// Several results of optimize beside each other, one point each. @throws Error bad_json for other kinds
Content outcomes_content(const std::vector<Run>& runs);
Section outcomes_section(const std::vector<Run>& runs);
/// Of two documents of one kind.
Content comparison_content(const Json& before, const std::string& name_before, const Json& after,
                           const std::string& name_after);

/// "analysis" of "tailor/analysis/1". @throws Error bad_json for anything else
std::string kind_of(const Json& document, const std::string& place);
/// An array member. @throws Error bad_json
const Json& list(const Json& object, const char* key, const std::string& place);
/// "place.layers[3]"
std::string item_place(const std::string& place, const char* key, std::size_t index);
/// "place.totals"
std::string member_place(const std::string& place, const char* key);
/// The width of a step and what it saves, "-" for null. @throws Error bad_json
Cell step_cell(const Json& object, const char* key, const std::string& place);
/// The last part of a path, for sentences; "the model" for a model made in memory, which has none.
std::string file_name(const std::string& path);
/// "0.594x", exact number kept.
Cell ratio_cell(double ratio);
/// "64 > 128", or the text as it is where it is no workload.
std::string width_text(const std::string& workload);
/// 0 of nothing.
inline double share_of(double part, double whole) { return whole > 0 ? part / whole : 0; }
/// "12 %" of a share.
std::string percent(double share, int decimals = 0);
/// The timing of models against each other: what bench prints, and verify and optimize end with.
Section speed_section(const Json& speed, const std::string& place);
/// Environment of a timing for Content::method.
std::vector<std::pair<std::string, std::string>> speed_method(const Json& speed, const std::string& place);
/// Where nothing is recoverable.
inline constexpr const char* kNothingBack =
    "no width lies just past an edge, so less time has to be bought with channels";
/// What to say of layers with a verdict.
using Meanings = std::map<std::string, std::string, std::less<>>;
/// Of the verdicts on a GPU, described or there.
const Meanings& gpu_meanings();
/// "31 % of the time in 4 layers judged tail: what that means." for each verdict of the document's layers, by time, falling: of
/// the network's, or of the layers' sum where that is longer.
/// @param inner member of a layer that holds its time; null: the layer itself
std::vector<std::string> verdict_sentences(const Json& document, const std::string& place, double network_us,
                                           const Meanings& meanings, const char* inner = nullptr);
/// Accuracy of two models on samples, as verify and optimize measure it.
Section samples_section(const Json& samples, const std::string& place);
/// "top-1 94.20 % -> 93.81 %", or what else is known of the first samples; "" without samples.
std::string accuracy_text(const Json& samples, const std::string& place);
/// The same as the end of a sentence: ", at 93.81 % top-1 accuracy instead of 94.20 %".
std::string accuracy_clause(const Json& samples, const std::string& place);
/// Channels that cost nothing, where --free asked for them: a section more.
void add_free(Content& content, const Json& document, const std::string& place);
/// The groups of an analysis with their staircases in numbers. @param wider whether its groups say a wider, faster width
void add_groups(Content& content, const Json& document, const std::string& place, bool wider);
/// What --base of analyze found, in a sentence; "" where the document has none.
std::string base_text(const Json& document, const std::string& place);
/// The same layer by layer: a section more.
void add_base(Content& content, const Json& document, const std::string& place);
/// What a plan changes: the groups with their widths; then branches, kernels and shortcuts.
std::vector<Section> change_sections(const Json& plan, const std::string& place);
/// "8 channel groups change, 1 branch goes".
std::string changes_text(const Json& plan, const std::string& place);

}  // namespace tailor::report

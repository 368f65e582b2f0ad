// Content -> HTML: the policy, the head, then the parts in the order in which people read them.
#include "tailor/report/page.h"

#include "tailor/base/base64.h"
#include "tailor/base/error.h"
#include "tailor/base/file.h"
#include "tailor/base/text.h"
#include "tailor/report/assets.h"
#include "tailor/report/content.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace tailor::report {
namespace {

constexpr Content (*kPatterns)(const Json&, const std::string&) = &patterns_content;

constexpr std::array kPages = {
    std::pair{"analysis", &analysis_content}, std::pair{"device-analysis", &device_content},
    std::pair{"gpu-analysis", &gpu_content},  std::pair{"bench", &bench_content},
    std::pair{"verify", &verify_content},     std::pair{"optimize", &optimize_content},
    std::pair{"map", &map_content},           std::pair{"map-turns", &turns_content},
    std::pair{"plan", &plan_content},         std::pair{"tune", &tune_content},
    std::pair{"patterns", kPatterns},         std::pair{"tune-interference", &interference_content}};

int nibble(char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; }

// The bytes that hexadecimal digits stand for.
std::string bytes_of_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes += static_cast<char>(nibble(hex[i]) << 4 | nibble(hex[i + 1]));
  return bytes;
}

std::string source_hash(std::string_view text) {
  return "'sha256-" + base64(bytes_of_hex(sha256(text))) + "'";
}

std::string script() {
  std::string text;
  for (std::string_view piece : script_pieces()) text += piece;
  return text;
}

std::string style() {
  std::string text;
  for (const auto& [name, piece] : stylesheets()) text += piece;
  return text;
}

bool has_pictures(const Content& content) {
  return std::any_of(content.sections.begin(), content.sections.end(),
                     [](const Section& section) { return !section.strips.empty(); });
}

// Nothing but this style, this script and pictures that are in the page; no request, no base, no form.
std::string policy(const std::string& css, const std::string& code, bool pictures) {
  return fmt::format("default-src 'none'; style-src {}; script-src {};{} base-uri 'none'; form-action 'none'",
                     source_hash(css), code.empty() ? "'none'" : source_hash(code),
                     pictures ? " img-src data:;" : "");
}

std::string head_html(const Content& content, const std::string& css, const std::string& code) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>{}</style>\n</head>\n",
      policy(css, code, has_pictures(content)), escaped(content.title), css);
}

constexpr std::size_t kLongValue = 24;  // letters, beyond which they are set smaller

std::string cards_html(const std::vector<Card>& cards) {
  std::string text = "<div class=\"cards\">\n";
  for (const Card& card : cards)
    text += fmt::format(
        "<div class=\"card\"><p class=\"label\"><bdi>{}</bdi></p><p class=\"value{}\">{}</p>"
        "<p class=\"note\">{}</p></div>\n",
        escaped(card.label), card.value.size() > kLongValue ? " long" : "", escaped(card.value),
        escaped(card.note));
  return text + "</div>\n";
}

std::string advice_html(const Content& content) {
  if (content.limits.empty() && content.next.empty()) return {};
  std::string text = "<div class=\"advice\">\n";
  if (!content.limits.empty())
    text += fmt::format("<section><h2>{}</h2>\n<ul>\n", escaped(content.limits_title));
  for (const std::string& line : content.limits) text += fmt::format("<li>{}</li>\n", escaped(line));
  if (!content.limits.empty()) text += "</ul></section>\n";
  if (!content.next.empty()) text += "<section><h2>What to try next</h2>\n";
  for (const auto& [command, why] : content.next)
    text += fmt::format("<pre><code>{}</code></pre><p>{}</p>\n", escaped(command), escaped(why));
  if (!content.next.empty()) text += "</section>\n";
  return text + "</div>\n";
}

std::string section_html(const Section& section) {
  std::string text =
      fmt::format("<section>\n<h2>{}</h2>\n<p>{}</p>\n", escaped(section.title), escaped(section.note));
  for (const std::string& figure : section.figures)
    text += fmt::format("<figure data-figure=\"{}\" hidden></figure>\n", escaped(figure));
  if (section.table) text += html(*section.table);
  for (const Strip& strip : section.strips) text += html(strip);
  return text + "</section>\n";
}

std::string method_html(const Content& content) {
  std::string text = "<section>\n<h2>How this was found</h2>\n<dl>\n";
  for (const auto& [word, value] : content.method)
    text += fmt::format("<dt>{}</dt><dd><bdi>{}</bdi></dd>\n", escaped(word), escaped(value));
  return text + "</dl>\n</section>\n";
}

std::string charts_note(const std::string& code) {
  return code.empty()
             ? "<p class=\"remark\">This page has no charts: the program that wrote it was built without the "
               "chart library. The tables hold every number.</p>\n"
             : "<p class=\"remark\" id=\"plain\">Charts need JavaScript. The tables hold every number of "
               "them.</p>\n";
}

std::string data_html(const Json& runs, const std::string& code) {
  if (code.empty()) return {};
  return fmt::format(
      "<details id=\"source\"><summary>The document behind this page (JSON)</summary><pre></pre></details>\n"
      "<script type=\"application/json\" id=\"runs\">{}</script>\n<script>{}</script>\n",
      for_script(runs), code);
}

std::string assembled(const Content& content, const Json& runs) {
  const std::string css = style(), code = script();
  std::string text = head_html(content, css, code);
  text += fmt::format(
      "<body>\n<header>\n<p class=\"title\">{} <span "
      "class=\"stamp\">{}</span></p>\n<h1>{}</h1>\n</header>\n<main>\n",
      escaped(content.title), escaped(content.stamp), escaped(content.verdict));
  text += cards_html(content.cards) + advice_html(content) + charts_note(code);
  for (const Section& section : content.sections) text += section_html(section);
  return text + method_html(content) + data_html(runs, code) + "</main>\n</body>\n</html>\n";
}

// A run as the script reads it. Pictures stand in the page already, and once is enough.
Json run_of(const std::string& name, const Json& document) {
  Json run = {{"name", name}, {"document", document}};
  Json& shown = run["document"];
  if (!shown.is_object() || !shown.contains("layers") || !shown["layers"].is_array()) return run;
  for (Json& layer : shown["layers"]) {
    if (!layer.is_object() || !layer.contains("filters") || !layer["filters"].is_array()) continue;
    for (Json& filter : layer["filters"])
      if (filter.is_object()) filter.erase("picture");
  }
  return run;
}

Content content_of(const Json& document, const std::string& name) {
  const std::string kind = kind_of(document, name);
  for (const auto& [known, make] : kPages)
    if (kind == known) return make(document, name);
  std::string kinds;
  for (const std::string& known : kinds_with_page()) kinds += (kinds.empty() ? "" : ", ") + known;
  throw Error(
      Code::bad_json,
      fmt::format("there is no page for results of kind '{}'{}", kind, did_you_mean(kind, kinds_with_page())),
      name, "give what one of these printed with --json: " + kinds);
}

}  // namespace

const std::vector<std::string>& kinds_with_page() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const auto& [kind, make] : kPages) list.emplace_back(kind);
    return list;
  }();
  return names;
}

bool has_charts() { return !script_pieces().empty(); }

std::string page(const Json& document, const std::string& name) {
  return assembled(content_of(document, name), Json::array({run_of(name, document)}));
}

std::string outcomes_page(const std::vector<Run>& runs) {
  Json shown = Json::array();
  for (const Run& run : runs) {
    static_cast<void>(content_of(run.document, run.name));  // refuses what is not whole
    shown.push_back(run_of(run.name, run.document));
  }
  return assembled(outcomes_content(runs), shown);
}

std::string comparison_page(const Json& before, const std::string& name_before, const Json& after,
                            const std::string& name_after) {
  static_cast<void>(content_of(before, name_before));  // refuses kinds without a page, and what is not whole
  static_cast<void>(content_of(after, name_after));
  const std::string kind = kind_of(after, name_after);
  const bool planned = kind_of(before, name_before) == "patterns" && (kind == "plan" || kind == "optimize");
  return assembled(planned ? patterns_content(before, name_before, after, name_after)
                           : comparison_content(before, name_before, after, name_after),
                   Json::array({run_of(name_before, before), run_of(name_after, after)}));
}

}  // namespace tailor::report

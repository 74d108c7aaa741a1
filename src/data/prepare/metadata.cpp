#include "data/prepare/metadata.h"

#include <fmt/format.h>

#include "core/check.h"
#include "data/prepare/json_lines.h"

namespace allreco::data {
namespace {

std::string clean_text(const std::string* raw, std::int64_t max_length) {
  return raw == nullptr ? "" : clean_title(*raw, max_length).text;
}

/// "brand, category (asin)" of what there is; the category is the narrowest of the path. The asin makes it one item's
/// own: a publisher has many magazines of a kind.
CleanTitle describe(const core::Json& object, const std::string& asin, std::int64_t max_length) {
  const std::string brand = clean_text(find_string(object, "brand"), max_length);
  const auto path = object.find("category");
  const bool has_category = path != object.end() && path->is_array() && !path->empty() && path->back().is_string();
  const std::string category =
      has_category ? clean_text(path->back().get_ptr<const std::string*>(), max_length) : std::string();
  const std::string separator = brand.empty() || category.empty() ? "" : ", ";
  const std::string about = brand + separator + category;
  if (about.empty()) return clean_title(asin, max_length);
  const std::string name = fmt::format(" ({})", asin);
  const std::int64_t left = max_length - std::ssize(name);
  return left > 0 ? clean_title(clean_title(about, left).text + name, max_length) : clean_title(asin, max_length);
}

}  // namespace

struct MetadataReader::State {
  State(const InputPart& part, const TitleRules& title_rules, double share, Wanted is_wanted)
      : reader(part), rules(title_rules), max_bad_share(share), wanted(std::move(is_wanted)), input(part.input) {}

  /// "" or why this line is no item; row.item stays empty where it is not wanted.
  std::string parse(std::string_view line, MetadataRow& row) {
    row = {};
    if (std::string problem = parse_object(line, object); !problem.empty()) return problem;
    const std::string* asin = find_string(object, "asin");
    if (asin == nullptr && object.contains("parent_asin"))
      core::user_error(
          "{} holds metadata of Amazon 2023 (parent_asin); --metadata reads 2018's. Rewrite it: jq -c '. + {{asin: "
          ".parent_asin}}'",
          reader.path().string());
    if (asin == nullptr || asin->empty()) return "no asin (a text) in it";
    if (wanted && !wanted(*asin)) return "";
    row.item = *asin;
    row.input = input;
    const std::string* title = find_string(object, "title");
    row.title = clean_title(title == nullptr ? "" : *title, rules.max_length);
    row.is_described = rules.describe_untitled && row.title.problem != TitleProblem::none;
    if (row.is_described) row.title = describe(object, *asin, rules.max_length);
    return "";
  }

  LineReader reader;
  TitleRules rules;
  double max_bad_share;
  Wanted wanted;
  std::uint32_t input;
  LineCounts counts;
  core::Json object;
};

MetadataReader::MetadataReader(const InputPart& part, const TitleRules& rules, double max_bad_share, Wanted wanted)
    : state_(std::make_unique<State>(part, rules, max_bad_share, std::move(wanted))) {}
MetadataReader::~MetadataReader() = default;
MetadataReader::MetadataReader(MetadataReader&&) noexcept = default;

bool MetadataReader::next(MetadataRow& row) {
  State& s = *state_;
  for (std::string_view line; s.reader.next(line);) {
    ++s.counts.total_lines;
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    if (++s.counts.lines == 1) require_json_lines(line, s.reader.path());
    std::string problem = s.parse(line, row);
    if (problem.empty() && row.item.empty()) continue;
    if (problem.empty()) return true;
    s.counts.reject(s.reader.line_number(), std::move(problem));
    if (s.counts.malformed == kHopelessLines && s.counts.lines == kHopelessLines)
      s.counts.check_share(s.reader.path(), s.max_bad_share);
  }
  return false;
}

const LineCounts& MetadataReader::counts() const { return state_->counts; }
std::uint64_t MetadataReader::bytes_read() const { return state_->reader.bytes_read(); }

Metadata read_metadata(const std::string& files, const std::unordered_set<std::string>& wanted_asins,
                       const TitleRules& rules, double max_bad_share) {
  Metadata metadata;
  std::vector<core::Json> reports;
  for (const InputPart& part : input_parts(input_files(files), kWholeFile)) {
    MetadataReader reader(part, rules, max_bad_share,
                          [&](const std::string& item) { return wanted_asins.contains(item); });
    for (MetadataRow row; reader.next(row);) {
      const auto [place, is_new] = metadata.titles.try_emplace(row.item);
      if (!is_new) {
        ++metadata.num_repeated;
        continue;
      }
      metadata.num_described += row.is_described ? 1 : 0;
      place->second = std::move(row.title);
    }
    reader.counts().warn(part.path);
    reader.counts().check_share(part.path, max_bad_share);
    reports.push_back(reader.counts().report(part.path));
  }
  metadata.lines = joined_reports(reports);
  return metadata;
}

}  // namespace allreco::data

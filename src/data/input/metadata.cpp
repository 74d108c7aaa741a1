#include "data/input/metadata.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/check.h"
#include "data/input/json_lines.h"
#include "data/input/line_fields.h"
#include "data/input/line_reader.h"
#include "data/tokenizer/unicode.h"

namespace allreco::data {

namespace {

enum Key : size_t { kAsin, kTitle, kBrand, kCategory, kPrice, kParentAsin, kStore, kCategories, kMainCategory };

std::string clean_text(std::string_view raw, std::int64_t max_length) { return clean_title(raw, max_length).text; }

/// "brand, category (asin)" of what there is. The asin makes it one item's own: a publisher has many magazines of a
/// kind.
CleanTitle describe(const std::string& brand, const std::string& category, const std::string& asin,
                    std::int64_t max_length) {
  const std::string separator = brand.empty() || category.empty() ? "" : ", ";
  const std::string about = brand + separator + category;
  if (about.empty()) return clean_title(asin, max_length);
  const std::string name = fmt::format(" ({})", asin);
  const std::int64_t left = max_length - std::ssize(name);
  return left > 0 ? clean_title(clean_title(about, left).text + name, max_length) : clean_title(asin, max_length);
}

std::string_view last_of(const LineField& path) { return path.list.empty() ? std::string_view() : path.list.back(); }

/// "" for what no product costs.
std::string written_price(double price) {
  constexpr double kLargest = 9'999'999;
  return price >= 0.01 && price <= kLargest ? fmt::format("{:.2f}", price) : "";
}

/// meta_Gift_Cards.json.gz is of Gift_Cards.
std::string stem_of(const std::filesystem::path& path) {
  std::string stem = path.filename().string();
  stem.resize(std::min(stem.find('.', 1), stem.size()));
  constexpr std::string_view kPrefix = "meta_";
  if (stem.starts_with(kPrefix)) stem.erase(0, kPrefix.size());
  const std::string text = clean_text(to_valid_utf8(stem), 200);
  return text.empty() ? "unknown" : text;
}

}  // namespace

std::string price_of(std::string_view text) {
  if (text.starts_with("from ")) text.remove_prefix(5);
  if (text.starts_with('$')) text.remove_prefix(1);
  std::string digits;
  size_t end = 0;
  for (; end < text.size() && (text[end] == ',' || text[end] == '.' || (text[end] >= '0' && text[end] <= '9')); ++end)
    if (text[end] != ',') digits += text[end];
  const std::string_view rest = text.substr(end);
  if (!rest.empty() && !rest.starts_with(" - $") && !rest.starts_with(" ")) return "";
  double price = 0;
  const auto [stop, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), price, std::chars_format::fixed);
  const bool is_number = error == std::errc{} && stop == digits.data() + digits.size();
  return is_number ? written_price(price) : "";
}

struct MetadataReader::State {
  State(const InputPart& part, const TitleRules& title_rules, double share, Wanted is_wanted)
      : reader(part),
        rules(title_rules),
        max_bad_share(part.begin > 0 ? 1 : share),
        wanted(std::move(is_wanted)),
        input(part.input),
        stem(stem_of(part.path)) {}

  /// "" or why this line is no item; row.item stays empty where it is not wanted.
  std::string parse(std::string_view line, MetadataRow& row) {
    row = {};
    if (std::string problem = fields.parse(line); !problem.empty()) return problem;
    const bool is_2023 = !fields[kAsin].is_there() && fields[kParentAsin].is_there();
    const LineField& item = fields[is_2023 ? kParentAsin : kAsin];
    if (!item.is_text()) return is_2023 ? "no parent_asin (a text) in it" : "no asin (a text) in it";
    std::string name(item.text);
    if (wanted && !wanted(name)) return "";
    row.item = std::move(name);
    row.input = input;
    row.title = clean_title(text(kTitle), rules.max_length);
    row.brand = clean_text(text(is_2023 ? kStore : kBrand), rules.max_length);
    row.price = price();
    const LineField& path = fields[is_2023 ? kCategories : kCategory];
    row.category = category(path);
    row.is_described = rules.describe_untitled && row.title.problem != TitleProblem::none;
    if (row.is_described)
      row.title = describe(row.brand, clean_text(last_of(path), rules.max_length), row.item, rules.max_length);
    return "";
  }

  std::string_view text(Key key) const {
    return fields[key].kind == LineField::Kind::text ? fields[key].text : std::string_view();
  }

  std::string price() const {
    const LineField& field = fields[kPrice];
    return field.kind == LineField::Kind::number ? written_price(field.number) : price_of(text(kPrice));
  }

  /// 2023's main category; else the narrowest of the path below its root, which is the same for a whole file; else the
  /// file's name.
  std::string category(const LineField& path) const {
    std::string name = clean_text(text(kMainCategory), rules.max_length);
    if (name.empty() && path.list.size() > 1) name = clean_text(path.list.back(), rules.max_length);
    return name.empty() ? stem : name;
  }

  LineReader reader;
  TitleRules rules;
  double max_bad_share;
  Wanted wanted;
  std::uint32_t input;
  std::string stem;
  LineCounts counts;
  FieldParser fields{
      {"asin", "title", "brand", "category", "price", "parent_asin", "store", "categories", "main_category"}};
};

MetadataReader::MetadataReader(const InputPart& part, const TitleRules& rules, double max_bad_share, Wanted wanted)
    : state_(std::make_unique<State>(part, rules, max_bad_share, std::move(wanted))) {}
MetadataReader::~MetadataReader() = default;
MetadataReader::MetadataReader(MetadataReader&&) noexcept = default;

bool MetadataReader::next(MetadataRow& row) {
  State& s = *state_;
  for (std::string_view line; s.reader.next(line);) {
    ++s.counts.total_lines;
    if (is_blank_line(line)) continue;
    if (++s.counts.lines == 1) require_json_lines(line, s.reader.path());
    std::string problem = s.parse(line, row);
    if (problem.empty() && row.item.empty()) continue;
    if (problem.empty()) return true;
    s.counts.reject(s.reader.line_number(), std::move(problem));
    give_up_hopeless(s.counts, s.reader.path(), s.max_bad_share);
  }
  return false;
}

const LineCounts& MetadataReader::counts() const { return state_->counts; }
std::uint64_t MetadataReader::bytes_read() const { return state_->reader.bytes_read(); }

}  // namespace allreco::data

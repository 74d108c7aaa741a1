// A line of JSON through the fast parser and the slow one: the same verdict, reason and texts.
#include "data/input/line_fields.h"

#include "core/check.h"
#include "data/input/json_lines.h"
#include "data/input/line_reader.h"
#include "fuzz/target.h"

namespace allreco::fuzz {

void line_fields(Input input) {
  const std::string line(input.substr(0, input.find('\n')));
  const std::string padded = line + std::string(data::kLinePadding, '"');
  data::FieldParser parser({"asin", "category", ""});
  core::Json object;
  const std::string problem = data::parse_object(line, object);
  core::require(parser.parse(std::string_view(padded).substr(0, line.size())) == problem, "both parsers say the same");
  if (!problem.empty()) return;
  const auto found = object.find("asin");
  const bool is_text = found != object.end() && found->is_string();
  const data::LineField& field = parser[0];
  core::require(field.is_there() == object.contains("asin"), "both parsers find the same keys");
  core::require(
      is_text == (field.kind == data::LineField::Kind::text) && (!is_text || found->get<std::string>() == field.text),
      "both parsers find the same texts");
}

}  // namespace allreco::fuzz

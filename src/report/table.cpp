#include "report/table.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/text.h"

namespace allreco::report {

using core::html;
using core::Html;

namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

bool is_text(Format format) { return format == Format::text || format == Format::hash || format == Format::graphic; }

std::string shown_double(double value, Format format) {
  switch (format) {
    case Format::count:
      return shown_count(std::llround(value));
    case Format::percent:
      return shown_percent(value);
    case Format::points:
      return fmt::format("{:+.1f}", 100 * value);
    case Format::seconds:
      return shown_duration(value);
    case Format::hours:
      return fmt::format("{:.3g}", value);
    case Format::bytes:
      return shown_bytes(value);
    default:
      return shown_number(value);
  }
}

/// t: a text on one line; w: one that wraps; n: a number.
const char* class_of(const Cell& cell, Format format) {
  constexpr std::size_t kLongestLine = 44;
  const auto* text = std::get_if<std::string>(&cell);
  if (text && text->size() > kLongestLine) return "w";
  return is_text(format) ? "t" : "n";
}

Html cell_html(const Cell& cell, Format format) {
  const char* const kind = class_of(cell, format);
  if (const Html* graphic = std::get_if<Html>(&cell)) return html("<td class=\"{}\">{}</td>", kind, *graphic);
  if (const auto* text = std::get_if<std::string>(&cell); text && format == Format::hash)
    return html("<td class=\"h\"><code title=\"{}\">{}</code></td>", *text, shown(cell, format));
  return html("<td class=\"{}\">{}</td>", kind, shown(cell, format));
}

Html row_html(const Table& table, std::size_t place) {
  const bool marked = place < table.is_marked.size() && table.is_marked[place];
  Html row = marked ? Html::own("<tr class=\"mark\">") : Html::own("<tr>");
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    if (!table.columns[c].heading.empty()) row += cell_html(table.rows[place][c], table.columns[c].format);
  row += Html::own("</tr>\n");
  return row;
}

Html head_html(const Table& table) {
  Html head;
  for (const Column& column : table.columns) {
    if (column.heading.empty()) continue;
    head += html("<th scope=\"col\" class=\"{}\">{}</th>", is_text(column.format) ? "t" : "n", column.heading);
  }
  return head;
}

/// A text that begins like this is a formula to spreadsheets.
bool is_formula(std::string_view text) {
  return !text.empty() && std::string_view("=+-@").find(text[0]) != std::string_view::npos;
}

std::string csv_text(std::string_view text) {
  const std::string shown_text = core::printable(text);
  const bool is_quoted = shown_text.find_first_of(",\"") != std::string::npos;
  std::string field;
  if (is_quoted) field += '"';
  if (is_formula(shown_text)) field += '\'';
  for (const char c : shown_text) {
    if (c == '"') field += c;
    field += c;
  }
  if (is_quoted) field += '"';
  return field;
}

std::string number_field(double value) { return core::Json(value).dump(); }

std::string csv_field(const Cell& cell) {
  return std::visit(
      Overloaded{
          [](std::monostate) { return std::string(); }, [](std::int64_t value) { return std::to_string(value); },
          [](double value) { return number_field(value); }, [](const std::string& text) { return csv_text(text); },
          [](const eval::Interval& interval) { return number_field(interval.low) + "," + number_field(interval.high); },
          [](const Html&) { return std::string(); }},
      cell);
}

core::Json json_field(const Cell& cell) {
  return std::visit(
      Overloaded{[](std::monostate) { return core::Json(); }, [](std::int64_t value) { return core::Json(value); },
                 [](double value) { return core::Json(value); },
                 [](const std::string& text) { return core::Json(text); },
                 [](const eval::Interval& interval) { return eval::json_of(interval); },
                 [](const Html&) { return core::Json(); }},
      cell);
}

bool fits(const Cell& cell, const Column& column) {
  if (std::holds_alternative<std::monostate>(cell)) return true;
  return std::holds_alternative<eval::Interval>(cell) == column.is_interval;
}

}  // namespace

void Table::add(std::vector<Cell> row, bool marked) {
  core::require(row.size() == columns.size(), "a row of a table has a cell for each column");
  for (std::size_t c = 0; c < row.size(); ++c)
    core::require(fits(row[c], columns[c]), "a table has intervals in columns of intervals alone");
  rows.push_back(std::move(row));
  is_marked.push_back(marked);
}

std::string shown_count(std::int64_t value) {
  const std::string digits = std::to_string(value);
  const std::size_t first = value < 0 ? 1 : 0;
  std::string grouped;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > first && (digits.size() - i) % 3 == 0) grouped += ',';
    grouped += digits[i];
  }
  return grouped;
}

std::string shown_number(double value) {
  if (value != 0 && (std::abs(value) >= 1e7 || std::abs(value) < 1e-4)) return fmt::format("{:.3g}", value);
  if (std::abs(value) >= 1000) return shown_count(std::llround(value));
  return fmt::format("{:.4g}", value);
}

std::string shown_percent(double share) { return fmt::format("{:.1f} %", 100 * share); }

std::string shown_duration(double seconds) {
  if (seconds == 0) return "0 s";
  if (seconds < 1) return fmt::format("{:.0f} ms", 1000 * seconds);
  if (seconds < 120) return fmt::format("{:.3g} s", seconds);
  if (seconds < 7200) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

std::string shown_bytes(double bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  for (; bytes >= 999.5 && unit + 1 < std::size(kUnits); ++unit) bytes /= 1000;
  return fmt::format("{:.3g} {}", bytes, kUnits[unit]);
}

std::string shown_interval(const eval::Interval& interval) {
  return fmt::format("[{:.1f}, {:.1f}]", 100 * interval.low, 100 * interval.high);
}

std::string shown(const Cell& cell, Format format) {
  constexpr std::size_t kHash = 12;
  return std::visit(
      Overloaded{[](std::monostate) { return std::string("\u2013"); },
                 [&](std::int64_t value) {
                   return format == Format::text ? std::to_string(value)
                          : format == Format::count || format == Format::number
                              ? shown_count(value)
                              : shown_double(static_cast<double>(value), format);
                 },
                 [&](double value) { return shown_double(value, format); },
                 [&](const std::string& text) { return format == Format::hash ? text.substr(0, kHash) : text; },
                 [&](const eval::Interval& interval) {
                   return format == Format::percent
                              ? shown_interval(interval)
                              : fmt::format("[{}, {}]", shown_number(interval.low), shown_number(interval.high));
                 },
                 [](const Html& graphic) { return graphic.code(); }},
      cell);
}

Html html_of(const Table& table) {
  Html body;
  for (std::size_t r = 0; r < std::min(table.rows.size(), kMostRows); ++r) body += row_html(table, r);
  Html all = html(
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">\n<table>\n<caption>{}</caption>\n"
      "<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n</div>\n",
      table.caption, table.caption, head_html(table), body);
  if (table.rows.size() > kMostRows)
    all += html("<p class=\"note\">{} more rows are in the csv file.</p>\n", table.rows.size() - kMostRows);
  return all;
}

std::string csv_of(const Table& table) {
  std::string head, body;
  const auto add = [](std::string& line, const std::string& field) { line += (line.empty() ? "" : ",") + field; };
  for (const Column& column : table.columns)
    if (column.format != Format::graphic)
      add(head, column.is_interval ? fmt::format("{0}_low,{0}_high", column.key) : column.key);
  for (const auto& row : table.rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      if (table.columns[c].format == Format::graphic) continue;
      const bool lacks_interval = table.columns[c].is_interval && !std::holds_alternative<eval::Interval>(row[c]);
      line += (lacks_interval ? "," : csv_field(row[c])) + ",";
    }
    if (!line.empty()) line.pop_back();
    body += line + "\n";
  }
  return head + "\n" + body;
}

core::Json json_of(const Table& table) {
  core::Json rows = core::Json::array();
  for (const auto& row : table.rows) {
    core::Json object = core::Json::object();
    for (std::size_t c = 0; c < row.size(); ++c)
      if (table.columns[c].format != Format::graphic) object[table.columns[c].key] = json_field(row[c]);
    rows.push_back(std::move(object));
  }
  return rows;
}

}  // namespace allreco::report

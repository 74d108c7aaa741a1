// Tables: made once, shown on the page and written as csv and JSON.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/html.h"
#include "core/json.h"
#include "eval/intervals.h"

namespace allreco::report {

/// How the page shows a column; csv and JSON have the values as they are.
enum class Format { text, count, number, percent, points, seconds, hours, bytes, hash, graphic };

struct Column {
  std::string key;      // of csv and JSON
  std::string heading;  // of the page; empty: not on it
  Format format = Format::text;
  bool is_interval = false;  // its cells are intervals or empty, and csv has two columns for it, with or without rows

  static Column interval(std::string key, std::string heading, Format format = Format::text) {
    return {std::move(key), std::move(heading), format, true};
  }
};

/// A value, or none. Html is for the page alone.
using Cell = std::variant<std::monostate, std::int64_t, double, std::string, eval::Interval, core::Html>;

template <class T>
Cell cell(const std::optional<T>& value) {
  return value ? Cell(*value) : Cell();
}

struct Table {
  std::string id = {};  // of its file, report-<id>.csv
  std::string caption = {};
  std::vector<Column> columns = {};
  std::vector<std::vector<Cell>> rows = {};
  std::vector<bool> is_marked = {};  // rows that stand out; empty: none

  /// REQUIRES a cell for each column, and intervals in columns of intervals alone.
  void add(std::vector<Cell> row, bool marked = false);
};

/// The most rows that the page shows; csv and JSON have all.
inline constexpr std::size_t kMostRows = 200;

/// In a container that scrolls by itself.
core::Html html_of(const Table& table);
/// RFC 4180 with "\n" line ends. A column of intervals is two, KEY_low and KEY_high. Texts are core::printable, and one
/// that a spreadsheet would take for a formula begins with an apostrophe.
std::string csv_of(const Table& table);
/// [{key: value, ...}, ...]; null where there is none.
core::Json json_of(const Table& table);

/// As the page shows it.
std::string shown(const Cell& cell, Format format);
std::string shown_count(std::int64_t value);                 // 1,234,567
std::string shown_number(double value);                      // four significant digits
std::string shown_percent(double share);                     // 37.2 %
std::string shown_duration(double seconds);                  // 48 s, 12 min, 3.4 h
std::string shown_bytes(double bytes);                       // 240 MB
std::string shown_interval(const eval::Interval& interval);  // [28.8, 46.4], of shares in percent

}  // namespace allreco::report

// The fields of a JSON object that stands in one line, fast: simdjson parses and proves the whole line, and what it
// refuses is judged again by the slower parser of all other JSON, whose verdict and reason count. So both take the same
// lines.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace allreco::data {

/// What an object has under one key; of a key that comes twice the last value counts. Texts are valid UTF-8.
struct LineField {
  enum class Kind { missing, null, flag, number, text, list, object };
  Kind kind = Kind::missing;
  bool flag = false;
  double number = 0;
  std::string_view text;
  std::vector<std::string_view> list;  // an element that is no text is empty

  bool is_text() const { return kind == Kind::text && !text.empty(); }
  bool is_there() const { return kind != Kind::missing; }
};

/// One thread.
class FieldParser {
 public:
  explicit FieldParser(std::vector<std::string> keys);
  ~FieldParser();
  FieldParser(FieldParser&&) noexcept;

  /// "" or why the line holds no object. REQUIRES kLinePadding readable bytes behind the line.
  std::string parse(std::string_view line);
  /// Of the line that was parsed last, by the index of its key; valid up to the next parse().
  const LineField& operator[](size_t key) const { return fields_[key]; }

 private:
  struct State;
  std::vector<LineField> fields_;
  std::unique_ptr<State> state_;
};

}  // namespace allreco::data

#include "data/tokenizer/normalizers.h"

#include <utility>
#include <vector>

#include "core/check.h"
#include "data/tokenizer/pattern.h"
#include "data/tokenizer/unicode.h"

namespace allreco::data {

namespace {

constexpr const char* kSupportedNormalizers = "NFC, NFD, NFKC, NFKD, Lowercase, Replace, Prepend, Strip, Sequence";

class UnicodeForm : public Normalizer {
 public:
  explicit UnicodeForm(Form form) : form_(form) {}
  bool apply(std::string& text) const override {
    text = normalize(text, form_);
    return false;
  }

 private:
  Form form_;
};

class Lowercase : public Normalizer {
 public:
  bool apply(std::string& text) const override {
    text = lower_case(text);
    return false;
  }
};

class Prepend : public Normalizer {
 public:
  Prepend(std::string prefix, std::string where) : prefix_(std::move(prefix)), where_(std::move(where)) {}
  bool apply(std::string& text) const override {
    check_growth(text.size(), text.size() + prefix_.size(), where_);
    if (!text.empty()) text.insert(0, prefix_);
    return false;
  }

 private:
  std::string prefix_, where_;
};

class Replace : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content, std::string where)
      : pattern_(std::move(pattern)), content_(std::move(content)), where_(std::move(where)) {}
  bool apply(std::string& text) const override {
    std::vector<Pattern::Span> matches;
    pattern_.find(text, matches);
    if (matches.empty()) return false;
    const bool loses_front = begins_later(text, matches.front());
    check_growth(text.size(), matches.size() * content_.size(), where_);
    std::string result;
    result.reserve(text.size() + matches.size() * content_.size());
    size_t end = 0;
    for (const Pattern::Span& match : matches) {
      result.append(text, end, match.begin - end);
      result += content_;
      end = match.end;
    }
    result.append(text, end);
    text = std::move(result);
    return loses_front;
  }

 private:
  /// What replaces a match counts, in the library, as standing where the match's last character stood.
  bool begins_later(std::string_view text, const Pattern::Span& match) const {
    if (match.begin > 0 || match.end == 0) return false;
    return content_.empty() || match.end > character_at(text, 0).size();
  }

  Pattern pattern_;
  std::string content_, where_;
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  bool apply(std::string& text) const override {
    size_t begin = 0, end = text.size();
    const auto is_space = [](std::string_view character) { return is_white_space(code_point_of(character)); };
    while (left_ && begin < end && is_space(character_at(text, begin))) begin += character_at(text, begin).size();
    while (right_ && end > begin && is_space(character_before(text, end))) end -= character_before(text, end).size();
    text.resize(end);
    text.erase(0, begin);
    return begin > 0;
  }

 private:
  bool left_, right_;
};

class NormalizerSequence : public Normalizer {
 public:
  NormalizerSequence(std::vector<std::unique_ptr<Normalizer>> steps, std::string where)
      : steps_(std::move(steps)), where_(std::move(where)) {}
  bool apply(std::string& text) const override {
    const size_t before = text.size();
    bool loses_front = false;
    for (const auto& step : steps_) {
      loses_front |= step->apply(text);
      check_growth(before, text.size(), where_);
    }
    return loses_front;
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
  std::string where_;
};

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(const Fields& fields, const std::string& where, int depth) {
  if (fields.is_null()) return nullptr;
  const std::string type = text_field(fields, "type", where);
  if (type == "NFC") return std::make_unique<UnicodeForm>(Form::nfc);
  if (type == "NFD") return std::make_unique<UnicodeForm>(Form::nfd);
  if (type == "NFKC") return std::make_unique<UnicodeForm>(Form::nfkc);
  if (type == "NFKD") return std::make_unique<UnicodeForm>(Form::nfkd);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "Prepend") return std::make_unique<Prepend>(text_field(fields, "prepend", where), where);
  if (type == "Replace") {
    return std::make_unique<Replace>(Pattern(field(fields, "pattern", where), where),
                                     text_field(fields, "content", where), where);
  }
  if (type == "Strip") {
    return std::make_unique<Strip>(flag_field(fields, "strip_left", where), flag_field(fields, "strip_right", where));
  }
  if (type != "Sequence") refuse_type(type, kSupportedNormalizers, where);
  std::vector<std::unique_ptr<Normalizer>> steps;
  for (const Fields& step : list_field(fields, "normalizers", depth, where)) {
    if (step.is_null()) core::user_error("{}: a step of the Sequence is null", where);
    steps.push_back(make_normalizer(step, where, depth + 1));
  }
  return std::make_unique<NormalizerSequence>(std::move(steps), where);
}

}  // namespace allreco::data

#include "data/tokenizer/decoders.h"

#include <charconv>
#include <optional>
#include <utility>

#include "core/check.h"
#include "data/tokenizer/byte_alphabet.h"
#include "data/tokenizer/pattern.h"
#include "data/tokenizer/unicode.h"

namespace allreco::data {

namespace {

constexpr const char* kSupportedDecoders = "ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence";
constexpr const char* kReplacementCharacter = "\uFFFD";

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string result;
  size_t end = 0;
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, end)) {
    result.append(text, end, at - end);
    result += to;
    end = at + from.size();
  }
  if (end == 0) return;
  result.append(text, end);
  text = std::move(result);
}

size_t size_of(const std::vector<std::string>& tokens) {
  size_t size = 0;
  for (const std::string& token : tokens) size += token.size();
  return size;
}

std::string concatenated(const std::vector<std::string>& tokens) {
  std::string text;
  for (const std::string& token : tokens) text += token;
  return text;
}

class ByteLevelDecoder : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) append_bytes_of(token, bytes);
    tokens = {to_valid_utf8(bytes)};
  }
};

class ReplaceDecoder : public Decoder {
 public:
  ReplaceDecoder(Pattern pattern, std::string content, std::string where)
      : pattern_(std::move(pattern)), content_(std::move(content)), where_(std::move(where)) {}
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<Pattern::Span> matches;
    for (std::string& token : tokens) {
      pattern_.find(token, matches);
      check_growth(token.size(), matches.size() * content_.size(), where_);
      std::string result;
      size_t end = 0;
      for (const Pattern::Span& match : matches) {
        result.append(token, end, match.begin - end);
        result += content_;
        end = match.end;
      }
      result.append(token, end);
      token = std::move(result);
    }
  }

 private:
  Pattern pattern_;
  std::string content_, where_;
};

/// <0xE2> to its byte.
std::optional<char> byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(value);
}

/// A run of byte tokens is one text; where it is not UTF-8, one U+FFFD a byte.
class ByteFallback : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override {
    std::vector<std::string> result;
    std::string run;
    const auto flush = [&] {
      if (is_valid_utf8(run)) {
        if (!run.empty()) result.push_back(run);
      } else {
        result.insert(result.end(), run.size(), kReplacementCharacter);
      }
      run.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = byte_of(token)) {
        run += *byte;
        continue;
      }
      flush();
      result.push_back(std::move(token));
    }
    flush();
    tokens = std::move(result);
  }
};

class Fuse : public Decoder {
 public:
  void apply(std::vector<std::string>& tokens) const override { tokens = {concatenated(tokens)}; }
};

class StripDecoder : public Decoder {
 public:
  StripDecoder(std::string content, std::int64_t start, std::int64_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (std::int64_t i = 0; i < start_ && rest.starts_with(content_); ++i) rest.remove_prefix(content_.size());
      for (std::int64_t i = 0; i < stop_ && rest.ends_with(content_); ++i) rest.remove_suffix(content_.size());
      token = std::string(rest);
    }
  }

 private:
  std::string content_;
  std::int64_t start_, stop_;
};

class MetaspaceDecoder : public Decoder {
 public:
  MetaspaceDecoder(std::string replacement, bool prepends)
      : replacement_(std::move(replacement)), prepends_(prepends) {}
  void apply(std::vector<std::string>& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) replace_all(tokens[i], replacement_, i == 0 && prepends_ ? "" : " ");
  }

 private:
  std::string replacement_;
  bool prepends_;
};

class DecoderSequence : public Decoder {
 public:
  DecoderSequence(std::vector<std::unique_ptr<Decoder>> steps, std::string where)
      : steps_(std::move(steps)), where_(std::move(where)) {}
  void apply(std::vector<std::string>& tokens) const override {
    const size_t before = size_of(tokens);
    for (const auto& step : steps_) {
      step->apply(tokens);
      check_growth(before, size_of(tokens), where_);
    }
  }

 private:
  std::vector<std::unique_ptr<Decoder>> steps_;
  std::string where_;
};

std::string character_field(const Fields& fields, const char* key, const std::string& where) {
  std::string text = text_field(fields, key, where);
  if (text.empty() || character_at(text, 0) != text)
    core::user_error("{}: \"{}\" must be one character, not \"{}\"", where, key, text);
  return text;
}

}  // namespace

std::unique_ptr<Decoder> make_decoder(const Fields& fields, const std::string& where, int depth) {
  if (fields.is_null()) return nullptr;
  const std::string type = text_field(fields, "type", where);
  if (type == "ByteLevel") return std::make_unique<ByteLevelDecoder>();
  if (type == "ByteFallback") return std::make_unique<ByteFallback>();
  if (type == "Fuse") return std::make_unique<Fuse>();
  if (type == "Replace") {
    return std::make_unique<ReplaceDecoder>(Pattern(field(fields, "pattern", where), where),
                                            text_field(fields, "content", where), where);
  }
  if (type == "Strip") {
    return std::make_unique<StripDecoder>(character_field(fields, "content", where),
                                          count_field(fields, "start", where), count_field(fields, "stop", where));
  }
  if (type == "Metaspace") {
    const bool prepends = flag_field(fields, "add_prefix_space", true, where) &&
                          (!fields.contains("prepend_scheme") || fields.at("prepend_scheme") != "never");
    return std::make_unique<MetaspaceDecoder>(character_field(fields, "replacement", where), prepends);
  }
  if (type != "Sequence") refuse_type(type, kSupportedDecoders, where);
  std::vector<std::unique_ptr<Decoder>> steps;
  for (const Fields& step : list_field(fields, "decoders", depth, where)) {
    if (step.is_null()) core::user_error("{}: a step of the Sequence is null", where);
    steps.push_back(make_decoder(step, where, depth + 1));
  }
  return std::make_unique<DecoderSequence>(std::move(steps), where);
}

}  // namespace allreco::data
